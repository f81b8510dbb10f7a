"""Files of sections and keys, as systemd and NetworkManager have them."""

from collections.abc import Iterable, Iterator

MAX_BYTES = 1 << 16
"""Read from the top; what stands behind is not."""


def read_entries(content: bytes) -> Iterator[tuple[str, str, str]]:
    """Return section, key and value of each assignment, in the file's order.

    As systemd.syntax(7) has it: comments begin with ``#`` or ``;``, a backslash at the
    end joins lines, and comments between them don't count.
    """
    section = ""
    joined = ""
    for raw in content[:MAX_BYTES].decode("utf-8", "replace").split("\n"):
        line = raw.strip()
        if line.startswith(("#", ";")) or not (line or joined):
            continue
        if line.endswith("\\"):
            joined += line[:-1] + " "
            continue
        line, joined = joined + line, ""
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
            continue
        key, is_assignment, value = line.partition("=")
        if is_assignment:
            yield section, key.strip(), value.strip()


def read_lists(contents: Iterable[bytes]) -> dict[tuple[str, str], list[str]]:
    """Return the words of each section's key over files that are read one after the other.

    Several assignments add up, an empty one clears (systemd.syntax(7)).
    """
    lists: dict[tuple[str, str], list[str]] = {}
    for content in contents:
        for section, key, value in read_entries(content):
            if value:
                lists.setdefault((section, key), []).extend(value.split())
            else:
                lists.pop((section, key), None)
    return lists
