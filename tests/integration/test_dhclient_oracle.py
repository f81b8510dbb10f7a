"""The real dhclient decides whether ours is a reading of its files.

dhclient runs in a network namespace of its own with a script that only writes down the
environment, so it touches no resolv.conf. dnsmasq is the DHCP server at the other end.
"""

import fcntl
import random
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Address, ip_address
from itertools import product
from pathlib import Path

import pytest
from lab.dhcp import PATIENCE, Machine, Server, network
from lab.netns import Namespace
from lab.wait import readable, until
from unit.formats.samples import DEBIAN, KUBESPRAY, REAL, STATEMENTS

from dnsguard.formats import dhcp
from dnsguard.formats.address import IPAddress
from dnsguard.formats.dhclient import conf, leases, script
from dnsguard.formats.dhclient import records as told
from dnsguard.formats.dhclient.options import SERVERS, SERVERS6
from dnsguard.formats.dhclient.statements import Conf, apply, find_requested

pytestmark = pytest.mark.integration

SIOCGIFHWADDR = 0x8927  # netdevice(7); Python has no name for it
REAL6 = ("2001:db8::53",)
SCRIPT = """\
#!/bin/sh
case $reason in
    PREINIT*) ip link set $interface up ;;
    BOUND*|REBOOT|TIMEOUT) env >"$0.new" && mv "$0.new" "$0.env" ;;
esac
exit 0
"""
Environ = Mapping[str, str]


class Client:
    """dhclient on eth0, once for each question."""

    def __init__(self, where: Namespace, directory: Path) -> None:
        self._where = where
        self._script = directory / "script"
        self._script.write_text(SCRIPT)
        self._script.chmod(0o755)
        self._environ = directory / "script.env"
        self._conf = directory / "dhclient.conf"
        self._pid = directory / "dhclient.pid"
        self.leases = directory / "dhclient.leases"

    def ask(self, content: bytes, *, version: int = 4) -> Environ:
        """Return what the hook is told with this dhclient.conf, without a lease before it."""
        self.leases.write_bytes(b"")
        return self.ask_again(content, version=version)

    def ask_again(self, content: bytes, *, version: int = 4) -> Environ:
        """Ask with the leases as they are; its process is gone when this returns."""
        with self.running(content, version=version) as environ:
            return environ

    @contextmanager
    def running(self, content: bytes, *, version: int = 4) -> Iterator[Environ]:
        """Run dhclient from the time it has written down its lease: later than the hook knows."""
        self._environ.unlink(missing_ok=True)
        self._conf.write_bytes(content)
        files = ["-cf", self._conf, "-lf", self.leases, "-pf", self._pid, "-sf", self._script]
        command = ["dhclient", f"-{version}", "-d", *map(str, files), "eth0"]
        with self._where.inside():
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
            )
        try:
            until(lambda: self._environ.exists() or process.poll() is not None, within=PATIENCE)
            assert self._environ.exists(), f"dhclient ended with {process.returncode}"
            lines = self._environ.read_text(errors="replace").splitlines()
            environ = dict(line.split("=", 1) for line in lines if "=" in line)
            if environ["reason"] != "TIMEOUT":
                until(lambda: bool(leases.parse(self.leases.read_bytes())))
            yield environ
        finally:
            process.send_signal(signal.SIGKILL)  # no RELEASE
            process.communicate()


class Lab:
    def __init__(self, server: Server, client: Client, node: Namespace) -> None:
        self.server = server
        self.client = client
        self.node = node


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    directory = tmp_path_factory.mktemp("dhclient")
    with network() as (node, other):
        server = Server(other, directory)
        try:
            yield Lab(server, Client(node, directory), node)
        finally:
            server.stop()


def _servers(environ: Environ, name: str = "new_domain_name_servers") -> tuple[str, ...]:
    return tuple(environ.get(name, "").split())


