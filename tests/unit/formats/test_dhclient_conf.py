"""dhclient.conf: the statements that count, and what they make of an offer.

That dhclient itself does the same, ``tests/integration/dhclient_oracle`` shows.
"""

from ipaddress import IPv6Address, ip_address

import pytest

from dnsguard.formats.dhclient import conf
from dnsguard.formats.dhclient.options import SERVERS, SERVERS6
from dnsguard.formats.dhclient.statements import Conf, Verb, apply, find_requested
from unit.formats.samples import DEBIAN, KUBESPRAY, REAL, STATEMENTS


def _outcome(parsed: Conf, interface: str = "eth0") -> tuple[str, ...]:
    """Return the nameservers after an offer of REAL by a server that sends what is asked."""
    is_asked = SERVERS in find_requested(parsed.requests, interface)
    offered = tuple(map(ip_address, REAL)) if is_asked else ()
    return tuple(map(str, apply(parsed.statements, interface, offered)))


@pytest.mark.parametrize(("text", "outcome"), STATEMENTS.values(), ids=STATEMENTS)
def test_a_statement_has_its_effect(text: str, outcome: tuple[str, ...]) -> None:
    """Each form, the wrong ones included, does what it does to dhclient."""
    assert _outcome(conf.parse(text.encode())) == outcome


@pytest.mark.parametrize(("content", "outcome"), KUBESPRAY.values(), ids=KUBESPRAY)
def test_what_kubespray_writes_is_understood(content: bytes, outcome: tuple[str, ...]) -> None:
    """Each version's block on top of Debian's file, as it is after the reboot."""
    assert _outcome(conf.parse(content)) == outcome


def test_debians_own_file_changes_nothing() -> None:
    """It has no statement of ours and asks for nameservers."""
    parsed = conf.parse(DEBIAN)
    assert parsed.statements == ()
    assert find_requested(parsed.requests, "eth0")[3:6] == (
        "routers",
        "domain-name",
        "domain-name-servers",
    )


def test_a_statement_knows_its_place() -> None:
    """Line, interface, verb, option and values, in the order of the file."""
    parsed = conf.parse(
        b"# first\n"
        b"supersede domain-name-servers 10.0.0.1,\n"
        b"  ns.example;\n"
        b'interface "ens3" {\n'
        b"  prepend dhcp6.name-servers fe80::1, 2001:DB8::53;\n"
        b"}\n"
        b'append domain-search "a.example", "b.example";\n'
    )
    first, second, third = parsed.statements
    assert (first.verb, first.option, first.line) == (Verb.SUPERSEDE, SERVERS, 2)
    assert first.addresses == (ip_address("10.0.0.1"),)
    assert first.texts == ("ns.example",)
    assert first.interface is None
    assert (second.verb, second.option, second.line) == (Verb.PREPEND, SERVERS6, 5)
    assert second.addresses == (IPv6Address("fe80::1"), IPv6Address("2001:db8::53"))
    assert second.interface == "ens3"
    assert (third.verb, third.option, third.texts) == (
        Verb.APPEND,
        "domain-search",
        ("a.example", "b.example"),
    )


def test_the_empty_supersede_takes_three_statements_along() -> None:
    """Kubespray up to 2.25 writes it early on: Debian's ``request`` is among the victims."""
    content, _ = KUBESPRAY["up to 2.25, early"]
    parsed = conf.parse(content)
    assert [one.option for one in parsed.statements] == ["domain-name", "domain-search"]
    assert parsed.requests == ()


def test_unquoted_domains_are_lost_with_what_follows() -> None:
    """Kubespray 2.27: the search list goes, too, and the domain."""
    content, _ = KUBESPRAY["2.27"]
    parsed = conf.parse(content)
    assert [one.option for one in parsed.statements] == [SERVERS]


