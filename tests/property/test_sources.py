"""Other programs' files: whatever is in them, an answer and no exception."""

import json
import struct
from collections.abc import Callable
from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from unit.formats.samples import DEBIAN, KUBESPRAY, STATEMENTS
from unit.formats.test_cloudinit import NETPLAN, OPENSTACK, VERSION1
from unit.formats.test_corefile import COREDNS, NODELOCALDNS
from unit.formats.test_dhclient_hooks import DEBIAN as SCRIPT
from unit.formats.test_dhclient_hooks import KUBESPRAY as HOOK
from unit.formats.test_dhclient_leases import HONEST, LEASE6, POISONED
from unit.formats.test_dhcp import OPTIONS, OURS, reply
from unit.formats.test_networkd import LEASE
from unit.formats.test_networkmanager import DEVICE

from dnsguard.formats import (
    cloudinit,
    corefile,
    dhcp,
    dhcpcd,
    ifupdown,
    networkd,
    networkmanager,
    shell_variables,
)
from dnsguard.formats.dhclient import conf, hooks, leases
from dnsguard.formats.dhclient.shell import parser
from dnsguard.formats.dhclient.statements import Statement, Verb, apply, find_requested
from dnsguard.formats.domain_list import read_domains
from dnsguard.formats.endpoint import parse_endpoint
from dnsguard.host import yaml_text
from property.examples import MANY

INTERFACES = b"iface eth0 inet static\n dns-nameservers 1.1.1.1 \\\n 2.2.2.2\nsource x/*\n"
NETWORK = b"[Match]\nName=en*\n[Network]\nDNS=1.1.1.1:53%eth0#x\nDNS=\nDNS=[fe80::1]:53\n"
NM = b"[global-dns-domain-*]\nservers=1.1.1.1,2.2.2.2\n[global-dns]\nsearches=a,b\n"
NMCONNECTION = b"[connection]\ninterface-name=eth0\n[ipv4]\ndns=1.1.1.1;2.2.2.2;\ndns-search=a;\n"
COREFILE = b". a:53 {\n  bind 1.1.1.1\n  forward . 2.2.2.2 dns://3.3.3.3 {\n    x\n  }\n}\n"
MESSAGE = reply(OPTIONS + b"\x77\x05\x01a\x00\xc0\x00\x34\x01\x03\xff")
MESSAGE6 = b"\x07\x01\x02\x03" + struct.pack("!HH", 23, 16) + bytes(16)

DHCPCD = b"hostname\ninterface eth0\nstatic routers=10.1.1.254\nstatic domain_name_servers=1.1.1.1 2.2.2.2\n"
KLIBC = b"DEVICE='eth0'\nIPV4DNS0='1.1.1.1'\nIPV4DNS1='0.0.0.0'\n"
CLOUD_CONFIG = (
    b"#cloud-config\nmanage_resolv_conf: true\nresolv_conf:\n  nameservers: ['1.1.1.1']\n"
)

