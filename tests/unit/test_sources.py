"""Where candidates come from: real files below a root of their own."""

import json
import os
import socket
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from dnsguard.core import ranking
from dnsguard.core.model import HeldLease, Stub
from dnsguard.core.sources import backups
from dnsguard.host import sources
from dnsguard.host.places import PLACES
from dnsguard.host.sources import look
from dnsguard.paths import Paths
from unit.sources.test_dhcp import OPTIONS, reply

UUID = "7d1b3f0e-8f4e-4f53-9a9c-0d5f0c1f9a10"
AT = 1e9
UID = "0f6c6d0a-3f6e-4a5b-9c1e-2b7f8f0d4c11"
POD = f"var/lib/kubelet/pods/{UID}/volumes/kubernetes.io~configmap/config-volume"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Return the paths of a node with nothing on it."""
    (tmp_path / "etc").mkdir()
    return Paths(tmp_path)


def _write(paths: Paths, name: str, content: str | bytes, *, at: float = AT) -> Path:
    path = paths.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.utime(path, (at, at))
    return path


def _logs(paths: Paths, namespace: str) -> Path:
    """Make the directory that kubelet keeps the pod's logs in."""
    logs = paths.root / f"var/log/pods/{namespace}_coredns-abc_{UID}"
    logs.mkdir(parents=True)
    return logs


def _found(paths: Paths) -> list[str]:
    return [f"{one.source} {one.tier} {one.address}" for one in look(paths).candidates]


def _lease(
    *servers: str, interface: str = "eth0", hours: float = 1, dhcp: str = "10.0.0.1", more: str = ""
) -> str:
    """Return a block that is over in so many hours."""
    expire = datetime.now(UTC) + timedelta(hours=hours)
    return (
        f'lease {{\n  interface "{interface}";\n  fixed-address 10.0.0.58;\n  {more}\n'
        f"  option domain-name-servers {','.join(servers)};\n"
        f"  option dhcp-server-identifier {dhcp};\n"
        f"  expire {expire:%w %Y/%m/%d %H:%M:%S};\n}}\n"
    )


def test_a_bare_node_names_nobody(tmp_path: Path) -> None:
    """Missing directories are no error, and neither is a missing root."""
    found = look(Paths(tmp_path / "nowhere"))
    assert (found.candidates, found.leases, found.stubs) == ((), (), ())


SERVERS = "nameserver 10.0.0.2\n"
NETWORK = "[Match]\nName=eth0\n\n[Network]\nDNS=10.0.0.2 10.0.0.3:853\n"
GLOBAL = "[global-dns-domain-*]\nservers = 10.0.0.2\n[global-dns-domain-x]\nservers = 10.0.0.3\n"
COREFILE = ".:53 {\n    forward . 10.0.0.2 tls://10.0.0.3\n}\nx:53 {\n    forward . 10.0.0.4\n}\n"
CONFIGMAP = "kind: ConfigMap\ndata:\n  Corefile: |\n    .:53 {\n      forward . 10.0.0.2\n    }\n"
NETPLAN = "network:\n  ethernets:\n    eth0:\n      nameservers:\n        addresses: [10.0.0.2]\n"
CLOUD_CONFIG = (
    "#cloud-config\nresolv_conf:\n  nameservers: ['10.0.0.2']\nx:\n  nameservers: [6.6.6.6]\n"
)
CLOUD = {"networks": [{"services": [{"type": "dns", "address": "10.0.0.2"}]}]}
KEYFILE = "[connection]\ninterface-name=eth0\n\n[ipv4]\ndns=10.0.0.2;\n"
LEASE6 = b"\x07\x01\x02\x03\x00\x17\x00\x10" + ip_address("fe80::1").packed


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
        ("run/NetworkManager/no-stub-resolv.conf", SERVERS, "NetworkManager 0 -"),
        ("run/NetworkManager/resolv.conf", SERVERS, "NetworkManager 1 -"),
        (f"var/lib/NetworkManager/internal-{UUID}-eth0.lease", "DNS=10.0.0.2\n", "NetworkManager 2 eth0"),
        ("etc/NetworkManager/conf.d/dns.conf", GLOBAL, "NetworkManager 3 -"),
        ("etc/NetworkManager/NetworkManager.conf", GLOBAL, "NetworkManager 3 -"),
        ("etc/NetworkManager/system-connections/a.nmconnection", KEYFILE, "NetworkManager 4 eth0"),
        ("etc/NetworkManager/conf.d/dns.conf.7.2026-03-02@09:14:51~", GLOBAL, "NetworkManager 5 -"),
        (f"{POD}/Corefile", COREFILE, "Corefile 0 -"),
        (f"{POD}/Corefile.base", COREFILE, "Corefile 0 -"),
        ("etc/kubernetes/nodelocaldns-config.yml", CONFIGMAP, "Corefile 1 -"),
        ("etc/kubernetes/coredns-config.yml", CONFIGMAP, "Corefile 1 -"),
        ("run/systemd/resolve/resolv.conf", SERVERS, "resolved 0 -"),
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
    _logs(paths, "kube-system")
    path = _write(paths, name, content)
    (one,) = look(paths).candidates
    line = one.origin.removeprefix(str(path))
    assert f"{one.source} {one.tier} {one.interface or '-'} {line}".strip() == said
    assert (str(one.address), one.seen) == ("10.0.0.2", AT)


