"""A rehearsal's input and outcome: what hooks of dhclient-script(8) find, and what they leave."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the hooks would find."""

    values: Mapping[str, str] = field(default_factory=dict)
    """dhclient's variables; what is not in it can't be told."""
    files: Mapping[str, bytes | None] = field(default_factory=dict)
    """The files that the hooks name; None: not there."""
    enabled: frozenset[str] = frozenset()
    """Units of systemd's that are enabled, of those the hooks ask about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a hook does something to resolv.conf."""

    path: str
    line: int
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is left in the end."""

    text: str | None
    """None: it can't be told."""
    wrote: tuple[Place, ...] = ()
    """What was written for certain, in this order."""
    may_write: tuple[Place, ...] = ()
    """Where something may be written that is not in the text."""
    replaced: Place | None = None
    """The hook whose make_resolv_conf is in the place of dhclient-script's, for certain."""
    is_replacement_certain: bool = True
    is_own_written: bool = False
    """Whether a replacement is taken to write what dhclient-script would have."""
    passes: bool = True
    """Whether what DHCP says gets into the file, or may."""
    unclear: tuple[str, ...] = ()
    """Why it can't be told."""


Writer = Callable[[str, Mapping[str, str]], str | None]
"""What dhclient-script's own make_resolv_conf makes of a file, None: nothing.

It is given dhclient's variables that hooks have set to something else.
"""