def _ours(parsed: Conf, *, with_conditional: bool = False) -> tuple[str, ...]:
    """Return our reading; what isn't asked for dnsmasq doesn't send, asked nothing it sends all."""
    asked = find_requested(parsed.requests, "eth0")
    offered = map(ip_address, REAL) if not asked or SERVERS in asked else ()
    found = apply(parsed.statements, "eth0", tuple(offered), with_conditional=with_conditional)
    return tuple(map(str, found))


@pytest.mark.parametrize(("text", "outcome"), STATEMENTS.values(), ids=STATEMENTS)
def test_a_statement_does_to_dhclient_what_it_does_to_us(
    lab: Lab, text: str, outcome: tuple[str, ...]
) -> None:
    """Each form that the unit tests assert."""
    assert _servers(lab.client.ask(text.encode())) == outcome


@pytest.mark.parametrize(("content", "outcome"), KUBESPRAY.values(), ids=KUBESPRAY)
def test_kubesprays_files_do_to_dhclient_what_they_do_to_us(
    lab: Lab, content: bytes, outcome: tuple[str, ...]
) -> None:
    """Each version's block; the empty supersede and the unquoted domains included."""
    assert _servers(lab.client.ask(content)) == outcome


PARTS = (
    *(text for text, _ in STATEMENTS.values()),
    'supersede domain-search "a.b","c.d";',
    "supersede domain-search a.b,c.d;",
    "request foo;",
    "timeout x;",
    "foo bar;",
    "foo;",
    "}",
    "};",
    ";",
    "12;",
    "- x;",
    '"str";',
    "domain-name-servers 1.2.3.4;",
    "option domain-name-servers;",
    "append domain-name-servers 3.3.3.3,, 4.4.4.4;",
    "append domain-name-servers ,3.3.3.3;",
    "prepend domain-name-servers 2.2.2.2,;",
    "append domain-name-servers = 9.9.9.9;",
    "ignore bootp;",
    "allow foo;",
    'include "/nonexistent";',
    "require authentication;",
    "reject 10.1.1.1;",
    "supersede ntp-servers 1.2.3.4;",
    'supersede ntp-servers "x";',
    "supersede interface-mtu 1500;",
    "supersede interface-mtu big;",
    "supersede slp-directory-agent true 1.2.3.4;",
    "send dhcp-client-identifier 1:0:a0:24:ab:fb:9c;",
    "supersede dhcp6.name-servers fe80::1, 2001:db8::1;",
    "supersede dhcp6.name-servers 1.2.3.4;",
    'key k { algorithm hmac-md5; secret "abcd"; };',
    "interface eth0 { supersede domain-name-servers 9.4.4.4; }",
    'pseudo "p" "eth1" { supersede domain-name-servers 9.5.5.5; }',
    'script "/bin/false" x;',
    'set x = "y";',
    'set x = "y"',
    'media "a","b";',
    "lease-id-format x;",
    "hardware ethernet 0:1:2:3:4:5;",
    "do-forward-updates false;",
    "option wpad code 252 = { text, integer 8 };",
    "option wpad code 252 = array of ip-address supersede wpad 1.1.1.1;",
)


@pytest.mark.parametrize("seed", range(80))
def test_any_mixture_is_read_as_dhclient_reads_it(lab: Lab, seed: int) -> None:
    """Right and wrong statements in any order: what is lost with what is the whole point."""
    chance = random.Random(seed)  # noqa: S311 -- nothing secret
    some = chance.choices(PARTS, k=chance.randint(2, 8))
    tail = [f"append domain-name-servers 20.0.0.{number};" for number in range(1, 4)]
    content = "\n".join((*some, *tail)).encode()
    told = _servers(lab.client.ask(content))
    assert told == _ours(conf.parse(content)), content.decode()


def test_a_condition_that_holds_counts(lab: Lab) -> None:
    """It is what ``with_conditional`` foresees."""
    content = b"if exists routers { supersede domain-name-servers 1.1.1.1; }"
    told = _servers(lab.client.ask(content))
    assert told == _ours(conf.parse(content), with_conditional=True) == ("1.1.1.1",)