READERS: tuple[tuple[Callable[[bytes], object], tuple[bytes, ...]], ...] = (
    (conf.parse, (DEBIAN, *(one.encode() for one, _ in STATEMENTS.values()))),
    (conf.parse, tuple(content for content, _ in KUBESPRAY.values())),
    (leases.parse, (HONEST + POISONED, LEASE6, LEASE6 + HONEST)),
    (hooks.find_writes, (HOOK, SCRIPT)),
    (parser.parse, (HOOK, SCRIPT)),
    (ifupdown.parse, (INTERFACES,)),
    (networkd.parse_lease, (LEASE,)),
    (networkd.parse_network, (NETWORK,)),
    (networkd.parse_resolved, (NETWORK.replace(b"Network", b"Resolve"),)),
    (networkmanager.parse, (NM,)),
    (networkmanager.parse_connection, (NMCONNECTION,)),
    (networkmanager.parse_device, (DEVICE,)),
    (corefile.parse, (COREFILE,)),
    (lambda content: corefile.parse_configmap(yaml_text.load(content)), (NODELOCALDNS, COREDNS)),
    (cloudinit.parse_json, (json.dumps(OPENSTACK).encode(),)),
    (lambda content: cloudinit.parse(yaml_text.load(content)), (NETPLAN, VERSION1)),
    (dhcp.decode, (MESSAGE, dhcp.make_inform(OURS))),
    (lambda content: dhcp.accept(content, OURS), (MESSAGE,)),
    (dhcpcd.parse_lease, (MESSAGE,)),
    (dhcpcd.parse_lease6, (MESSAGE6,)),
    (dhcpcd.parse_conf, (DHCPCD,)),
    (lambda content: shell_variables.find_nameservers(content, "IPV4DNS0", "IPV4DNS1"), (KLIBC,)),
    (lambda content: cloudinit.parse_config(yaml_text.load(content)), (CLOUD_CONFIG,)),
)
SPICE = (
    b"", b";", b"{", b"}", b'"', b"\\", b"\n", b"\0", b"\xff", b"#", b",", b"=", b"[", b"]", b"(",
    b"$(", b"`", b"<<x", b"lease {\n", b"option ", b"1.1.1.1", b"if x {", b"- ", b": ", b"%", b"\\x",
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn, samples: tuple[bytes, ...]) -> bytes:
    """Return a valid file with a few things cut out, put in, doubled or cut off."""
    content = draw(st.sampled_from(samples))
    for _ in range(draw(st.integers(0, 4))):
        begin = draw(st.integers(0, len(content)))
        end = draw(st.integers(begin, min(len(content), begin + 40)))
        put_in = draw(st.one_of(st.sampled_from(SPICE), st.just(content[begin:end] * 2)))
        content = content[:begin] + put_in + content[end:]
    if draw(st.booleans()):
        content = content[: draw(st.integers(0, len(content)))]
    return content


@pytest.mark.parametrize(("read", "samples"), READERS)
def test_any_bytes_are_read(read: Callable[[bytes], object], samples: tuple[bytes, ...]) -> None:
    """Noise, and files that once were valid; the same bytes twice give the same."""
    is_dhclients = read in (conf.parse, leases.parse)

    @settings(max_examples=MANY if is_dhclients else settings().max_examples)
    @given(st.one_of(st.binary(max_size=400), mutated(samples)))
    def check(content: bytes) -> None:
        assert read(content) == read(content)

    check()


@given(st.integers(0, len(HONEST) + len(POISONED)))
def test_a_lease_file_cut_in_half_yields_what_was_whole(cut: int) -> None:
    """Nothing less, and nothing that wasn't there."""
    whole = leases.parse(HONEST + POISONED)
    found = leases.parse((HONEST + POISONED)[:cut])
    is_first_whole = cut >= len(HONEST) - 1
    is_second_whole = cut >= len(HONEST) + len(POISONED) - 1
    assert found == whole[: is_first_whole + is_second_whole]


@given(mutated((HONEST,)))
def test_a_broken_lease_spoils_no_other(broken: bytes) -> None:
    """What dhclient appends to a broken file is read whole."""
    if broken.endswith(b"\n") and broken.count(b'"') % 2 == 0:
        assert leases.parse(broken + POISONED)[-1].nameservers == (ip_address("169.254.25.10"),)


_ADDRESSES: st.SearchStrategy[tuple[IPv4Address, ...]] = st.lists(
    st.sampled_from([IPv4Address(f"10.0.0.{last}") for last in range(1, 9)]), max_size=3
).map(tuple)


@st.composite
def _statements(draw: st.DrawFn) -> tuple[Statement, ...]:
    verbs: st.SearchStrategy[Verb] = st.sampled_from(Verb)
    interfaces = st.sampled_from([None, "eth0", "eth1"])
    drawn = draw(st.lists(st.tuples(verbs, interfaces, _ADDRESSES.filter(bool)), max_size=6))
    return tuple(
        Statement(
            verb=verb,
            option="domain-name-servers",
            addresses=addresses,
            interface=interface,
            line=line,
        )
        for line, (verb, interface, addresses) in enumerate(drawn, start=1)
    )


