"""Where candidates come from: real files below a root of their own."""

import json
import os
import socket
import time
from ipaddress import ip_address
from pathlib import Path

import pytest

from dnsguard.core.model import Stub
from dnsguard.host import sources
from dnsguard.host.places import PLACES
from dnsguard.host.sources import find_sources
from dnsguard.paths import Paths
from unit.source_files import (
    AT,
    CONFIGMAP,
    POD,
    SERVERS,
    UUID,
    find,
    make_lease,
    make_logs,
    write_file,
)


def test_a_bare_node_names_nobody(tmp_path: Path) -> None:
    """Missing directories are no error, and neither is a missing root."""
    found = find_sources(Paths(tmp_path / "nowhere"))
    assert (found.candidates, found.leases, found.stubs) == ((), (), ())


NETWORK = "[Match]\nName=eth0\n\n[Network]\nDNS=10.0.0.2 10.0.0.3:853\n"
GLOBAL = "[global-dns-domain-*]\nservers = 10.0.0.2\n[global-dns-domain-x]\nservers = 10.0.0.3\n"
COREFILE = ".:53 {\n    forward . 10.0.0.2 tls://10.0.0.3\n}\nx:53 {\n    forward . 10.0.0.4\n}\n"
NETPLAN = "network:\n  ethernets:\n    eth0:\n      nameservers:\n        addresses: [10.0.0.2]\n"
CLOUD_CONFIG = (
    "#cloud-config\nresolv_conf:\n  nameservers: ['10.0.0.2']\nx:\n  nameservers: [6.6.6.6]\n"
)
CLOUD = {"networks": [{"services": [{"type": "dns", "address": "10.0.0.2"}]}]}
INTERN = "[.intern.global-dns-domain-*]\n.was=1\nservers=10.0.0.2\n"
UNBOUND = 'forward-zone:\n  name: "."\n  forward-addr: 10.0.0.2\n'
KEYFILE = "[connection]\ninterface-name=eth0\n\n[ipv4]\ndns=10.0.0.2;\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("etc/dhcp/dhclient.conf", "append domain-name-servers 10.0.0.2;", "lease 50 - :1"),
        ("etc/dhclient.conf", "append domain-name-servers 10.0.0.2;", "lease 51 - :1"),
        (
            "etc/dhcp/dhclient.conf",
            '\ninterface "eth0" {\n default domain-name-servers 10.0.0.2; }',
            "lease 50 eth0 :3",
        ),
        (
            "etc/dhcp/dhclient.conf.712.2026-03-02@09:14:51~",
            "supersede domain-name-servers 10.0.0.2;",
            "lease 52 - :1",
        ),
        ("etc/network/interfaces", "iface eth0 inet static\n dns-nameservers 10.0.0.2", "interfaces 0 eth0 :1"),
        ("etc/network/interfaces.d/a", "iface eth0 inet static\n dns-nameserver 10.0.0.2", "interfaces 1 eth0 :1"),
        ("etc/systemd/network/10-a.network", NETWORK, "networkd 1 eth0"),
        ("etc/systemd/network/a.network.d/x.conf", NETWORK, "networkd 1 eth0"),
        ("run/systemd/network/a.network", NETWORK.replace("eth0", "e*"), "networkd 1 -"),
        ("lib/systemd/network/a.network", NETWORK, "networkd 2 eth0"),
        ("usr/local/lib/systemd/network/a.network", NETWORK, "networkd 2 eth0"),
        ("run/NetworkManager/no-stub-resolv.conf", SERVERS, "NetworkManager 0 -"),
        ("run/NetworkManager/resolv.conf", SERVERS, "NetworkManager 1 -"),
        (f"var/lib/NetworkManager/internal-{UUID}-eth0.lease", "DNS=10.0.0.2\n", "NetworkManager 2 eth0"),
        ("etc/NetworkManager/conf.d/dns.conf", GLOBAL, "NetworkManager 3 -"),
        ("etc/NetworkManager/NetworkManager.conf", GLOBAL, "NetworkManager 3 -"),
        ("var/lib/NetworkManager/NetworkManager-intern.conf", INTERN, "NetworkManager 3 -"),
        ("etc/NetworkManager/system-connections/a.nmconnection", KEYFILE, "NetworkManager 4 eth0"),
        ("etc/NetworkManager/conf.d/dns.conf.7.2026-03-02@09:14:51~", GLOBAL, "NetworkManager 5 -"),
        (f"{POD}/Corefile", COREFILE, "Corefile 0 -"),
        (f"{POD}/Corefile.base", COREFILE, "Corefile 0 -"),
        ("etc/kubernetes/nodelocaldns-config.yml", CONFIGMAP, "Corefile 1 -"),
        ("etc/kubernetes/coredns-config.yml", CONFIGMAP, "Corefile 1 -"),
        ("run/systemd/resolve/resolv.conf", SERVERS, "resolved 0 -"),
        ("usr/local/lib/systemd/resolved.conf.d/x.conf", "[Resolve]\nDNS=10.0.0.2\n", "resolved 1 -"),
        ("etc/dnsmasq.conf", "server=10.0.0.2\n", "forwarder 0 -"),
        ("etc/dnsmasq.d/k8s", "server=10.0.0.2\n", "forwarder 0 -"),
        ("etc/NetworkManager/dnsmasq.d/a.conf", "server=10.0.0.2\n", "forwarder 0 -"),
        ("etc/unbound/unbound.conf", UNBOUND, "forwarder 0 -"),
        ("etc/unbound/unbound.conf.d/a.conf", UNBOUND, "forwarder 0 -"),
        ("etc/systemd/resolved.conf", "[Resolve]\nDNS=10.0.0.2\n", "resolved 1 -"),
        ("etc/systemd/resolved.conf.d/x.conf", "[Resolve]\nFallbackDNS=10.0.0.2\n", "resolved 2 -"),
        ("run/cloud-init/instance-data.json", json.dumps(CLOUD), "cloud-init 0 -"),
        ("etc/netplan/50-cloud-init.yaml", NETPLAN, "cloud-init 1 eth0"),
        ("etc/resolvconf/resolv.conf.d/base", SERVERS, "backup 0 -"),
        ("run/resolvconf/interface/eth0.dhclient", SERVERS, "backup 0 eth0"),
        ("run/resolvconf/interface/eth0.7.dhclient", SERVERS, "backup 0 eth0.7"),
        ("run/resolvconf/interfaces/eth0", SERVERS, "backup 0 eth0"),
        ("run/resolvconf/interfaces/eth0.dhcp", SERVERS, "backup 0 eth0"),
        ("run/resolvconf/keys/eth0.dhcp", SERVERS, "backup 0 eth0"),
        ("etc/resolvconf.conf", 'name_servers="10.0.0.2"\n', "backup 0 -"),
        ("etc/resolvconf.conf", "name_servers_append=10.0.0.2\n", "backup 0 -"),
        ("etc/resolvconf.conf", "prepend_nameservers=10.0.0.2\n", "backup 0 -"),
        ("etc/resolvconf.conf", "append_nameservers='10.0.0.2'\n", "backup 0 -"),
        ("etc/resolv.conf.head", SERVERS, "backup 0 -"),
        ("etc/resolv.conf.tail", SERVERS, "backup 0 -"),
        ("etc/.resolv.conf.systemd-resolved.bak", SERVERS, "backup 0 -"),
        ("etc/resolv.pre-tailscale-backup.conf", SERVERS, "backup 0 -"),
        ("etc/resolv.conf.original.netbird", SERVERS, "backup 0 -"),
        ("etc/resolv.conf.mullvadbackup", SERVERS, "backup 0 -"),
        ("etc/resolv.conf.vpnbackup", SERVERS, "backup 0 -"),
        ("etc/resolv.conf.pppd-backup.ppp0", SERVERS, "backup 0 -"),
        ("run/vpnc/resolv.conf-backup", SERVERS, "backup 0 -"),
        ("run/connman/resolv.conf", SERVERS, "backup 0 -"),
        ("run/dnsmasq/resolv.conf", SERVERS, "backup 0 -"),
        ("etc/ppp/resolv.conf", SERVERS, "backup 0 -"),
        ("run/net-eth0.conf", "DEVICE='eth0'\nIPV4DNS0='10.0.0.2'\nIPV4DNS1='0.0.0.0'\n", "lease 49 eth0"),
        ("run/net6-eth0.conf", "IPV6DNS0='10.0.0.2'\n", "lease 49 eth0"),
        ("proc/net/pnp", "#DHCP\nnameserver 10.0.0.2\nbootserver 10.0.0.1\n", "lease 49 -"),
        ("run/systemd/netif/links/7", "ADMIN_STATE=configured\nDNS=10.0.0.2\n", "networkd 1 -"),
        ("run/NetworkManager/devices/7", "[dhcp4]\ndhcp4.domain_name_servers=10.0.0.2\n", "NetworkManager 2 -"),
        ("etc/dhcpcd.conf", "interface eth0\nstatic domain_name_servers=10.0.0.2\n", "dhcpcd 1 eth0 :2"),
        ("run/dhcpcd/hook-state/resolv.conf/eth0.dhcp", SERVERS, "dhcpcd 1 eth0"),
        ("run/dhcpcd/resolv.conf/eth0.ra", SERVERS, "dhcpcd 1 eth0"),
        ("var/lib/cloud/instances/i-1/cloud-config.txt", CLOUD_CONFIG, "cloud-init 2 -"),
        ("etc/cloud/cloud.cfg", CLOUD_CONFIG, "cloud-init 2 -"),
        ("etc/cloud/cloud.cfg.d/99-dns.cfg", CLOUD_CONFIG, "cloud-init 2 -"),
        ("var/lib/cloud/seed/nocloud/user-data", CLOUD_CONFIG, "cloud-init 2 -"),
    ],
)  # fmt: skip
def test_each_place_is_read(paths: Paths, name: str, content: str, said: str) -> None:
    """With its rank, and the interface and line where they can be told."""
    make_logs(paths, "kube-system")
    path = write_file(paths, name, content)
    (one,) = find_sources(paths).candidates
    line = one.origin.removeprefix(str(path))
    assert f"{one.source} {one.tier} {one.interface or '-'} {line}".strip() == said
    assert (str(one.address), one.seen) == ("10.0.0.2", AT)


