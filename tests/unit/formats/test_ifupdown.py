"""interfaces(5): stanzas, their nameservers, and the files that are to be read as well."""

from ipaddress import ip_address

import pytest

from dnsguard.formats import ifupdown


def test_debians_own_file_names_no_nameserver() -> None:
    """The installer's file: its interface gets its address by DHCP."""
    found = ifupdown.parse(
        b"# This file describes the network interfaces available on your system\n"
        b"source /etc/network/interfaces.d/*\n\n"
        b"auto lo\niface lo inet loopback\n\n"
        b"allow-hotplug ens3\niface ens3 inet dhcp\n"
    )
    assert found.sources == ("/etc/network/interfaces.d/*",)
    assert [(one.name, one.nameservers, one.line) for one in found.ifaces] == [
        ("lo", (), 5),
        ("ens3", (), 8),
    ]


def test_nameservers_of_a_stanza_are_told() -> None:
    """In both spellings, over several lines, with comments between them, and with commas."""
    (one,) = ifupdown.parse(
        b"iface eth0 inet static\n"
        b"  address 10.0.0.5/24\n"
        b"  # dns-nameservers 1.1.1.1\n"
        b"  dns-nameservers 10.0.0.2 \\\n"
        b"     2001:db8::53 nonsense\n"
        b"  dns-nameserver fe80::1%eth0\n"
        b"  dns-nameservers 10.0.0.4,10.0.0.5, 10.0.0.6\n"
        b"  dns-search a.example b.example\n"
        b"  up echo dns-nameservers 9.9.9.9\n"
    ).ifaces
    assert one == ifupdown.Iface(
        name="eth0",
        line=1,
        nameservers=(
            *map(ip_address, ("10.0.0.2", "2001:db8::53", "fe80::1%eth0")),
            *map(ip_address, ("10.0.0.4", "10.0.0.5", "10.0.0.6")),
        ),
    )


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("post-up echo 'nameserver 10.0.0.2' > /etc/resolv.conf", "10.0.0.2"),
        ('up echo "nameserver 10.0.0.2" | tee -a /etc/resolv.conf', "10.0.0.2"),
        (
            r"up printf 'nameserver 10.0.0.2\nnameserver 2001:db8::53\n' > /etc/resolv.conf",
            "10.0.0.2 2001:db8::53",
        ),
        ("up sed -i '/nameserver 10.0.0.2/d' /etc/resolv.conf", ""),
        ("down echo 'nameserver 10.0.0.2' > /etc/resolv.conf", ""),
        ("up echo nameserver 10.0.0.2 > /tmp/x", ""),
    ],
)
def test_a_command_has_the_file_name_somebody(command: str, expected: str) -> None:
    """As people do without resolvconf(8)."""
    (one,) = ifupdown.parse(f"iface eth0 inet static\n  {command}\n".encode()).ifaces
    assert " ".join(map(str, one.nameservers)) == expected


def test_options_belong_to_the_stanza_above_them() -> None:
    """Not to one that has ended; and an interface may have several."""
    found = ifupdown.parse(
        b"dns-nameservers 1.1.1.1\n"
        b"iface eth0 inet manual\n"
        b"auto eth0\n"
        b"dns-nameservers 2.2.2.2\n"
        b"iface eth0 inet6 auto\ndns-nameservers 3.3.3.3\n"
        b"source-directory interfaces.d extra\ndns-nameservers 4.4.4.4\n"
        b"mapping eth1\n  script /bin/x\n"
        b"iface eth2 inherits eth0\n"
        b"iface eth3\n"
    )
    assert [(one.name, len(one.nameservers)) for one in found.ifaces] == [
        ("eth0", 0),
        ("eth0", 1),
        ("eth2", 0),
        ("eth3", 0),
    ]
    assert found.directories == ("interfaces.d", "extra")


def test_a_file_cut_in_half_keeps_what_is_whole() -> None:
    """A joined line without an end counts as far as it goes."""
    text = b"iface eth0 inet static\n dns-nameservers 10.0.0.2 \\\n"
    (one,) = ifupdown.parse(text).ifaces
    assert one.nameservers == (ip_address("10.0.0.2"),)
    assert ifupdown.parse(b"ifa") == ifupdown.Interfaces()
