"""NetworkManager's global DNS configuration."""

from dnsguard.formats import networkmanager


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
        b"servers+=2001:db8::53\n[main]\nservers=8.8.8.8\n"
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