def test_a_host_name_leaves_none(lab: Lab) -> None:
    """There is no nameserver to look it up with."""
    content = b"prepend domain-name-servers ns.invalid; append domain-name-servers 1.1.1.1;"
    assert _servers(lab.client.ask(content)) == _ours(conf.parse(content)) == ()


def test_domains_are_read_as_dhclient_reads_them(lab: Lab) -> None:
    """Escapes, search lists, and that 2.27's unquoted ones are none."""
    environ = lab.client.ask(rb'supersede domain-name "\143luster.\x6cocal"; ' + DEBIAN)
    assert environ["new_domain_name"] == "cluster.local"
    assert environ["new_domain_search"] == "a.example. b.example."
    content, _ = KUBESPRAY["2.27"]
    environ = lab.client.ask(content)
    assert environ["new_domain_name"] == "real.example"
    assert environ["new_domain_search"] == "a.example. b.example."


def test_an_included_file_counts_in_its_place(lab: Lab, tmp_path: Path) -> None:
    """As if its statements stood there."""
    other = tmp_path / "other.conf"
    other.write_bytes(b"supersede domain-name-servers 1.1.1.1;")
    content = (
        f"supersede domain-name-servers 2.2.2.2;\n"
        f'interface "eth0" {{ include "{other}"; }}\n'
        f"append domain-name-servers 3.3.3.3;\n"
    ).encode()
    parsed = conf.parse(content, {str(other): other.read_bytes()})
    assert _servers(lab.client.ask(content)) == _ours(parsed) == ("1.1.1.1",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "supersede dhcp6.name-servers fd00:25::10;",
        "prepend dhcp6.name-servers fe80::1, FD00::2;",
        'interface "eth0" { append dhcp6.name-servers ::1; }',
        "supersede dhcp6.name-servers 1.1.1.1; append dhcp6.name-servers ::1;",
    ],
)
def test_ipv6_is_read_as_dhclient_reads_it(lab: Lab, text: str) -> None:
    """The same statements with the option of DHCPv6, and its lease."""
    environ = lab.client.ask(text.encode(), version=6)
    told = _servers(environ, "new_dhcp6_name_servers")
    offered = tuple(map(ip_address, REAL6))
    statements = conf.parse(text.encode()).statements
    assert told == tuple(map(str, apply(statements, "eth0", offered, option=SERVERS6)))
    (lease,) = leases.parse(lab.client.leases.read_bytes())
    assert (lease.version, lease.interface) == (6, "eth0")
    assert tuple(map(str, lease.nameservers)) == told
    assert str(lease.address) == environ["new_ip6_address"]
    assert lease.expires is not None
    assert time.time() + 3000 < lease.expires < time.time() + 4000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "supersede domain-name-servers 169.254.25.10;",
        r'supersede host-name "a\"};{\\"; supersede root-path "\001\377$`";',
        'supersede domain-search "x.example", "x.example", "y.x.example";',
    ],
)
def test_dhclients_leases_are_read(lab: Lab, text: str) -> None:
    """What it writes down is what the hook was told."""
    environ = lab.client.ask(b"also request domain-search; " + text.encode())
    (lease,) = leases.parse(lab.client.leases.read_bytes())
    assert tuple(map(str, lease.nameservers)) == _servers(environ)
    assert lease.search == tuple(environ["new_domain_search"].split())
    assert (lease.interface, lease.domain) == ("eth0", environ["new_domain_name"])
    assert str(lease.address) == environ["new_ip_address"]
    assert str(lease.server) == environ["new_dhcp_server_identifier"]
    assert tuple(map(str, lease.routers)) == _servers(environ, "new_routers")
    assert lease.expires == float(environ["new_expiry"])


NAMES = (
    "a b",
    "a  b ",
    " a",
    "a.b.",
    "a..b",
    ".",
    ".a",
    "-a",
    "a-",
    "a-.b",
    "a_b",
    "_a",
    "a/b",
    "a,b",
    "\\303\\274",
    r"a\nb",
    r"a\"b",
    "a" * 63,
    "a" * 64,
    ".".join(["a" * 63] * 4),
)