def test_the_sources_stand_in_the_order_of_their_rank(paths: Paths) -> None:
    """Leases, backups, other configuration, guesses."""
    write_file(
        paths, "etc/network/interfaces", "iface eth0 inet static\n dns-nameservers 10.0.0.5\n"
    )
    write_file(paths, "etc/resolv.conf.bak", "nameserver 10.0.0.4\n")
    write_file(paths, "var/lib/dhcp/dhclient.leases", make_lease("10.0.0.3"))
    assert find(paths) == [
        "lease 0 10.0.0.3",
        "backup 0 10.0.0.4",
        "interfaces 0 10.0.0.5",
        "guess 0 10.0.0.1",
    ]


def test_the_stub_is_told_with_whom_it_asks(paths: Paths) -> None:
    """Also when it asks nobody: that is known, too."""
    path = write_file(paths, "run/systemd/resolve/resolv.conf", "# No DNS servers known.\n")
    stubs = frozenset({ip_address("127.0.0.53"), ip_address("127.0.0.54")})
    assert find_sources(paths).stubs == (Stub(addresses=stubs, asks=(), origin=str(path)),)


def test_the_resolv_conf_that_dnsmasq_reads(paths: Paths) -> None:
    """Not the node's own, which names dnsmasq itself."""
    text = (
        "resolv-file=/etc/resolv.dnsmasq\nconf-file=/etc/more.conf\nresolv-file=/etc/resolv.conf\n"
    )
    write_file(paths, "etc/dnsmasq.conf", text)
    write_file(paths, "etc/resolv.dnsmasq", "nameserver 10.0.0.2\n")
    write_file(paths, "etc/more.conf", "server=10.0.0.3\n")
    write_file(paths, "etc/resolv.conf", "nameserver 127.0.0.1\n")
    assert sorted(find(paths)) == ["forwarder 0 10.0.0.2", "forwarder 0 10.0.0.3"]