HOSTILE = ".:53 {\n    forward . 6.6.6.6\n}\n"


@pytest.mark.parametrize(
    ("directory", "is_believed"),
    [
        (f"kube-system_coredns-abc_{UID}", True),
        (f"tenant_coredns-abc_{UID}", False),
        (f"tenant_kube-system_{UID}", False),
        (f"kube-system_coredns-abc_{UID}_more", False),
        ("kube-system_coredns-abc_0f6c6d0a-3f6e-4a5b-9c1e-000000000000", False),
        (None, False),
    ],
)
def test_a_tenants_corefile_is_no_source(
    paths: Paths, directory: str | None, *, is_believed: bool
) -> None:
    """A pod is whose kubelet's directory of its logs says; without one nobody can tell.

    What the tenant mounts beside it says nothing: a volume of any name may hold any text.
    """
    pod = _write(paths, f"{POD}/Corefile", HOSTILE).parent
    pod.chmod(0o777)  # as kubelet makes it
    token = f"var/lib/kubelet/pods/{UID}/volumes/kubernetes.io~projected/kube-api-access-x"
    _write(paths, f"{token}/namespace", "kube-system")
    if directory is not None:
        (paths.root / "var/log/pods" / directory).mkdir(parents=True)
    assert _found(paths) == (["Corefile 0 6.6.6.6"] if is_believed else [])


