"""dhclient's lease file: whatever stands in it, reading it ends and invents nothing."""

import time

from hypothesis import example, given
from hypothesis import strategies as st

from dnsguard.core.leases import lease_nameservers

_WORDS = (
    b"lease",
    b"{",
    b"}",
    b";",
    b",",
    b" ",
    b"\n",
    b"#",
    b'"',
    b"\\",
    b'\\"',
    b"option domain-name-servers",
    b"option",
    b"interface",
    b"10.0.0.2",
    b"10.0.0.3",
    b'"a string; with } and { in it"',
    b"\xff\x00",
)
_ADDRESSES = st.sampled_from([b"10.0.0.2", b"10.0.0.3", b"169.254.25.10", b"192.0.2.1"])


@st.composite
def leases(draw: st.DrawFn) -> bytes:
    """Return a lease as dhclient writes it."""
    servers = b", ".join(draw(st.lists(_ADDRESSES, min_size=1, max_size=3)))
    name = draw(st.sampled_from([b"corp.example", b"};{", b"a;b", b"# no comment"]))
    return (
        b'lease {\n  interface "eth0";\n  option domain-name "' + name + b'";\n'
        b"  option domain-name-servers " + servers + b";\n  renew 3 2024/05/01 10:11:12;\n}\n"
    )


@given(st.lists(st.sampled_from(_WORDS)).map(b"".join))
@example(b"lease {" * 1000)
@example(b"}" * 1000)
@example(b'"' * 1001)
def test_any_bytes_are_read_in_no_time(content: bytes) -> None:
    """Nothing raises, whatever is nested, quoted or cut off."""
    began = time.process_time()
    assert len(set(lease_nameservers(content))) == len(lease_nameservers(content))
    assert time.process_time() - began < 1.0


@given(st.binary(max_size=300))
def test_noise_names_nobody(content: bytes) -> None:
    """Bytes without the option's name are no lease."""
    if b"domain-name-servers" not in content:
        assert lease_nameservers(content) == ()


@given(st.lists(leases(), max_size=4), st.integers(0, 600))
def test_half_a_file_names_no_more_than_the_whole(parts: list[bytes], size: int) -> None:
    """A file cut in half gives what was whole, and nothing that was not there."""
    content = b"".join(parts)
    assert set(lease_nameservers(content[:size])) <= set(lease_nameservers(content))


@given(st.lists(leases(), min_size=1, max_size=4))
def test_the_last_lease_comes_first(parts: list[bytes]) -> None:
    """The client appends: the newest lease is the last in the file."""
    newest = lease_nameservers(parts[-1])
    assert lease_nameservers(b"".join(parts))[: len(newest)] == newest
