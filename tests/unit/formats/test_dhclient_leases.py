"""dhclient's lease file: every whole block, in the order of the file."""

from ipaddress import ip_address

import pytest

from dnsguard.formats.dhclient import leases

HONEST = b"""\
lease {
  interface "eth0";
  fixed-address 10.99.0.58;
  option subnet-mask 255.255.255.0;
  option routers 10.99.0.1;
  option dhcp-lease-time 3600;
  option dhcp-message-type 5;
  option domain-name-servers 10.99.0.2,10.99.0.3;
  option dhcp-server-identifier 10.99.0.1;
  option domain-name "real.example";
  option domain-search "a.example.", "b.example.";
  renew 1 2026/11/23 20:33:00;
  rebind 1 2026/11/23 20:56:35;
  expire 1 2026/11/23 21:04:05;
}
"""
POISONED = HONEST.replace(b"10.99.0.2,10.99.0.3", b"169.254.25.10").replace(b"23 21:", b"24 21:")
LEASE6 = b"""\
default-duid "\\000\\001\\000\\001,~ \\267RT\\000\\0224V";
lease6 {
  interface "eth0";
  ia-na 12:34:56:78 {
    starts 1700000000;
    renew 0;
    rebind 0;
    iaaddr 2001:db8::50 {
      starts 1700000000;
      preferred-life 3000;
      max-life 3600;
    }
    option dhcp6.status-code success "hello";
  }
  option dhcp6.client-id 0:1:0:1:2c:7e:20:b7:52:54:0:12:34:56;
  option dhcp6.server-id 0:1:0:1:2c:7e:20:b7:52:54:0:12:34:57;
  option dhcp6.name-servers 2001:db8::53,fe80::1;
  option dhcp6.domain-search "v6.example.";
}
"""


def test_a_lease_is_told_whole() -> None:
    """With all that a candidate's provenance needs."""
    (lease,) = leases.parse(HONEST)
    assert lease == leases.Lease(
        version=4,
        line=1,
        interface="eth0",
        address=ip_address("10.99.0.58"),
        nameservers=(ip_address("10.99.0.2"), ip_address("10.99.0.3")),
        domain="real.example",
        search=("a.example.", "b.example."),
        routers=(ip_address("10.99.0.1"),),
        server=ip_address("10.99.0.1"),
        expires=1795467845.0,
    )


def test_every_block_counts() -> None:
    """The one before the poisoned one is the last honest word; the newest is the last."""
    found = leases.parse(HONEST + POISONED)
    assert [[str(one) for one in lease.nameservers] for lease in found] == [
        ["10.99.0.2", "10.99.0.3"],
        ["169.254.25.10"],
    ]
    assert [lease.line for lease in found] == [1, 16]


def test_a_lease_of_ipv6_is_told() -> None:
    """Its address and its time are those of the first address in it."""
    (lease,) = leases.parse(LEASE6)
    assert lease == leases.Lease(
        version=6,
        line=2,
        interface="eth0",
        address=ip_address("2001:db8::50"),
        nameservers=(ip_address("2001:db8::53"), ip_address("fe80::1")),
        search=("v6.example.",),
        expires=1700003600.0,
    )


@pytest.mark.parametrize(
    ("date", "expires"),
    [
        ("never", leases.NEVER),
        ("epoch 1795467845; # Mon Nov 23 21:04:05 2026", 1795467845.0),
        ("1 2026/11/23 21:04:05", 1795467845.0),
        ("1 2026/11/23 21:04:05 3600", 1795471445.0),
        ("1 126/11/23 21:04:05", 1795467845.0),
        ("1 2026/13/23 21:04:05", None),
        ("1 2026/11", None),
        ("epoch", None),
        ("tomorrow", None),
        ("1 99999999999999999999/1/1 1:1:1", None),
    ],
)
def test_a_lease_knows_its_end(date: str, expires: float | None) -> None:
    """In each notation of dhclient.leases(5); a wrong one is none."""
    text = f'lease {{ interface "eth0"; expire {date};\n option routers 10.0.0.1; }}'
    (lease,) = leases.parse(text.encode())
    assert lease.expires == expires
    assert lease.routers == (ip_address("10.0.0.1"),)


@pytest.mark.parametrize("cut", range(0, len(POISONED) - 2, 7))
def test_of_a_file_cut_in_half_the_whole_blocks_stay(cut: int) -> None:
    """Cut at its end, and cut in its middle with the next lease behind it."""
    (whole,) = leases.parse(HONEST)
    assert leases.parse(HONEST + POISONED[:cut])[:1] == (whole,)
    assert len(leases.parse(HONEST + POISONED[:cut])) == 1
    assert [one.nameservers for one in leases.parse(POISONED[:cut] + b"\n" + HONEST)] == [
        whole.nameservers
    ]


def test_strings_hold_anything() -> None:
    """Quotes, braces, semicolons and escapes end nothing."""
    text = (
        rb'lease { interface "eth0"; option host-name "a\"};{ \\";'
        rb' option domain-name "\145x\x61mple"; option unknown-224 "};"; filename "}";'
        rb" option domain-name-servers 10.0.0.1; }"
    )
    (lease,) = leases.parse(text)
    assert lease.domain == "example"
    assert lease.nameservers == (ip_address("10.0.0.1"),)


def test_what_is_wrong_in_a_lease_is_left_out() -> None:
    """The rest of it stays."""
    text = b"""lease {
      fixed-address 10.0.0;
      option domain-name-servers none;
      option routers 10.0.0.1
      ;
      nonsense { a; b };
      option domain-name-servers 10.0.0.2;
    }"""
    (lease,) = leases.parse(text)
    assert lease.interface is None
    assert lease.address is None
    assert lease.routers == (ip_address("10.0.0.1"),)
    assert lease.nameservers == (ip_address("10.0.0.2"),)


def test_of_a_long_file_the_end_is_read() -> None:
    """From the first block that is whole."""
    found = leases.parse(HONEST * 1000 + POISONED)
    assert 10 < len(found) <= leases.MOST_BLOCKS
    assert found[-1].nameservers == (ip_address("169.254.25.10"),)
    assert found[-1].line == 15_001
    assert all(lease.expires for lease in found)


def test_a_block_may_begin_anywhere_in_a_line() -> None:
    """Written by hand, as dhclient.leases(5) allows."""
    text = b'  lease{interface "eth0";option domain-name-servers 10.0.0.1;}lease{}LEASE {\n}\n'
    assert [len(lease.nameservers) for lease in leases.parse(text)] == [1, 0, 0]
