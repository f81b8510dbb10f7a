"""Leases as sources: in which order, and which of them hold."""

import time
from ipaddress import ip_address

from dnsguard.core.model import CurrentLease
from dnsguard.host.sources import find_sources
from dnsguard.paths import Paths
from unit.formats.test_dhcp import OPTIONS, reply
from unit.source_files import AT, LEASE6, UUID, find, make_lease, write_file


def test_clients_leases_are_candidates_and_guesses(paths: Paths) -> None:
    """Files of networkd are called by the interface's index, those of dhcpcd by its name."""
    text = "ADDRESS=10.99.0.58\nROUTER=10.0.0.9\nSERVER_ADDRESS=10.0.0.8\nDNS=10.0.0.2\n"
    write_file(paths, "run/systemd/netif/leases/7", text)
    write_file(paths, "sys/class/net/eth7/ifindex", "7\n")
    write_file(paths, "sys/class/net/eth1/ifindex", "1\n")
    write_file(paths, "var/lib/dhcpcd/eth1.lease", reply(OPTIONS, yiaddr=0x0A630058))
    write_file(paths, "var/lib/dhcpcd/eth1.lease6", LEASE6)
    found = find_sources(paths)
    assert [f"{one.source} {one.address} {one.interface}" for one in found.candidates] == [
        "networkd 10.0.0.2 eth7",
        "dhcpcd 10.99.0.2 eth1",
        "dhcpcd 10.99.0.3 eth1",
        "dhcpcd fe80::1%eth1 eth1",
        "guess 10.0.0.8 eth7",
        "guess 10.0.0.9 eth7",
        "guess 10.99.0.1 eth1",
    ]
    assert [(one.interface, str(one.address)) for one in found.leases] == [
        ("eth7", "10.99.0.58"),
        ("eth1", "10.99.0.88"),
    ]


def test_dhcpcd_calls_a_lease_after_the_interface_and_its_network(paths: Paths) -> None:
    """A dash may be a part of both (dhcpcd(8), FILES)."""
    for number, name in enumerate(("br-lan", "wlan0", "br")):
        write_file(paths, f"sys/class/net/{name}/ifindex", f"{number + 1}\n")
    for name in ("br-lan", "wlan0-br-lan", "gone0"):
        write_file(paths, f"var/lib/dhcpcd/{name}.lease", reply(OPTIONS, yiaddr=0x0A630058))
    found = find_sources(paths).leases
    assert sorted(one.interface for one in found) == ["br-lan", "gone0", "wlan0"]


def test_leases_rank_by_age_and_those_that_are_over_behind(paths: Paths) -> None:
    """The newest of each interface are peers; what dhclient.conf names stands between."""
    eth0 = make_lease("10.0.0.2", hours=-2) + make_lease("10.0.0.3") + make_lease("10.0.0.4")
    write_file(paths, "var/lib/dhcp/dhclient.eth0.leases", eth0)
    eth1 = make_lease("10.0.1.2", interface="eth1") + make_lease(
        "10.0.1.3", interface="eth1", more="released;"
    )
    write_file(paths, "var/lib/dhcp/dhclient.eth1.leases", eth1, at=AT - 9)
    write_file(paths, "etc/dhcp/dhclient.conf", "append domain-name-servers 10.0.0.7;")
    found = [one for one in find(paths) if "guess" not in one]
    assert found == [
        "lease 0 10.0.0.4",
        "lease 0 10.0.1.2",
        "lease 1 10.0.0.3",
        "lease 50 10.0.0.7",
        "lease 101 10.0.1.3",
        "lease 102 10.0.0.2",
    ]


def test_renewals_that_repeat_themselves_are_one_word(paths: Paths) -> None:
    """A hundred of them do not push the last honest word out of sight."""
    write_file(
        paths, "var/lib/dhcp/dhclient.leases", make_lease("10.0.0.2") + make_lease("10.0.0.3") * 90
    )
    found = find_sources(paths).candidates
    assert [(str(one.address), one.tier) for one in found[:2]] == [("10.0.0.3", 0), ("10.0.0.2", 1)]
    assert found[0].origin.endswith("dhclient.leases:721")  # the newest of them