@pytest.mark.parametrize("name", NAMES)
def test_a_lease_tells_what_the_script_is_told(lab: Lab, name: str) -> None:
    """Of a domain that is none dhclient says nothing, but its lease has it."""
    text = f'supersede domain-name "{name}"; also request domain-search;'
    environ = lab.client.ask(text.encode())
    (lease,) = leases.parse(lab.client.leases.read_bytes())
    found = told.from_lease(lease)
    assert found.domain == environ.get("new_domain_name")
    assert " ".join(found.search) == environ["new_domain_search"]
    assert found.nameservers == tuple(map(ip_address, _servers(environ)))


def test_the_script_is_told_ipv6_addresses_as_we_write_them(lab: Lab) -> None:
    """IPv4 in them is dotted, as inet_ntop(3) has it."""
    servers = "::ffff:1.2.3.4, ::1.2.3.4, ::1, ::1:0, fe80::1, fe80:1::1, 2001:db8:0:0:1::"
    environ = lab.client.ask(f"supersede dhcp6.name-servers {servers};".encode(), version=6)
    (lease,) = leases.parse(lab.client.leases.read_bytes())
    assert script.make_resolv_conf(told.from_lease(lease), b"") == b"".join(
        f"nameserver {server}{'%eth0' if server == 'fe80::1' else ''}\n".encode()
        for server in _servers(environ, "new_dhcp6_name_servers")
    )


def test_without_a_server_the_lease_counts_and_not_the_configuration(lab: Lab) -> None:
    """The TIMEOUT path: a poisoned lease poisons the node even after dhclient.conf is clean."""
    lab.client.ask(b"supersede domain-name-servers 169.254.25.10;")
    with lab.server.silent():
        environ = lab.client.ask_again(
            b"reboot 1; timeout 1; initial-interval 1; prepend domain-name-servers 1.1.1.1;"
        )
    assert environ["reason"] == "TIMEOUT"
    newest = leases.parse(lab.client.leases.read_bytes())[-1]
    assert tuple(map(str, newest.nameservers)) == _servers(environ) == ("169.254.25.10",)


def test_a_lease_of_the_configuration_is_the_last_resort(lab: Lab) -> None:
    """``lease {}`` in dhclient.conf, when no server answers."""
    content = b"""timeout 1; lease {
        interface "eth0"; fixed-address 10.99.0.60; option subnet-mask 255.255.255.0;
        option domain-name-servers 10.99.0.7; renew never; rebind never; expire never; }"""
    with lab.server.silent():
        environ = lab.client.ask(content)
    (lease,) = conf.parse(content).leases
    assert environ["reason"] == "TIMEOUT"
    assert tuple(map(str, lease.nameservers)) == _servers(environ) == ("10.99.0.7",)


def test_the_server_answers_our_question_truly(lab: Lab) -> None:
    """DHCPINFORM beside a running dhclient that holds a poisoned lease on the same port."""
    lab.client.leases.write_bytes(b"")
    with lab.client.running(b"supersede domain-name-servers 169.254.25.10;"):
        lease = leases.parse(lab.client.leases.read_bytes())[-1]
        before = lab.client.leases.read_bytes()
        assert isinstance(lease.address, IPv4Address)
        assert lease.server is not None
        with lab.node.inside(), _address(lease.address):
            got = _inform(lease.address, frozenset({lease.server}))
        assert lab.client.leases.read_bytes() == before
    assert got == dhcp.Reply(
        nameservers=(IPv4Address(REAL[0]), IPv4Address(REAL[1])),
        domain="real.example",
        search=("a.example", "b.example"),
        routers=(IPv4Address("10.99.0.1"),),
        server=IPv4Address("10.99.0.1"),
    )