NOBODY = 65534


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
class TestOthersFiles:
    """What somebody else could have written, or could have put where it is."""

    def _logs(self, paths: Paths) -> Path:
        _write(paths, f"{POD}/Corefile", HOSTILE)
        return _logs(paths, "kube-system")

    @pytest.mark.parametrize("above", [0, 1, 2])
    def test_a_directory_of_logs_that_others_made(self, paths: Paths, above: int) -> None:
        """Theirs, or in a directory of theirs, it tells nothing."""
        logs = self._logs(paths)
        assert _found(paths) == ["Corefile 0 6.6.6.6"]
        os.chown([logs, *logs.parents][above], NOBODY, NOBODY)
        assert _found(paths) == []

    def test_a_directory_of_logs_that_all_may_write_in(self, paths: Paths) -> None:
        """And neither does one in a directory that is root's and open to everybody."""
        logs = self._logs(paths)
        logs.parent.chmod(0o1777)
        assert _found(paths) == []
        logs.parent.chmod(0o755)
        os.chown(logs.parent, 0, NOBODY)
        assert _found(paths) == ["Corefile 0 6.6.6.6"]
        logs.parent.chmod(0o775)
        assert _found(paths) == []

    def test_a_link_for_a_directory_of_logs(self, paths: Paths) -> None:
        """Where it leads, others could have written as well."""
        logs = self._logs(paths)
        logs.rename(paths.root / "elsewhere")
        logs.symlink_to(paths.root / "elsewhere")
        assert _found(paths) == ["Corefile 0 6.6.6.6"]
        os.chown(paths.root / "elsewhere", NOBODY, NOBODY)
        assert _found(paths) == []

    def test_a_file_that_others_can_write(self, paths: Paths) -> None:
        """Whoever owns a file, or a directory above it, decides what it says."""
        file = _write(
            paths, "etc/network/interfaces.d/a", "iface e inet static\n dns-nameserver 6.6.6.6"
        )
        assert _found(paths) == ["interfaces 1 6.6.6.6"]
        for path in (file, file.parent):
            os.chown(path, NOBODY, NOBODY)
            assert _found(paths) == []
            os.chown(path, 0, 0)
        file.chmod(0o666)
        assert _found(paths) == []

    def test_a_link_into_a_users_directory(self, paths: Paths) -> None:
        """Root's file there may be replaced by its owner at any time."""
        mine = _write(paths, "home/bob/a", "iface e inet static\n dns-nameserver 6.6.6.6")
        link = paths.root / "etc/network/interfaces.d/a"
        link.parent.mkdir(parents=True)
        link.symlink_to("../../../home/bob/a")
        assert _found(paths) == ["interfaces 1 6.6.6.6"]
        os.chown(mine.parent, NOBODY, NOBODY)
        assert _found(paths) == []

    def test_a_copy_beside_what_resolv_conf_links_to(self, paths: Paths) -> None:
        """systemd-resolve owns that directory, and may put any backup there."""
        _write(paths, "run/systemd/resolve/resolv.conf", SERVERS)
        _write(paths, "run/systemd/resolve/resolv.conf.bak", "nameserver 6.6.6.6\n")
        paths.resolv_conf.symlink_to("../run/systemd/resolve/resolv.conf")
        assert _found(paths) == ["backup 0 6.6.6.6", "resolved 0 10.0.0.2"]
        os.chown(paths.root / "run/systemd/resolve", NOBODY, NOBODY)
        assert _found(paths) == ["resolved 0 10.0.0.2"]

    def test_a_network_managers_own_files_are_its_own(self, paths: Paths) -> None:
        """systemd-networkd and Kubespray's user ``kube`` are no tenants: root gave them these."""
        for name, text in (
            ("run/systemd/netif/leases/7", "DNS=10.0.0.2\n"),
            ("etc/kubernetes/coredns-config.yml", CONFIGMAP),
        ):
            path = _write(paths, name, text)
            os.chown(path, NOBODY, NOBODY)
            os.chown(path.parent, NOBODY, NOBODY)
        assert [one.split()[0] for one in _found(paths)] == ["networkd", "Corefile"]


def test_clients_leases_are_candidates_and_guesses(paths: Paths) -> None:
    """Files of networkd are called by the interface's index, those of dhcpcd by its name."""
    text = "ADDRESS=10.99.0.58\nROUTER=10.0.0.9\nSERVER_ADDRESS=10.0.0.8\nDNS=10.0.0.2\n"
    _write(paths, "run/systemd/netif/leases/7", text)
    _write(paths, "sys/class/net/eth7/ifindex", "7\n")
    _write(paths, "sys/class/net/eth1/ifindex", "1\n")
    _write(paths, "var/lib/dhcpcd/eth1.lease", reply(OPTIONS, yiaddr=0x0A630058))
    _write(paths, "var/lib/dhcpcd/eth1.lease6", LEASE6)
    found = look(paths)
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