def test_a_host_name_leaves_no_nameserver() -> None:
    """At boot it can't be looked up, and dhclient then drops all that it is joined to."""
    text = b"prepend domain-name-servers ns.example; append domain-name-servers 1.1.1.1;"
    assert _outcome(conf.parse(text)) == ()
    assert _outcome(conf.parse(text + b"supersede domain-name-servers 2.2.2.2;")) == ("2.2.2.2",)


def test_a_condition_counts_when_asked_for() -> None:
    """Whether it holds can't be told, so the caller says which way to look."""
    parsed = conf.parse(
        b'if option host-name = "a" { supersede domain-name-servers 1.1.1.1; }\n'
        b"else { append domain-name-servers 2.2.2.2; }"
    )
    assert [one.is_conditional for one in parsed.statements] == [True, True]
    found = apply(parsed.statements, "eth0", (), with_conditional=True)
    assert list(map(str, found)) == ["1.1.1.1", "2.2.2.2"]


def test_a_computed_value_is_marked() -> None:
    """It is not known, but that there is one is."""
    text = b"supersede domain-name-servers = concat(0a:00:00:01, 0a:00:00:02);"
    (one,) = conf.parse(text).statements
    assert one.is_computed
    assert one.addresses == ()


def test_included_files_are_read_in_their_place() -> None:
    """Where their content is given; they are named in any case, and may include each other."""
    text = b"""\
        interface "eth0" { include "/etc/dhcp/a.conf"; }
        include "/etc/dhcp/missing.conf";
        prepend domain-name-servers 2.2.2.2;
    """
    files = {
        "/etc/dhcp/a.conf": b'\ninclude "/etc/dhcp/a.conf"; append domain-name-servers 1.1.1.1;'
    }
    alone = conf.parse(text)
    assert alone.includes == ("/etc/dhcp/a.conf", "/etc/dhcp/missing.conf")
    assert len(alone.statements) == 1
    parsed = conf.parse(text, files)
    assert len(parsed.statements) == conf.MOST_FILES + 1
    assert {one.path for one in parsed.statements} == {"/etc/dhcp/a.conf", None}
    assert parsed.statements[0].interface == "eth0"
    assert parsed.statements[0].line == 2


def test_the_rest_of_a_file_is_told() -> None:
    """Leases of the file itself, which an alias is not, and a script in the place of dhclient-script."""
    parsed = conf.parse(
        b'script "/sbin/other";\n'
        b'lease { interface "eth0"; fixed-address 10.0.0.9; option domain-name-servers 1.1.1.1; }\n'
        b'alias { interface "eth0"; fixed-address 10.0.0.8; }\n'
        b"require subnet-mask;\n"
    )
    assert [one.path for one in parsed.scripts] == ["/sbin/other"]
    assert [(str(one.address), one.line) for one in parsed.leases] == [("10.0.0.9", 2)]
    assert [(one.is_required, one.options) for one in parsed.requests] == [(True, ("subnet-mask",))]


def test_a_pseudo_interface_goes_by_its_own_name() -> None:
    """It is a second client on the interface, with a configuration of its own."""
    parsed = conf.parse(b'pseudo "other" "eth0" { supersede domain-name-servers 1.1.1.1; }')
    assert [one.interface for one in parsed.statements] == ["other"]


def test_a_file_too_long_is_read_from_its_top() -> None:
    """What stands behind is left out."""
    text = b"prepend domain-name-servers 1.1.1.1;\n"
    parsed = conf.parse(text * 10_000)
    assert 100 < len(parsed.statements) < 10_000
    assert conf.parse(b" " * conf.MAX_BYTES + text).statements == ()


def test_deep_blocks_are_skipped() -> None:
    """Nobody needs them, and the parser's own stack is not to be had."""
    text = b'interface "a" { ' * 2000 + b"supersede domain-name-servers 1.1.1.1;"
    assert conf.parse(text).statements == ()
    text = b"if exists routers { " * 2000 + b"supersede domain-name-servers 1.1.1.1;"
    assert conf.parse(text).statements == ()
