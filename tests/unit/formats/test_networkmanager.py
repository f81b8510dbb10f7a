"""NetworkManager's global DNS configuration."""

from ipaddress import ip_address

from dnsguard.formats import networkmanager

DEVICE = b"""\
[device]
managed=true
perm-hw-addr-fake=02:00:00:00:00:0A
connection-uuid=5a3f0d0c-6a57-4f0e-9a51-0c1f8e1d0001
nm-owned=false
route-metric-default-effective=100
next-server=192.0.2.1

[dhcp4]
dhcp4.dhcp_lease_time=3600
dhcp4.dhcp_server_identifier=192.0.2.1
dhcp4.domain_name=lab.test
dhcp4.domain_name_servers=192.0.2.53 192.0.2.54
dhcp4.expiry=1795683029
dhcp4.ip_address=192.0.2.172
dhcp4.routers=192.0.2.1

[dhcp6]
dhcp6.dhcp6_name_servers=2001:db8:1::53
dhcp6.dhcp6_server_id=00:01:00:01:31:0f:3a
dhcp6.ip6_address=2001:db8:1::7
"""
"""As NetworkManager 1.42 writes it, shortened."""


def test_kubesprays_file_is_told() -> None:
    """/etc/NetworkManager/conf.d/dns.conf as Ansible's ini_file leaves it."""
    found = networkmanager.parse(
        b"[global-dns-domain-*]\nservers = 169.254.25.10,10.99.0.2\n\n"
        b"[global-dns]\nsearches = default.svc.cluster.local,svc.cluster.local\n"
        b"options = ndots:2,timeout:2,attempts:2\n"
    )
    assert [str(one.address) for one in found.servers] == ["169.254.25.10", "10.99.0.2"]


def test_domains_have_servers_of_their_own() -> None:
    """Only those of ``*`` answer for every name."""
    found = networkmanager.parse(
        b"[global-dns-domain-corp.example]\nservers=10.0.0.9;\n"
        b"[global-dns-domain-*]\nservers=9.9.9.9\nservers= 1.1.1.1 , dns+tls://2.2.2.2#x, no\n"
        b"servers+=dns+udp://2001:db8::53\n[main]\nservers=8.8.8.8\n"
    )
    assert [str(one.address) for one in found.servers] == ["1.1.1.1", "2.2.2.2", "2001:db8::53"]
    assert [one.is_plain for one in found.servers] == [True, False, True]


def test_a_connection_is_told() -> None:
    """Its nameservers for IPv4 and IPv6, and for which interface."""
    found = networkmanager.parse_connection(
        b"[connection]\nid=Wired 1\ntype=ethernet\ninterface-name=eth0\n\n"
        b"[ipv4]\naddress1=10.99.0.58/24,10.99.0.1\ndns=10.99.0.2;10.99.0.3;\n"
        b"dns-search=a.example;b.example;\nmethod=manual\n\n"
        b"[ipv6]\ndns=2001:db8::53;\nmethod=auto\n"
    )
    assert [str(one.address) for one in found.servers] == [
        "10.99.0.2",
        "10.99.0.3",
        "2001:db8::53",
    ]
    assert found.interface == "eth0"


def test_a_connection_may_say_nothing() -> None:
    """Nor may anything else in the file be taken for it."""
    found = networkmanager.parse_connection(b"dns=1.1.1.1\n[ipv4]\ndns=;\nmethod=auto\n[wifi]\n")
    assert found == networkmanager.Dns()


def test_a_devices_leases_are_told() -> None:
    """DHCPv6 names its server by a DUID, which is no address."""
    assert networkmanager.parse_device(DEVICE) == (
        networkmanager.Lease(
            version=4,
            nameservers=(ip_address("192.0.2.53"), ip_address("192.0.2.54")),
            routers=(ip_address("192.0.2.1"),),
            server=ip_address("192.0.2.1"),
            address=ip_address("192.0.2.172"),
        ),
        networkmanager.Lease(
            version=6,
            nameservers=(ip_address("2001:db8:1::53"),),
            address=ip_address("2001:db8:1::7"),
        ),
    )


def test_a_device_without_a_lease_tells_nothing() -> None:
    """The loopback has such a file, too; and one key of another section is none of a lease."""
    without = DEVICE[: DEVICE.index(b"[dhcp4]")] + b"dhcp4.domain_name_servers=192.0.2.53\n"
    assert networkmanager.parse_device(without) == ()