def test_the_sources_stand_in_the_order_of_their_rank(paths: Paths) -> None:
    """Leases, backups, other configuration, guesses."""
    _write(paths, "etc/network/interfaces", "iface eth0 inet static\n dns-nameservers 10.0.0.5\n")
    _write(paths, "etc/resolv.conf.bak", "nameserver 10.0.0.4\n")
    _write(paths, "var/lib/dhcp/dhclient.leases", _lease("10.0.0.3"))
    assert _found(paths) == [
        "lease 0 10.0.0.3",
        "backup 0 10.0.0.4",
        "interfaces 0 10.0.0.5",
        "guess 0 10.0.0.1",
    ]


def test_leases_rank_by_age_and_those_that_are_over_behind(paths: Paths) -> None:
    """The newest of each interface are peers; what dhclient.conf names stands between."""
    eth0 = _lease("10.0.0.2", hours=-2) + _lease("10.0.0.3") + _lease("10.0.0.4")
    _write(paths, "var/lib/dhcp/dhclient.eth0.leases", eth0)
    eth1 = _lease("10.0.1.2", interface="eth1") + _lease(
        "10.0.1.3", interface="eth1", more="released;"
    )
    _write(paths, "var/lib/dhcp/dhclient.eth1.leases", eth1, at=AT - 9)
    _write(paths, "etc/dhcp/dhclient.conf", "append domain-name-servers 10.0.0.7;")
    found = [one for one in _found(paths) if "guess" not in one]
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
    _write(paths, "var/lib/dhcp/dhclient.leases", _lease("10.0.0.2") + _lease("10.0.0.3") * 90)
    found = look(paths).candidates
    assert [(str(one.address), one.tier) for one in found[:2]] == [("10.0.0.3", 0), ("10.0.0.2", 1)]
    assert found[0].origin.endswith("dhclient.leases:721")  # the newest of them


def test_a_lease_of_an_interface_that_is_gone_ranks_behind(paths: Paths) -> None:
    """Its servers may be out of reach, though nobody has given the lease back."""
    _write(paths, "sys/class/net/eth0/ifindex", "2\n")
    _write(paths, "var/lib/dhcp/dhclient.eth1.leases", _lease("10.0.1.2", interface="eth1"))
    _write(paths, "var/lib/dhcp/dhclient.eth0.leases", _lease("10.0.0.2"), at=AT - 9)
    assert _found(paths)[:2] == ["lease 0 10.0.0.2", "lease 100 10.0.1.2"]


def test_ipv6_leases_have_their_own_age_and_their_zone(paths: Paths) -> None:
    """As dhclient-script writes them; NetworkManager's dhclient has its own place."""
    lease = 'lease6 {\n interface "eth0";\n option dhcp6.name-servers 2001:db8::53,fe80::1;\n}\n'
    name = f"var/lib/NetworkManager/dhclient6-{UUID}-eth0.lease"
    _write(paths, name, lease)
    _write(paths, "var/lib/dhcp/dhclient.eth0.leases", _lease("10.0.0.2"), at=AT + 9)
    assert _found(paths)[:3] == ["lease 0 10.0.0.2", "lease 0 2001:db8::53", "lease 0 fe80::1%eth0"]


def test_no_interface_name_breaks_a_line_of_resolv_conf(paths: Paths) -> None:
    """What is no name to the kernel is no zone either."""
    lease = (
        'lease6 {\n interface "a\\nnameserver 6.6.6.6";\n option dhcp6.name-servers fe80::1;\n}\n'
    )
    _write(paths, "var/lib/dhcp/dhclient6.leases", lease)
    assert _found(paths) == ["lease 0 fe80::1"]


def test_the_newest_lease_of_an_interface_is_the_one_it_holds(paths: Paths) -> None:
    """With every server that has leased to it; one that was given back is held no more."""
    eth0 = _lease("10.0.0.2", dhcp="10.0.0.1") + _lease("10.0.0.3", dhcp="10.0.0.9")
    path = _write(paths, "var/lib/dhcp/dhclient.eth0.leases", eth0)
    back = _lease("10.0.1.2", interface="eth1", more="released;")
    _write(paths, "var/lib/dhcp/dhclient.eth1.leases", back)
    assert look(paths).leases == (
        HeldLease(
            interface="eth0",
            address=ip_address("10.0.0.58"),
            nameservers=(ip_address("10.0.0.3"),),
            servers=frozenset({ip_address("10.0.0.1"), ip_address("10.0.0.9")}),
            origin=f"{path}:9",
        ),
    )


