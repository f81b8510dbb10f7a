"""dhcpcd.conf(5): what an administrator has written there."""

import pytest

from dnsguard.formats.dhcpcd import parse_conf

CONF = b"""\
hostname
option domain_name_servers, domain_name, domain_search
interface eth0
static ip_address=10.1.1.10/24
static domain_name_servers=10.1.1.1 fd51:42f8:caae:d92e::1
profile static_eth1
static domain_name_servers=10.1.1.2
"""


def test_static_servers_are_the_interfaces() -> None:
    """Those of a profile hold where the profile is used, and nobody knows where that is."""
    said = [(one.line, one.interface, *map(str, one.nameservers)) for one in parse_conf(CONF)]
    assert said == [
        (5, "eth0", "10.1.1.1", "fd51:42f8:caae:d92e::1"),
        (7, None, "10.1.1.2"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        "#static domain_name_servers=10.1.1.1",
        "option domain_name_servers",
        "nooption domain_name_servers=10.1.1.1",
        "static routers=10.1.1.1",
        "static",
        "interface",
    ],
)
def test_other_lines_name_nobody(line: str) -> None:
    """Options that are asked for, other values, comments."""
    assert parse_conf(line.encode()) == ()


@pytest.mark.parametrize(
    "line",
    [
        " static domain_name_servers=10.1.1.1  # ours",
        "static  domain_name_servers = 10.1.1.1",
        "static domain_name_servers=10.1.1.1,nonsense",
        'static domain_name_servers="10.1.1.1"',
        "static domain_name_servers=10.1.1.1\r",
    ],
)
def test_people_write_it_in_many_ways(line: str) -> None:
    """What is no address is left out."""
    (one,) = parse_conf(line.encode())
    assert [str(address) for address in one.nameservers] == ["10.1.1.1"]
