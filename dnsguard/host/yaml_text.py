"""YAML as other programs write it: netplan, Kubernetes manifests, kubelet's configuration.

Only nodes with such a file import the library: 20 ms and 3 MiB here. ``secure`` out of the
source tree does its work without it (packaging/install, on a node that can't fetch it yet).
"""

from collections.abc import Iterable
from typing import Any

MAX_BYTES = 1 << 16
"""A longer file is not read: there is no half of one."""
MOST_CHARACTERS = 1 << 17
"""With each alias counted as what it stands for: what a reader may have to walk."""
DEEPEST = 64
_NODE = 8
"""A node counts as so many characters, and those of its text."""


def load(content: bytes) -> object:
    """Return what a file says as mappings, sequences and texts; any bytes will do.

    Several documents are a list of them; what can't be read is None. All scalars stay
    text, for that is what an address, a domain or an interface called ``no`` is; and a
    text can't be a date that doesn't exist. Aliases are followed, merge keys are not.
    Without the library nothing can be read.
    """
    try:
        import yaml  # type: ignore[import] # noqa: PLC0415 -- no stubs in Debian; 20 ms
    except ModuleNotFoundError:
        return None

    if len(content) > MAX_BYTES:
        return None
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    try:
        # Before anything is built: libyaml's loader dies of deep nesting (a segmentation
        # fault, 6.0), and aliases within aliases make a few lines a billion nodes.
        if not _is_walkable(yaml.parse(content, loader)):
            return None
        documents = list(yaml.load_all(content, loader))
    except (yaml.YAMLError, ValueError, RecursionError):
        return None
    return documents[0] if len(documents) == 1 else documents


def _is_walkable(events: Iterable[Any]) -> bool:
    import yaml  # noqa: PLC0415

    size = 0
    sizes: dict[str | None, int] = {}
    opened: list[tuple[str | None, int]] = []
    for event in events:
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, size))
            # An alias within what it stands for has no end.
            sizes[event.anchor] = MOST_CHARACTERS
            size += _NODE
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            sizes[anchor] = size - before
        elif isinstance(event, yaml.ScalarEvent):
            sizes[event.anchor] = _NODE + len(event.value)
            size += sizes[event.anchor]
        elif isinstance(event, yaml.AliasEvent):
            size += sizes.get(event.anchor, 0)
        if size > MOST_CHARACTERS or len(opened) > DEEPEST:
            return False
    return True
