"""dhclient's lease file."""

import pytest

from dnsguard.core.leases import lease_nameservers

WHOLE = b"""\
lease {
  interface "eth0";
  fixed-address 10.0.0.17;
  option subnet-mask 255.255.255.0;
  option routers 10.0.0.1;
  option domain-name-servers 10.0.0.2,10.0.0.3;
  option domain-name "corp.example";
  renew 3 2024/05/01 10:11:12;
}
lease {
  interface "eth0";
  fixed-address 10.0.0.17;
  option domain-name-servers 169.254.25.10;
  supersede domain-name-servers 10.7.7.7;
  renew 3 2024/05/08 10:11:12;
}
"""


def _texts(content: bytes) -> list[str]:
    return [str(address) for address in lease_nameservers(content)]


def test_the_newest_lease_comes_first() -> None:
    """A poisoned lease stands in front of the earlier, healthy one."""
    assert _texts(WHOLE) == ["169.254.25.10", "10.0.0.2", "10.0.0.3"]


@pytest.mark.parametrize("size", range(0, len(WHOLE), 7))
def test_a_file_cut_anywhere_names_what_was_whole(size: int) -> None:
    """The disk was full, or the power went: half a lease names nobody."""
    assert set(_texts(WHOLE[:size])) <= set(_texts(WHOLE))
    if size < WHOLE.index(b"}"):
        assert _texts(WHOLE[:size]) == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", []),
        (b"lease { option domain-name-servers 10.0.0.2; }", ["10.0.0.2"]),
        (b"lease{option domain-name-servers 10.0.0.2;}", ["10.0.0.2"]),
        (b"lease { option domain-name-servers 10.0.0.2 , 10.0.0.3 ; }", ["10.0.0.2", "10.0.0.3"]),
        (b"lease { option domain-name-servers 10.0.0.2, dns.example; }", ["10.0.0.2"]),
        (b"lease { option domain-name-servers ; }", []),
        (b"lease { option domain-name-servers 10.0.0.2 }", []),
        (b"lease { option domain-name-servers 10.0.0.2; ", []),
        (b"# lease { option domain-name-servers 10.0.0.2; }", []),
        (b"lease { # comment }\n option domain-name-servers 10.0.0.2; }", ["10.0.0.2"]),
        (b"lease { option domain-name-server 10.0.0.2; }", []),
        (b"lease6 { option domain-name-servers 10.0.0.2; }", []),
        (b"interface { option domain-name-servers 10.0.0.2; }", []),
        (b"option domain-name-servers 10.0.0.2;", []),
        (b'lease { filename "};"; option domain-name-servers 10.0.0.2; }', ["10.0.0.2"]),
        (b'lease { filename "a\\"};"; option domain-name-servers 10.0.0.2; }', ["10.0.0.2"]),
        (b'lease { x "option domain-name-servers 10.0.0.2;"; }', []),
        (b"} } ; { lease { option domain-name-servers 10.0.0.2; } ; }", ["10.0.0.2"]),
        (b"\x00\xff" * 100, []),
    ],
)
def test_the_grammar(content: bytes, expected: list[str]) -> None:
    """Strings, comments and broken blocks name nobody; the rest is read."""
    assert _texts(content) == expected


def test_a_server_is_named_once() -> None:
    """A hundred renewals of one lease are one candidate."""
    assert _texts(WHOLE * 100) == _texts(WHOLE)
