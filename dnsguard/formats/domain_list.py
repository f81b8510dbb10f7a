"""Lists of domain names on the wire: DHCP option 119 (RFC 3397), DHCPv6 option 24 (RFC 8415, 10)."""

MOST_DOMAINS = 32
"""More than these are not read."""
MOST_POINTERS = 16
"""In one name; no server needs more."""

_LONGEST = 253
_POINTER = 0xC0


def read_domains(value: bytes) -> tuple[str, ...] | None:
    """Return the names of a list, None if it is malformed.

    Names are compressed (RFC 1035, 4.1.4), a pointer counting from the list's begin.
    Each must point before the name it stands in, so there are no loops.
    """
    names: list[str] = []
    at = 0
    while at < len(value) and len(names) < MOST_DOMAINS:
        read = _read_name(value, at)
        if read is None:
            return None
        name, at = read
        if name:
            names.append(name)
    return tuple(names)


def _read_name(value: bytes, begin: int) -> tuple[str, int] | None:
    """Return the name at this place and where the next one begins."""
    labels: list[str] = []
    at, limit, following = begin, begin, None
    length = pointers = 0
    while at < len(value):
        size = value[at]
        at += 1
        if size >= _POINTER:
            pointers += 1
            if at == len(value) or pointers > MOST_POINTERS:
                return None
            target = (size & ~_POINTER) << 8 | value[at]
            following = at + 1 if following is None else following
            if target >= limit:
                return None
            at = limit = target
            continue
        if size == 0:
            return ".".join(labels), at if following is None else following
        label = value[at : at + size].decode("latin-1")
        at += size
        length += size + 1
        if size >= 64 or length > _LONGEST + 1 or not _is_label(label):
            return None
        labels.append(label)
    return None


def _is_label(label: str) -> bool:
    """Tell whether it is a host's label: nothing that could end a line of resolv.conf."""
    return label.isascii() and all(letter.isalnum() or letter in "-_" for letter in label)