def test_a_lease_of_an_interface_that_is_gone_ranks_behind(paths: Paths) -> None:
    """Its servers may be out of reach, though nobody has given the lease back."""
    write_file(paths, "sys/class/net/eth0/ifindex", "2\n")
    write_file(paths, "var/lib/dhcp/dhclient.eth1.leases", make_lease("10.0.1.2", interface="eth1"))
    write_file(paths, "var/lib/dhcp/dhclient.eth0.leases", make_lease("10.0.0.2"), at=AT - 9)
    assert find(paths)[:2] == ["lease 0 10.0.0.2", "lease 100 10.0.1.2"]


def test_ipv6_leases_have_their_own_age_and_their_zone(paths: Paths) -> None:
    """As dhclient-script writes them; NetworkManager's dhclient has its own place."""
    lease = 'lease6 {\n interface "eth0";\n option dhcp6.name-servers 2001:db8::53,fe80::1;\n}\n'
    name = f"var/lib/NetworkManager/dhclient6-{UUID}-eth0.lease"
    write_file(paths, name, lease)
    write_file(paths, "var/lib/dhcp/dhclient.eth0.leases", make_lease("10.0.0.2"), at=AT + 9)
    assert find(paths)[:3] == ["lease 0 10.0.0.2", "lease 0 2001:db8::53", "lease 0 fe80::1%eth0"]


def test_no_interface_name_breaks_a_line_of_resolv_conf(paths: Paths) -> None:
    """What is no name to the kernel is no zone either."""
    lease = (
        'lease6 {\n interface "a\\nnameserver 6.6.6.6";\n option dhcp6.name-servers fe80::1;\n}\n'
    )
    write_file(paths, "var/lib/dhcp/dhclient6.leases", lease)
    assert find(paths) == ["lease 0 fe80::1"]


def test_the_newest_lease_of_an_interface_is_the_one_it_holds(paths: Paths) -> None:
    """With every server that has leased to it; one that was given back is held no more."""
    eth0 = make_lease("10.0.0.2", dhcp="10.0.0.1") + make_lease("10.0.0.3", dhcp="10.0.0.9")
    path = write_file(paths, "var/lib/dhcp/dhclient.eth0.leases", eth0)
    back = make_lease("10.0.1.2", interface="eth1", more="released;")
    write_file(paths, "var/lib/dhcp/dhclient.eth1.leases", back)
    (lease,) = find_sources(paths).leases
    assert lease == CurrentLease(
        interface="eth0",
        address=ip_address("10.0.0.58"),
        nameservers=(ip_address("10.0.0.3"),),
        servers=frozenset({ip_address("10.0.0.1"), ip_address("10.0.0.9")}),
        origin=f"{path}:9",
        expires=lease.expires,
    )
    assert lease.expires is not None
    leased = {str(one.address): one.leased for one in find_sources(paths).candidates}
    assert leased == {
        "10.0.0.3": lease.address,
        **dict.fromkeys(("10.0.0.2", "10.0.1.2", "10.0.0.1", "10.0.0.9")),
    }


def test_guesses_come_from_leases_in_force_then_routes_then_old_leases(paths: Paths) -> None:
    """Each once."""
    routes = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\tFE00000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "eth0\t00000000\t0000000A\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t00000000\tnonsense\n"
    )
    write_file(paths, "proc/net/route", routes)
    routers = "option routers 10.0.0.7, 10.0.0.1;"
    leases = make_lease("10.0.0.2", hours=-1, dhcp="10.0.0.8") + make_lease(
        "10.0.0.3", more=routers
    )
    write_file(paths, "var/lib/dhcp/dhclient.leases", leases)
    assert [one for one in find(paths) if "guess" in one] == [
        "guess 0 10.0.0.1",
        "guess 0 10.0.0.7",
        "guess 50 10.0.0.254",
        "guess 101 10.0.0.8",
    ]


def test_of_a_huge_lease_file_the_end_counts_and_soon(paths: Paths) -> None:
    """It grows at its end; 10 MiB cost what the last few blocks do, and have no lines."""
    filler = make_lease("10.0.0.9", hours=-1)
    huge = filler * (10 * (1 << 20) // len(filler)) + make_lease("10.0.0.2")
    path = write_file(paths, "var/lib/dhcp/dhclient.eth0.leases", huge)
    begin = time.process_time()
    found = find_sources(paths)
    assert time.process_time() - begin < 0.1
    assert [(str(one.address), one.origin) for one in found.candidates[:2]] == [
        ("10.0.0.2", str(path)),
        ("10.0.0.9", str(path)),
    ]