@contextmanager
def _address(address: IPv4Address) -> Iterator[None]:
    """Have the address on eth0, as dhclient-script would."""
    command = ["ip", "address", "add", f"{address}/24", "dev", "eth0"]
    subprocess.run(command, check=True)
    try:
        yield
    finally:
        command[2] = "del"
        subprocess.run(command, check=True)


def _inform(address: IPv4Address, servers: frozenset[IPAddress]) -> dhcp.Reply | dhcp.Refused:
    """Ask by a plain UDP socket on the client's port, and return the first word on it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
        asking.bind(("", dhcp.CLIENT_PORT))
        hardware = fcntl.ioctl(asking, SIOCGIFHWADDR, struct.pack("16s16x", b"eth0"))[18:24]
        expected = dhcp.Expected(xid=0x2A, hardware=hardware, address=address, servers=servers)
        asking.sendto(dhcp.make_inform(expected), ("255.255.255.255", dhcp.SERVER_PORT))
        assert readable(asking)
        return dhcp.accept(asking.recv(4096), expected)


FILES = (
    b"",
    b"search old.example\nnameserver 192.0.2.1\n nameserver 192.0.2.2\n#nameserver 192.0.2.3\n",
    b"NameServer\t1.1.1.1\nnameserverless\nwwnameserver 1\n\\wnameserver 2\nWnameserver 3",
    b"nameserver 1.1.1.1\r\nnameserver \xff\n\x00nameserver 2.2.2.2\nnameserver\x003.3.3.3\n\n",
    b"options ndots:5\n",
)
DOMAINS = ("", "a.b", "a.b.", "a b", "c  a.b ", " a.b")
SEARCHES = ("", "a.b", "a.b. x.", "x. a.b", "x y z", "a b")
SERVERS4 = ("", "1.1.1.1", "1.1.1.1 10.0.0.1 9.9.9.9 8.8.8.8")
SERVERS_6 = ("", "::1 fe80::1 fe80:1::1", "::ffff:1.2.3.4 ::1.2.3.4 2001:db8::1")
_RUN = (
    "eval \"$(sed -n '/^wait_for_rw()/,/^}/p; /^make_resolv_conf()/,/^}/p' /sbin/dhclient-script)\""
    " && make_resolv_conf"
)


_KEYS = {
    "domain_name": "domain",
    "domain_search": "search",
    "domain_name_servers": "nameservers",
    "dhcp6_domain_search": "search",
    "dhcp6_name_servers": "nameservers",
}


def _record(reason: str, values: Mapping[str, str]) -> bytes:
    """Return what our hook would write of these variables."""
    lines = [f"{_KEYS[name]} {value}" for name, value in values.items()]
    header = ["dnsguard-dhclient 1", f"reason {reason}", "interface eth0"]
    return "\n".join((*header, *lines)).encode()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with network() as (node, _):
        made = Machine(tmp_path_factory.mktemp("script"), node)
        yield made
        made.close()


@pytest.mark.parametrize("current", FILES)
def test_the_real_script_makes_the_same_file(machine: Machine, current: bytes) -> None:
    """Debian's own make_resolv_conf, with every combination of what it may be told."""
    four = [
        {"domain_name": domain, "domain_search": search, "domain_name_servers": servers}
        for domain, search, servers in product(DOMAINS, SEARCHES, SERVERS4)
    ]
    six = [
        {"dhcp6_domain_search": search, "dhcp6_name_servers": servers}
        for search, servers in product(SEARCHES, SERVERS_6)
    ]
    for values in (*four, *six):
        machine.file.write_bytes(current)
        environ = [f"new_{name}={value}" for name, value in values.items() if value]
        done = machine.run("env", "interface=eth0", *environ, "sh", "-c", _RUN)
        assert done.returncode == 0, done.stderr
        reason = "BOUND6" if values in six else "BOUND"
        record = told.parse(_record(reason, values))
        assert record is not None
        found = script.make_resolv_conf(record, current)
        assert (current if found is None else found) == machine.file.read_bytes(), values
