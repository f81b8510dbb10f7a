"""Files as anybody may write them: nameservers in every spelling, and everything else."""

from ipaddress import IPv4Address, IPv6Address

from hypothesis import strategies as st

from dnsguard.formats import resolvconf
from dnsguard.formats.address import IPAddress

NODELOCAL = IPv4Address("169.254.25.10")
NODELOCAL6 = IPv6Address("fd00:25::10")
CLUSTER: frozenset[IPAddress] = frozenset(
    {NODELOCAL, NODELOCAL6, IPv4Address("10.233.0.3"), IPv4Address("169.254.20.10")}
)
UPSTREAMS: tuple[IPAddress, ...] = (
    IPv4Address("10.0.0.2"),
    IPv4Address("10.0.0.53"),
    IPv4Address("192.0.2.1"),
    IPv4Address("198.51.100.7"),
    IPv6Address("2001:db8::53"),
    IPv6Address("fe80::1%eth0"),
)
STUBS: tuple[IPAddress, ...] = (IPv4Address("127.0.0.53"), IPv6Address("::1"))
NOBODY: tuple[IPAddress, ...] = (
    IPv4Address("0.0.0.0"),
    IPv4Address("255.255.255.255"),
    IPv4Address("224.0.0.251"),
    IPv6Address("::"),
)
ADDRESSES = (*sorted(CLUSTER, key=str), *UPSTREAMS, *STUBS, *NOBODY)

_OTHER = (
    b"search cluster.local default.svc.cluster.local. svc.cluster.local.",
    b"search corp.example cluster.local",
    b"domain corp.example",
    b"options timeout:2 attempts:2 ndots:2",
    b"options rotate",
    b"options ndots:2",
    b"options ndots:2 rotate",
    b" options\trotate timeout:1 rotate\r",
    b"sortlist 10.0.0.0/255.0.0.0",
    b"# Ansible entries BEGIN",
    b"# Ansible entries END",
    b"; nameserver 10.0.0.9",
    b"#nameserver 10.0.0.9",
    b"nameserver",
    b"nameserver ",
    b"nameserver what",
    b"nameservers 10.0.0.9",
    b"Nameserver 10.0.0.9",
    b"nameserver=10.0.0.9",
    b"",
    b" ",
    b"\xff\xfe\x00",
)


@st.composite
def spellings(draw: st.DrawFn, address: IPAddress) -> bytes:
    """Return the address in some notation that glibc reads as this very address."""
    forms = [str(address)]
    if isinstance(address, IPv4Address):
        number = int(address)
        first, rest = number >> 24, number & 0xFFFFFF
        forms += [
            str(number),
            hex(number),
            f"0{number:o}",
            f"{first}.{rest}",
            f"0{first:o}.{rest >> 16}.{rest & 0xFFFF:#x}",
            f"::ffff:{address}",
            f"::FFFF:{number >> 16:x}:{number & 0xFFFF:x}",
        ]
    elif address.scope_id is None:
        forms += [address.exploded, str(address).upper()]
    form: str = draw(st.sampled_from(forms))
    return form.encode()


@st.composite
def nameserver_lines(
    draw: st.DrawFn, addresses: tuple[IPAddress, ...] = ADDRESSES, *, glibc_only: bool = False
) -> bytes:
    """Return a line that some reader takes as a nameserver."""
    word: bytes = draw(spellings(draw(st.sampled_from(addresses))))
    forms = [b"nameserver ", b"nameserver\t", b"nameserver  \t "]
    ends = [b"", b" ", b" # dhcp", b"\t;", b" 10.0.0.99", b"\0"]
    if b"%" in word:  # a zone takes what stands behind it
        ends = [end for end in ends if end[:1] in (b"", b" ", b"\t")]
    elif not glibc_only:
        forms += [b" nameserver ", b"\tnameserver\t", b"nameserver\x0b", b"\rnameserver "]
        ends += [b"\r", b"\x0c"]
    form: bytes = draw(st.sampled_from(forms))
    end: bytes = draw(st.sampled_from(ends))
    return form + word + end


def _has_no_marker(line: bytes) -> bool:
    return not line.startswith((resolvconf.ADDED, resolvconf.HELD))


def _in_one_line(text: bytes) -> bytes:
    return text.replace(b"\n", b"")


def other_lines() -> st.SearchStrategy[bytes]:
    """Return lines without a nameserver, most of them of the kind that nodes have."""
    raw = st.binary(max_size=24).map(_in_one_line)
    return st.one_of(st.sampled_from(_OTHER), raw.filter(_has_no_marker))


def foreign_files(addresses: tuple[IPAddress, ...] = ADDRESSES) -> st.SearchStrategy[bytes]:
    """Return files without a line of ours."""
    lines = st.lists(st.one_of(nameserver_lines(addresses), other_lines()), max_size=8)
    end = st.sampled_from([b"\n", b"", b"\n\n"])
    return st.builds(_joined, lines, end)


def _joined(lines: list[bytes], end: bytes) -> bytes:
    return b"\n".join(lines) + end


def servers(
    addresses: tuple[IPAddress, ...] = ADDRESSES,
) -> st.SearchStrategy[tuple[IPAddress, ...]]:
    """Return at most three nameservers, each once."""
    return st.lists(st.sampled_from(addresses), max_size=3, unique=True).map(tuple)


@st.composite
def any_files(draw: st.DrawFn) -> bytes:
    """Return whatever may be found: foreign, guarded, guarded and then mangled, or noise."""
    content = draw(st.one_of(st.binary(max_size=120), foreign_files()))
    if draw(st.booleans()):
        content = resolvconf.guard(content, draw(servers()), in_order=draw(st.booleans()))
    lines = content.split(b"\n")
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(lines)))
        match draw(st.sampled_from(["insert", "drop", "cut", "mark"])):
            case "insert":
                lines.insert(at, draw(nameserver_lines()))
            case "drop":
                del lines[at : at + 1]
            case "cut":
                lines = b"\n".join(lines)[: draw(st.integers(0, 400))].split(b"\n")
            case _:
                mark = draw(st.sampled_from([resolvconf.ADDED, resolvconf.HELD]))
                lines.insert(at, mark + draw(nameserver_lines()))
    return b"\n".join(lines)