def test_included_files_are_read(paths: Paths) -> None:
    """As ifupdown and dhclient would, and once however often they are named."""
    text = "source interfaces.d/*.cfg\nsource-directory /etc/network/more\nsource interfaces\n"
    write_file(paths, "etc/network/interfaces", text)
    stanza = "iface eth{0} inet static\n dns-nameservers 10.0.0.{0}\n"
    write_file(paths, "etc/network/interfaces.d/a.cfg", stanza.format(1), at=AT + 1)
    write_file(paths, "etc/network/interfaces.d/b", stanza.format(2))
    write_file(paths, "etc/network/more/c", stanza.format(3))
    write_file(
        paths, "etc/dhcp/dhclient.conf", 'include "/etc/dhcp/more.conf"; include "/a\\000b";'
    )
    write_file(paths, "etc/dhcp/more.conf", "append domain-name-servers 10.0.0.4;")
    assert find(paths) == [
        "lease 50 10.0.0.4",
        "interfaces 0 10.0.0.1",
        "interfaces 0 10.0.0.3",
        "interfaces 1 10.0.0.2",
    ]


def test_a_file_counts_once_whatever_its_names(paths: Paths) -> None:
    """/lib is /usr/lib; and a backup may be a link to one that is kept elsewhere."""
    write_file(paths, "usr/lib/systemd/network/a.network", NETWORK)
    (paths.root / "lib").symlink_to("usr/lib")
    write_file(paths, "kept", SERVERS)
    (paths.root / "etc/resolv.conf.bak").symlink_to("../kept")
    (paths.root / "etc/resolv.conf.old").hardlink_to(paths.root / "kept")
    assert find(paths) == ["backup 0 10.0.0.2", "networkd 2 10.0.0.2"]