@given(_statements(), _ADDRESSES)
def test_only_supersede_hides_what_the_server_offers(
    statements: tuple[Statement, ...], offered: tuple[IPv4Address, ...]
) -> None:
    """Everything else leaves it in its order; another interface's statements change nothing."""
    found = apply(statements, "eth0", offered)
    ours = [one for one in statements if one.interface != "eth1"]
    assert found == apply(ours, "eth0", offered)
    if all(one.verb is not Verb.SUPERSEDE for one in ours):
        places = [at for at in range(len(found) + 1) if found[at : at + len(offered)] == offered]
        assert places
    if offered and not any(one.verb in (Verb.APPEND, Verb.PREPEND, Verb.SUPERSEDE) for one in ours):
        assert found == offered


@given(_statements(), _ADDRESSES)
def test_a_written_file_reads_as_it_was_meant(
    statements: tuple[Statement, ...], offered: tuple[IPv4Address, ...]
) -> None:
    """Written down and read again, the statements have the same effect."""
    text = "".join(
        f'interface "{one.interface}" {{ {_written(one)} }}\n'
        if one.interface
        else f"{_written(one)}\n"
        for one in statements
    )
    parsed = conf.parse(text.encode())
    assert parsed.statements == statements
    assert apply(parsed.statements, "eth0", offered) == apply(statements, "eth0", offered)
    assert "domain-name-servers" in find_requested(parsed.requests, "eth0")


def _written(statement: Statement) -> str:
    addresses = ", ".join(map(str, statement.addresses))
    return f"{statement.verb} {statement.option} {addresses};"


@given(
    st.lists(st.tuples(st.integers(1, 254), st.binary(max_size=40)), max_size=12),
    st.integers(0, 0xFFFFFFFF),
)
def test_any_options_are_read_as_they_were_written(
    options: list[tuple[int, bytes]], xid: int
) -> None:
    """Parts of one code joined, each code once (RFC 3396)."""
    options = [(code, value) for code, value in options if code != 52]
    packed = b"".join(bytes([code, len(value)]) + value for code, value in options)
    message = dhcp.decode(reply(packed + b"\xff", xid=xid))
    assert isinstance(message, dhcp.Message)
    assert message.xid == xid
    for code, joined in message.options:
        assert joined == b"".join(value for known, value in options if known == code)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=5).map(bytes), st.integers(0, 300))
def test_a_forged_byte_never_adds_a_nameserver_from_elsewhere(noise: bytes, at: int) -> None:
    """A reply that was changed is taken with its own nameservers, or refused."""
    message = MESSAGE[:at] + noise + MESSAGE[at + len(noise) :]
    got = dhcp.accept(message, OURS)
    if isinstance(got, dhcp.Reply):
        assert 0 < len(got.nameservers) <= dhcp.MOST_SERVERS
        assert all(server.packed in message for server in got.nameservers)


@given(st.binary(max_size=80))
def test_a_search_list_holds_names_only(value: bytes) -> None:
    """Nothing that could begin a new line or a comment in resolv.conf."""
    for name in read_domains(value) or ():
        assert len(name) <= 253
        assert name.replace(".", "").replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=60))
def test_any_text_is_no_endpoint_or_one(text: str) -> None:
    """And what is one has a port that can be."""
    endpoint = parse_endpoint(text)
    assert endpoint is None or endpoint.port is None or 0 < endpoint.port < 1 << 16


_TREES = st.recursive(
    st.text("abc019 .:-#'\"{[\n\\", max_size=8),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abc:", max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(_TREES)
def test_yaml_is_read_as_it_was_written(tree: object) -> None:
    """In the style of JSON, which is YAML too; and whatever it says, it can be walked."""
    assert yaml_text.load(json.dumps(tree).encode()) == tree
    assert cloudinit.parse(tree) == ()
    assert corefile.parse_configmap(tree) == ()
