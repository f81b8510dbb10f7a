"""The real dhclient decides whether ours is a reading of its dhclient.conf."""

import random
import time
from ipaddress import ip_address
from pathlib import Path

import pytest
from unit.formats.samples import DEBIAN, KUBESPRAY, REAL, STATEMENTS

from dnsguard.formats.dhclient import conf, leases
from dnsguard.formats.dhclient.options import SERVERS, SERVERS6
from dnsguard.formats.dhclient.statements import Conf, apply, find_requested
from integration.dhclient_oracle.client import Lab, servers_of

pytestmark = pytest.mark.integration


REAL6 = ("2001:db8::53",)


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
    assert servers_of(lab.client.ask(text.encode())) == outcome


@pytest.mark.parametrize(("content", "outcome"), KUBESPRAY.values(), ids=KUBESPRAY)
def test_kubesprays_files_do_to_dhclient_what_they_do_to_us(
    lab: Lab, content: bytes, outcome: tuple[str, ...]
) -> None:
    """Each version's block; the empty supersede and the unquoted domains included."""
    assert servers_of(lab.client.ask(content)) == outcome


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
    told = servers_of(lab.client.ask(content))
    assert told == _ours(conf.parse(content)), content.decode()


def test_a_condition_that_holds_counts(lab: Lab) -> None:
    """It is what ``with_conditional`` foresees."""
    content = b"if exists routers { supersede domain-name-servers 1.1.1.1; }"
    told = servers_of(lab.client.ask(content))
    assert told == _ours(conf.parse(content), with_conditional=True) == ("1.1.1.1",)


def test_a_host_name_leaves_none(lab: Lab) -> None:
    """There is no nameserver to look it up with."""
    content = b"prepend domain-name-servers ns.invalid; append domain-name-servers 1.1.1.1;"
    assert servers_of(lab.client.ask(content)) == _ours(conf.parse(content)) == ()


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
    assert servers_of(lab.client.ask(content)) == _ours(parsed) == ("1.1.1.1",)


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
    told = servers_of(environ, "new_dhcp6_name_servers")
    offered = tuple(map(ip_address, REAL6))
    statements = conf.parse(text.encode()).statements
    assert told == tuple(map(str, apply(statements, "eth0", offered, option=SERVERS6)))
    (lease,) = leases.parse(lab.client.leases.read_bytes())
    assert (lease.version, lease.interface) == (6, "eth0")
    assert tuple(map(str, lease.nameservers)) == told
    assert str(lease.address) == environ["new_ip6_address"]
    assert lease.expires is not None
    assert time.time() + 3000 < lease.expires < time.time() + 4000


def test_dhclient_for_ipv6_hands_over_dhcpv4s_options(lab: Lab) -> None:
    """Those that dhclient.conf supersedes; dhclient-script takes them before DHCPv6's own."""
    environ = lab.client.ask(b"supersede domain-name-servers 169.254.25.10;", version=6)
    assert servers_of(environ, "new_domain_name_servers") == ("169.254.25.10",)
    assert servers_of(environ, "new_dhcp6_name_servers") == REAL6
    environ = lab.client.ask(b"supersede dhcp6.name-servers ::1;", version=4)
    assert servers_of(environ, "new_domain_name_servers") == REAL
