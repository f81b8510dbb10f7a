"""Default gateways, as proc(5) lists them: they often answer DNS on small networks."""

from ipaddress import IPv4Address

MAX_BYTES = 1 << 16
_UP_AND_GATEWAY = 0x3
"""RTF_UP and RTF_GATEWAY (<linux/route.h>)."""


def find_gateways(content: bytes) -> tuple[tuple[str, IPv4Address], ...]:
    """Return interface and gateway of each default route in ``/proc/net/route``.

    Addresses stand there as the kernel holds them, read as a number of this machine's
    byte order: little-endian wherever Debian runs Kubernetes, but for s390x.
    """
    found = []
    for line in content.decode("ascii", "replace").split("\n")[1:]:
        match line.split():
            case [interface, "00000000", gateway, flags, _, _, _, "00000000", *_]:
                try:
                    address = IPv4Address(bytes.fromhex(gateway)[::-1])
                    is_used = int(flags, 16) & _UP_AND_GATEWAY == _UP_AND_GATEWAY
                except ValueError:
                    continue
                if is_used:
                    found.append((interface, address))
    return tuple(dict.fromkeys(found))