def test_guesses_come_from_leases_in_force_then_routes_then_old_leases(paths: Paths) -> None:
    """Each once."""
    routes = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\tFE00000A\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "eth0\t00000000\t0000000A\t0001\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t00000000\tnonsense\n"
    )
    _write(paths, "proc/net/route", routes)
    routers = "option routers 10.0.0.7, 10.0.0.1;"
    leases = _lease("10.0.0.2", hours=-1, dhcp="10.0.0.8") + _lease("10.0.0.3", more=routers)
    _write(paths, "var/lib/dhcp/dhclient.leases", leases)
    assert [one for one in _found(paths) if "guess" in one] == [
        "guess 0 10.0.0.1",
        "guess 0 10.0.0.7",
        "guess 50 10.0.0.254",
        "guess 101 10.0.0.8",
    ]


def test_the_stub_is_told_with_whom_it_asks(paths: Paths) -> None:
    """Also when it asks nobody: that is known, too."""
    path = _write(paths, "run/systemd/resolve/resolv.conf", "# No DNS servers known.\n")
    stubs = frozenset({ip_address("127.0.0.53"), ip_address("127.0.0.54")})
    assert look(paths).stubs == (Stub(addresses=stubs, asks=(), origin=str(path)),)


@pytest.mark.parametrize(
    "name",
    [
        "resolv.conf.1234.2024-05-01@10:11:12~",
        "resolv.conf~",
        "resolv.conf.bak",
        "resolv.conf.bak.1",
        "resolv.conf.dpkg-old",
        "resolv.conf.pre-dhclient",
        "resolv.conf.orig",
        "resolv.conf.old",
        "resolv.conf.save",
        "resolv.conf.dhclient-new.1234",
        "resolv.conf.bk",
        "resolv.conf.bkp_2026-01-31_101112",
        "resolv.conf.back",
        "resolv.conf.ORIG",
        "resolv.conf.original",
        "resolv.conf_orig",
        "resolv.conf-bak",
        "resolv.conf-tun0.sv",
        "resolv.conf.ovpnsave",
        "resolv.conf.wgmesh-orig",
        "resolv.conf.ubuntu-dist",
        "resolv.conf.20260131",
    ],
)
def test_what_tools_leave_beside_the_file(paths: Paths, name: str) -> None:
    """Kubespray's backups, editors', dpkg's, people's."""
    _write(paths, f"etc/{name}", SERVERS)
    assert _found(paths) == ["backup 0 10.0.0.2"]


@pytest.mark.parametrize(
    "name",
    [
        "resolv.conf",
        "resolvconf.bak",
        "resolv.conf.dnsguard-aside.1",
        ".resolv.conf.bak",
        "other~",
        "resolv.conf.example",
        "resolv.conf.j2",
        "resolv.conf.tmp",
        "resolv.configuration",
    ],
)
def test_what_is_no_backup(paths: Paths, name: str) -> None:
    """The file itself, another's copy, and what the guard itself put aside."""
    _write(paths, f"etc/{name}", SERVERS)
    assert _found(paths) == []


