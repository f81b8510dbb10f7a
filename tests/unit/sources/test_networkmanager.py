"""NetworkManager's global DNS configuration."""

from dnsguard.core.sources import networkmanager


def test_kubesprays_file_is_told() -> None:
    """/etc/NetworkManager/conf.d/dns.conf as Ansible's ini_file leaves it."""
    found = networkmanager.parse(
        b"[global-dns-domain-*]\nservers = 169.254.25.10,10.99.0.2\n\n"
        b"[global-dns]\nsearches = default.svc.cluster.local,svc.cluster.local\n"
        b"options = ndots:2,timeout:2,attempts:2\n"
    )
    assert [str(one.address) for one in found.servers] == ["169.254.25.10", "10.99.0.2"]
    assert found.search == ("default.svc.cluster.local", "svc.cluster.local")
    assert found.others == ()


def test_domains_have_servers_of_their_own() -> None:
    """Only those of ``*`` answer for every name."""
    found = networkmanager.parse(
        b"[global-dns-domain-corp.example]\nservers=10.0.0.9;\n"
        b"[global-dns-domain-*]\nservers=9.9.9.9\nservers= 1.1.1.1 , dns+tls://2.2.2.2#x, no\n"
        b"servers+=2001:db8::53\n[main]\nservers=8.8.8.8\n"
    )
    assert [str(one.address) for one in found.servers] == ["1.1.1.1", "2.2.2.2", "2001:db8::53"]
    assert [one.is_plain for one in found.servers] == [True, False, True]
    ((domain, servers),) = found.others
    assert domain == "corp.example"
    assert [str(one.address) for one in servers] == ["10.0.0.9"]
