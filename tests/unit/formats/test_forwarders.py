"""Whom dnsmasq and unbound ask in their turn."""

import pytest

from dnsguard.formats.forwarders import parse_dnsmasq, parse_unbound


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("server=10.0.0.2\n server = 10.0.0.3 # ours\n", "10.0.0.2 10.0.0.3"),
        ("server=10.0.0.2#53\nserver=10.0.0.3#5353\n", "10.0.0.2"),
        ("server=10.0.0.2@eth0\nserver=10.0.0.3@10.0.0.9#53\n", "10.0.0.2 10.0.0.3"),
        ("server=2001:db8::53\nserver=fe80::1%eth0\n", "2001:db8::53 fe80::1%eth0"),
        ("server=/cluster.local/10.233.0.3\nserver=/corp/10.0.0.2\nserver=\n", ""),
        ("#server=10.0.0.2\nlocal=10.0.0.3\nno-resolv\n", ""),
    ],
)
def test_dnsmasq(text: str, expected: str) -> None:
    """A single domain's are not for other names, and another port can't stand in resolv.conf."""
    assert " ".join(map(str, parse_dnsmasq(text.encode()).servers)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('forward-zone:\n name: "."\n forward-addr: 10.0.0.2\n', "10.0.0.2"),
        ("forward-zone:\n forward-addr: 10.0.0.2@53\n name: .\n", "10.0.0.2"),
        ("forward-zone:\n name: .\n forward-addr: 10.0.0.2@853#dns.example\n", ""),
        (
            "forward-zone:\n name: .\n forward-tls-upstream: yes\n forward-addr: 10.0.0.2\n",
            "",
        ),
        (
            "forward-zone:\n name: a.\n forward-addr: 10.0.0.2\nforward-zone:\n name: .\n forward-addr: 10.0.0.3 # b\n",
            "10.0.0.3",
        ),
        ("# forward-zone:\n#  name: .\n#  forward-addr: 10.0.0.2\n", ""),
    ],
)
def test_unbound(text: str, expected: str) -> None:
    """Of the zone of all names alone, and not over TLS."""
    assert " ".join(map(str, parse_unbound(text.encode()))) == expected