def test_poison_is_read_and_not_judged(paths: Paths) -> None:
    """Which address can be an upstream is the core's to say, at one place."""
    write_file(paths, "etc/resolv.conf.1~", "nameserver 169.254.25.10\nnameserver 10.0.0.2\n")
    assert find(paths) == ["backup 0 169.254.25.10", "backup 0 10.0.0.2"]


ODD = "directory", "fifo", "socket", "loop", "dangling", "device", "binary", "huge", "closed"


@pytest.mark.parametrize("kind", ODD)
def test_what_cannot_be_read_hides_nothing_else(paths: Paths, kind: str) -> None:
    """A file that is no file names nothing, and blocks nobody; the others still do."""
    write_file(paths, "etc/resolv.conf.bak", "nameserver 10.0.0.3\n")
    write_file(paths, "var/lib/dhcp/dhclient.leases", make_lease("10.0.0.2"))
    for odd in ("etc/resolv.conf.7.2020-01-01@00:00:00~", "var/lib/dhcp/odd.leases"):
        _put(kind, paths.root / odd)
    for place in PLACES:
        for pattern in place.patterns:
            odd_path = paths.root / pattern.replace("*", "odd")
            odd_path.parent.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(odd_path):
                _put(kind, odd_path)
    begin = time.monotonic()
    found = [one for one in find(paths) if "guess" not in one]
    assert found == ["lease 0 10.0.0.2", "backup 0 10.0.0.3"]
    assert time.monotonic() - begin < 5


def _put(kind: str, path: Path) -> None:
    match kind:
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "socket":
            os.mknod(path, 0o140644)
        case "loop":
            path.symlink_to(path.name)
        case "dangling":
            path.symlink_to("nowhere")
        case "device":
            path.symlink_to("/dev/zero")
        case "binary":
            path.write_bytes(bytes(range(256)) * 16)
        case "huge":
            path.touch()
            os.truncate(path, 1 << 34)
        case _:
            path.write_bytes(b"\xff\xfe")
            path.chmod(0)


def test_a_thousand_servers_are_no_configuration(paths: Paths) -> None:
    """Of one lease the first few count, and other sources keep their place."""
    many = [f"10.1.{number // 250}.{number % 250}" for number in range(1000)]
    write_file(paths, "var/lib/dhcp/dhclient.leases", make_lease(*many[:99]))
    write_file(paths, "etc/resolv.conf.bak", "".join(f"nameserver {one}\n" for one in many))
    write_file(paths, "etc/network/interfaces", "iface x inet static\n dns-nameservers 10.0.0.9\n")
    found = find(paths)
    assert found[:1] == ["lease 0 10.1.0.0"]
    assert len([one for one in found if "backup" in one]) == 16
    assert "interfaces 0 10.0.0.9" in found


def test_a_changed_file_is_read_again(paths: Paths) -> None:
    """And an unchanged one is the same as before, cheaply."""
    write_file(paths, "etc/resolv.conf.bak", SERVERS)
    assert find_sources(paths) == find_sources(paths)
    write_file(paths, "etc/resolv.conf.bak", "nameserver 10.0.0.33\n")
    assert find(paths) == ["backup 0 10.0.0.33"]
    (paths.root / "etc/resolv.conf.bak").unlink()
    assert find(paths) == []


def test_the_nodes_own_interfaces_are_known() -> None:
    """At / those of our own network namespace count, whatever is mounted on /sys."""
    assert sources._list_interfaces("") == dict(socket.if_nameindex())
