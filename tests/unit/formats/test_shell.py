"""Files that a shell reads: klibc's, openresolv's."""

import pytest

from dnsguard.formats.shell_variables import find_nameservers


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"DNS0='10.0.0.2'\nDNS1='10.0.0.3'\n", ["10.0.0.2", "10.0.0.3"]),
        (b"DNS1='10.0.0.3'\nDNS0='10.0.0.2'\n", ["10.0.0.2", "10.0.0.3"]),
        (b"DNS0='10.0.0.2'\nDNS1='0.0.0.0'\n", ["10.0.0.2"]),
        (b'DNS0="10.0.0.2 2001:db8::53" # both\n', ["10.0.0.2", "2001:db8::53"]),
        (b"DNS0=10.0.0.2 # one\n", ["10.0.0.2"]),
        (b"DNS0=10.0.0.2\nDNS0=10.0.0.3\n", ["10.0.0.3"]),
        (b"# DNS0=10.0.0.2\nXDNS0=10.0.0.2\nDNS0=$(cat x)\nDNS1='", []),
    ],
)
def test_addresses_of_plain_assignments(content: bytes, expected: list[str]) -> None:
    """By the order of the names; the last value counts, and nothing is expanded."""
    assert [str(one) for one in find_nameservers(content, "DNS0", "DNS1")] == expected