def test_the_oldest_backup_without_markers_comes_first(paths: Paths) -> None:
    """By the date in the name, whatever the file's time; the newest of all other kinds after."""
    marked = "# Ansible entries BEGIN\nnameserver 10.0.0.{}\n# Ansible entries END\n"
    for last, name, text, at in (
        (1, "991.2026-03-02@10:00:00~", SERVERS[:-2] + "1\n", 1000.0),
        (2, "7.2025-12-31@23:59:59~", SERVERS[:-2] + "2\n", 9000.0),
        (3, "8.2024-01-01@00:00:00~", marked.format(3), 2000.0),
        (4, "9.2023-01-01@00:00:00~", marked.format(4), 3000.0),
        (5, "bak", SERVERS[:-2] + "5\n", 4000.0),
        (6, "orig", SERVERS[:-2] + "6\n", 5000.0),
    ):
        assert str(last) in text
        _write(paths, f"etc/resolv.conf.{name}", text, at=at)
    _write(paths, "run/resolvconf/interface/eth0.inet", "nameserver 10.0.0.7\n")
    for last, name in ((8, "original"), (9, "base"), (10, "head")):
        _write(paths, f"etc/resolvconf/resolv.conf.d/{name}", f"nameserver 10.0.0.{last}\n")
    order = (2, 1, 4, 3, 6, 5, 7, 8, 9, 10)
    assert _found(paths) == [f"backup {tier} 10.0.0.{last}" for tier, last in enumerate(order)]


@pytest.mark.parametrize("is_absolute", [False, True])
def test_backups_beside_the_links_target_count(paths: Paths, is_absolute: bool) -> None:  # noqa: FBT001
    """Somebody may have kept the file where it is; an absolute link stays below the root."""
    _write(paths, "run/elsewhere/real.conf", SERVERS)
    _write(paths, "run/elsewhere/real.conf.bak", "nameserver 10.0.0.3\n")
    _write(paths, "run/elsewhere/resolv.conf.bak", "nameserver 10.0.0.4\n")
    target = "/run/elsewhere/real.conf" if is_absolute else "../run/elsewhere/real.conf"
    paths.resolv_conf.symlink_to(target)
    assert _found(paths) == ["backup 0 10.0.0.3"]


def test_included_files_are_read(paths: Paths) -> None:
    """As ifupdown and dhclient would, and once however often they are named."""
    text = "source interfaces.d/*.cfg\nsource-directory /etc/network/more\nsource interfaces\n"
    _write(paths, "etc/network/interfaces", text)
    stanza = "iface eth{0} inet static\n dns-nameservers 10.0.0.{0}\n"
    _write(paths, "etc/network/interfaces.d/a.cfg", stanza.format(1), at=AT + 1)
    _write(paths, "etc/network/interfaces.d/b", stanza.format(2))
    _write(paths, "etc/network/more/c", stanza.format(3))
    _write(paths, "etc/dhcp/dhclient.conf", 'include "/etc/dhcp/more.conf"; include "/a\\000b";')
    _write(paths, "etc/dhcp/more.conf", "append domain-name-servers 10.0.0.4;")
    assert _found(paths) == [
        "lease 50 10.0.0.4",
        "interfaces 0 10.0.0.1",
        "interfaces 0 10.0.0.3",
        "interfaces 1 10.0.0.2",
    ]


def test_a_file_counts_once_whatever_its_names(paths: Paths) -> None:
    """/lib is /usr/lib; and a backup may be a link to one that is kept elsewhere."""
    _write(paths, "usr/lib/systemd/network/a.network", NETWORK)
    (paths.root / "lib").symlink_to("usr/lib")
    _write(paths, "kept", SERVERS)
    (paths.root / "etc/resolv.conf.bak").symlink_to("../kept")
    (paths.root / "etc/resolv.conf.old").hardlink_to(paths.root / "kept")
    assert _found(paths) == ["backup 0 10.0.0.2", "networkd 2 10.0.0.2"]


def test_poison_is_read_and_not_judged(paths: Paths) -> None:
    """Which address can be an upstream is the core's to say, at one place."""
    _write(paths, "etc/resolv.conf.1~", "nameserver 169.254.25.10\nnameserver 10.0.0.2\n")
    assert _found(paths) == ["backup 0 169.254.25.10", "backup 0 10.0.0.2"]


ODD = "directory", "fifo", "socket", "loop", "dangling", "device", "binary", "huge", "closed"


@pytest.mark.parametrize("kind", ODD)
def test_what_cannot_be_read_hides_nothing_else(paths: Paths, kind: str) -> None:
    """A file that is no file names nothing, and blocks nobody; the others still do."""
    _write(paths, "etc/resolv.conf.bak", "nameserver 10.0.0.3\n")
    _write(paths, "var/lib/dhcp/dhclient.leases", _lease("10.0.0.2"))
    for odd in ("etc/resolv.conf.7.2020-01-01@00:00:00~", "var/lib/dhcp/odd.leases"):
        _put(kind, paths.root / odd)
    for place in PLACES:
        for pattern in place.patterns:
            odd_path = paths.root / pattern.replace("*", "odd")
            odd_path.parent.mkdir(parents=True, exist_ok=True)
            if not os.path.lexists(odd_path):
                _put(kind, odd_path)
    begin = time.monotonic()
    found = [one for one in _found(paths) if "guess" not in one]
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


def test_of_a_huge_lease_file_the_end_counts_and_soon(paths: Paths) -> None:
    """It grows at its end; 10 MiB cost what the last few blocks do, and have no lines."""
    filler = _lease("10.0.0.9", hours=-1)
    huge = filler * (10 * (1 << 20) // len(filler)) + _lease("10.0.0.2")
    path = _write(paths, "var/lib/dhcp/dhclient.eth0.leases", huge)
    begin = time.process_time()
    found = look(paths)
    assert time.process_time() - begin < 0.1
    assert [(str(one.address), one.origin) for one in found.candidates[:2]] == [
        ("10.0.0.2", str(path)),
        ("10.0.0.9", str(path)),
    ]


def test_of_a_thousand_backups_the_oldest_count(paths: Paths) -> None:
    """And of copies without a date the newest; a look stays one of milliseconds."""
    for number in range(1000):
        name = f"7.2026-01-01@{number // 60:02}:{number % 60:02}:00~"
        server = f"nameserver 10.0.{number // 250}.{number % 250}\n"
        _write(paths, f"etc/resolv.conf.{name}", server, at=AT + number)
        _write(paths, f"etc/resolv.conf.bak{number}", server, at=AT + number)
    begin = time.process_time()
    found = look(paths).candidates
    assert time.process_time() - begin < 0.5
    assert len(found) == ranking.MOST_OF_A_SOURCE
    assert [str(one.address) for one in found[:3]] == ["10.0.0.0", "10.0.0.1", "10.0.0.2"]
    for path in (paths.root / "etc").glob("*~"):
        path.unlink()
    found = look(paths).candidates
    assert len(found) == sources.MOST_FILES == backups.MOST
    assert str(found[0].address) == "10.0.3.249"


def test_a_thousand_servers_are_no_configuration(paths: Paths) -> None:
    """Of one lease the first few count, and other sources keep their place."""
    many = [f"10.1.{number // 250}.{number % 250}" for number in range(1000)]
    _write(paths, "var/lib/dhcp/dhclient.leases", _lease(*many[:99]))
    _write(paths, "etc/resolv.conf.bak", "".join(f"nameserver {one}\n" for one in many))
    _write(paths, "etc/network/interfaces", "iface x inet static\n dns-nameservers 10.0.0.9\n")
    found = _found(paths)
    assert found[:1] == ["lease 0 10.1.0.0"]
    assert len([one for one in found if "backup" in one]) == 16
    assert "interfaces 0 10.0.0.9" in found


def test_a_changed_file_is_read_again(paths: Paths) -> None:
    """And an unchanged one is the same as before, cheaply."""
    _write(paths, "etc/resolv.conf.bak", SERVERS)
    assert look(paths) == look(paths)
    _write(paths, "etc/resolv.conf.bak", "nameserver 10.0.0.33\n")
    assert _found(paths) == ["backup 0 10.0.0.33"]
    (paths.root / "etc/resolv.conf.bak").unlink()
    assert _found(paths) == []


def test_the_nodes_own_interfaces_are_known() -> None:
    """At / those of our own network namespace count, whatever is mounted on /sys."""
    assert sources._interfaces("") == dict(socket.if_nameindex())
