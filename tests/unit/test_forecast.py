"""What dhclient will write, at the next renewal and after a reboot.

That the real one does so, ``tests/integration/test_forecast.py`` shows.
"""

from dataclasses import replace
from ipaddress import ip_address

import pytest
from property.text import CLUSTER

from dnsguard.commands.forecast.future import ForecastInput, Future, find_maker
from dnsguard.commands.forecast.reboot import foresee_reboots
from dnsguard.commands.forecast.renewal import foresee_renewals
from dnsguard.formats import guarded_resolvconf, resolvconf
from dnsguard.formats.dhclient import leases
from dnsguard.formats.dhclient.files import ENTER, EXIT, OURS, DhclientFiles, Hook
from dnsguard.formats.dhclient.offer import Offer
from dnsguard.host.dhclient_processes import DhclientProcess
from unit.formats.samples import DEBIAN, KUBESPRAY, REAL, STATEMENTS

LEASES = "/var/lib/dhcp/dhclient.eth0.leases"
NOW = 1.7e9
FILE = b"search old.example\nnameserver 10.9.9.9\n"
LEASE = """\
lease {
  interface "eth0";
  option domain-name-servers 10.99.0.2,10.99.0.3;
  option domain-name "real.example";
  option domain-search "a.example.", "b.example.";
  expire epoch 1700003600;
}
"""
POISONED = LEASE.replace("10.99.0.2,10.99.0.3", "169.254.25.10")
SUPERSEDE = b"supersede domain-name-servers 169.254.25.10;\n"


def _files(conf: bytes = DEBIAN, lease: str = LEASE) -> DhclientFiles:
    blocks = tuple((LEASES, one) for one in leases.parse(lease.encode()))
    return DhclientFiles(conf=conf, changed=NOW - 1, leases=blocks)


def _node(conf: bytes = DEBIAN, lease: str = LEASE) -> ForecastInput:
    cluster = CLUSTER | {ip_address("10.233.0.3")}
    running = (DhclientProcess(pid=7, interface="eth0", started=NOW - 9),)
    return ForecastInput(
        dhclient=_files(conf, lease), running=running, content=FILE, cluster=cluster, wall=NOW
    )


def _servers(future: Future) -> tuple[str, ...]:
    assert future.text is not None, future.because
    return tuple(map(str, resolvconf.read_addresses(future.text)))


def _one(futures: tuple[Future, ...]) -> Future:
    (future,) = futures
    return future


def test_debians_node_stays_as_it_is() -> None:
    """Renewal and reboot write the same, word by word."""
    expected = (
        b"domain real.example\nsearch real.example a.example. b.example.\n"
        b"nameserver 10.99.0.2\nnameserver 10.99.0.3\n"
    )
    assert _one(foresee_renewals(_node())).text == expected
    assert _one(foresee_reboots(_node())).text == expected


@pytest.mark.parametrize(("content", "outcome"), KUBESPRAY.values(), ids=KUBESPRAY)
def test_kubespray_poisons_the_reboot_and_not_the_renewal(
    content: bytes, outcome: tuple[str, ...]
) -> None:
    """The running dhclient knows nothing of the block that was written after its start."""
    node = _node(content)
    renewal = _one(foresee_renewals(node))
    assert _servers(renewal) == REAL
    assert "changed after that" in dict(renewal.because)["dhclient"]
    assert _servers(_one(foresee_reboots(node))) == outcome


def test_the_file_after_the_reboot_is_the_incidents() -> None:
    """Word by word, the dots of the search list included (FACTS.md)."""
    content, _ = KUBESPRAY["2.21-2.23"]
    assert _one(foresee_reboots(_node(content))).text == (
        b"domain cluster.local\n"
        b"search cluster.local default.svc.cluster.local. svc.cluster.local.\n"
        b"nameserver 169.254.25.10\n"
    )


@pytest.mark.parametrize(("text", "outcome"), STATEMENTS.values(), ids=STATEMENTS)
def test_each_statement_has_its_effect_at_boot(text: str, outcome: tuple[str, ...]) -> None:
    """On the offer of the newest lease; without any nameserver the file's own are kept."""
    future = _one(foresee_reboots(_node(text.encode())))
    assert _servers(future) == (tuple(dict.fromkeys(outcome)) or ("10.9.9.9",))


@pytest.mark.parametrize(
    ("conf", "held", "outcome"),
    [
        ("prepend domain-name-servers 1.1.1.1;", "1.1.1.1,10.99.0.2", ("1.1.1.1", "10.99.0.2")),
        ("append domain-name-servers 1.1.1.1;", "10.99.0.2,1.1.1.1", ("10.99.0.2", "1.1.1.1")),
        (
            "prepend domain-name-servers 169.254.25.10;",
            "169.254.25.10,10.99.0.2",
            ("169.254.25.10", "10.99.0.2"),
        ),
    ],
)
def test_what_the_lease_has_from_dhclient_conf_is_not_added_twice(
    conf: str, held: str, outcome: tuple[str, ...]
) -> None:
    """A lease holds what dhclient made of the offer; the offer is found under it."""
    lease = LEASE.replace("10.99.0.2,10.99.0.3", held)
    assert _servers(_one(foresee_reboots(_node(conf.encode(), lease)))) == outcome


def test_domains_are_made_as_dhclient_makes_them() -> None:
    """Search lists are joined, domains are one string, the offered ones found in the lease."""
    conf = (
        b'prepend domain-search "x.example"; append domain-search "y.example.";'
        b'prepend domain-name "pre.";'
    )
    lease = LEASE.replace('"a.example."', '"x.example.", "a.example."')
    lease = lease.replace('"b.example."', '"b.example.", "y.example."')
    lease = lease.replace('"real.example"', '"pre.real.example"')
    for held in (LEASE, lease):
        text = _one(foresee_reboots(_node(b"also request domain-search;" + conf, held))).text
        assert text is not None
        assert text.splitlines()[:2] == [
            b"domain pre.real.example",
            b"search pre.real.example x.example. a.example. b.example. y.example.",
        ]


def test_a_poisoned_lease_hides_the_offer() -> None:
    """Cleaning dhclient.conf is not enough to know what comes: until the server is asked."""
    node = _node(DEBIAN, POISONED)
    future = _one(foresee_reboots(node))
    assert future.text is None
    assert "not known" in dict(future.because)["offer"]
    asked = replace(node, offers={"eth0": Offer(nameservers=(ip_address("10.99.0.4"),))})
    future = _one(foresee_reboots(asked))
    assert future.text == b"nameserver 10.99.0.4\n"
    assert future.caveats == (
        f"if no DHCP server answers, the lease in {LEASES} counts: 169.254.25.10",
    )


def test_behind_supersede_the_offer_does_not_matter() -> None:
    """The poisoned node stays poisoned, whatever the server says."""
    node = _node(SUPERSEDE, POISONED)
    assert _servers(_one(foresee_reboots(node))) == ("169.254.25.10",)
    assert _servers(_one(foresee_renewals(node))) == ("169.254.25.10",)


@pytest.mark.parametrize(
    "text",
    [
        "prepend domain-name-servers ns.example;",
        "supersede domain-name-servers = option routers;",
    ],
)
def test_what_is_looked_up_or_computed_is_not_guessed(text: str) -> None:
    """It is said that it can't be told, unless it doesn't count."""
    assert _one(foresee_reboots(_node(text.encode()))).text is None
    assert _servers(_one(foresee_reboots(_node(text.encode() + SUPERSEDE)))) == ("169.254.25.10",)


def test_a_condition_is_a_caveat() -> None:
    """Whether it holds depends on the reply."""
    node = _node(b"if exists routers { prepend domain-name-servers 169.254.25.10; }")
    future = _one(foresee_reboots(node))
    assert _servers(future) == REAL
    assert future.caveats == (
        "/etc/dhcp/dhclient.conf:1 counts if its condition holds, here it doesn't",
    )


def test_another_script_is_not_foreseen() -> None:
    """Neither by the configuration nor by the command line."""
    node = _node(b'script "/opt/script";')
    assert _one(foresee_reboots(node)).text is None
    (running,) = node.running
    node = replace(_node(), running=(replace(running, script="/opt/script"),))
    assert _one(foresee_renewals(node)).text is None
    assert _one(foresee_reboots(node)).text is not None


def test_hooks_are_told() -> None:
    """Kubespray's, which writes after dhclient-script, and resolvconf's, which replaces it."""
    resolvconf_hook = Hook(
        path=f"{ENTER}.d/resolvconf", content=b"make_resolv_conf() {\n resolvconf -a x\n}\n"
    )
    files = replace(
        _files(),
        enter=(
            Hook(path=OURS, content=b"dhclient.lock\nmake_resolv_conf() { :; }"),
            resolvconf_hook,
        ),
        exit=(Hook(path=f"{EXIT}.d/zdnsupdate", content=b"sed -i s/a/b/ /etc/resolv.conf"),),
    )
    future = _one(foresee_reboots(replace(_node(), dhclient=files)))
    assert [caveat.partition(" ")[0] for caveat in future.caveats] == [
        f"{ENTER}.d/resolvconf",
        f"{ENTER}.d/resolvconf:2",
    ]
    assert dict(future.because)[f"{EXIT}.d/zdnsupdate:1"] == "writes resolv.conf with sed -i"


def test_without_dhclient_nothing_moves() -> None:
    """No process and no lease: the file stays, and with it what dnsguard added, removed or not."""
    content = guarded_resolvconf.guard(b"nameserver 169.254.25.10\n", (ip_address("10.0.0.2"),))
    node = ForecastInput(dhclient=DhclientFiles(conf=SUPERSEDE), content=content)
    assert _one(foresee_renewals(node)).text == content
    assert _one(foresee_reboots(node)).text == content


@pytest.mark.parametrize(
    ("content", "link", "maker"),
    [
        (b"# Generated by NetworkManager\nnameserver 10.0.0.2\n", None, "NetworkManager"),
        (b"", "/run/NetworkManager/resolv.conf", "NetworkManager"),
        (b"nameserver 127.0.0.53\n", "/run/systemd/resolve/stub-resolv.conf", "systemd-resolved"),
        (b"# managed by man:systemd-resolved(8).\n", None, "systemd-resolved"),
    ],
)
def test_who_else_makes_the_file_is_said(content: bytes, link: str | None, maker: str) -> None:
    """What it will say is that program's to know."""
    node = ForecastInput(dhclient=_files(SUPERSEDE), content=content, link=link, wall=NOW)
    for future in (*foresee_renewals(node), *foresee_reboots(node)):
        assert future.text is None
        assert maker in dict(future.because)["resolv.conf"]


def test_each_interface_has_its_future() -> None:
    """Of two, the one without a nameserver keeps the file's; a lease long gone has none."""
    other = LEASE.replace("eth0", "eth1").replace("option domain-name-servers", "#")
    gone = LEASE.replace("eth0", "eth2").replace("epoch 1700003600", "epoch 1600000000")
    released = LEASE.replace("eth0", "eth3").replace("expire", "released; expire")
    futures = foresee_reboots(_node(DEBIAN, LEASE + other + gone + released))
    assert [one.interface for one in futures] == ["eth0", "eth1"]
    assert [_servers(one) for one in futures] == [REAL, ("10.9.9.9",)]
    running = tuple(
        DhclientProcess(pid=8, interface=name, started=NOW) for name in ("eth0", "eth1", "eth4")
    )
    renewed = foresee_renewals(replace(_node(DEBIAN, LEASE + other), running=running))
    assert [one.text is None for one in renewed] == [False, False, True]


def test_ipv6_has_its_own_options() -> None:
    """A lease of DHCPv6, its nameservers with the zone; a renewal writes only what is new."""
    lease = """\
lease6 {
  interface "eth0";
  ia-na 00:00:00:01 { iaaddr 2001:db8::5 { starts 1700000000; max-life 3600; } }
  option dhcp6.name-servers fe80::1,2001:db8::53;
  option dhcp6.domain-search "six.example.";
}
"""
    node = _node(b"append dhcp6.name-servers 2001:db8::99;", lease)
    future = _one(foresee_reboots(replace(node, running=())))
    assert future.text == (
        b"search six.example.\nnameserver fe80::1%eth0\n"
        b"nameserver 2001:db8::53\nnameserver 2001:db8::99\n"
    )
    running = (DhclientProcess(pid=9, interface="eth0", version=6, started=NOW),)
    assert _one(foresee_renewals(replace(node, running=running))).text == FILE


def test_the_worst_of_two_reasons_counts() -> None:
    """A lease that still counts is asked for again, REBOOT; one that was released, BOUND."""
    content = b'[ "$reason" = BOUND ] && echo nameserver 169.254.25.10 > /etc/resolv.conf\n'
    files = replace(_files(), exit=(Hook(path=f"{EXIT}.d/own", content=content),))
    future = _one(foresee_reboots(replace(_node(), dhclient=files)))
    assert _servers(future) == ("169.254.25.10",)
    assert future.caveats[0] == (
        "dhclient may run its hooks for REBOOT, not BOUND: then 10.99.0.2, 10.99.0.3"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"# static: NetworkManager is not installed here (see resolvconf(8) for the old way)\n",
        b"nameserver 10.9.9.9\n# Generated by NetworkManager\n",
        b"# NetworkManager has dns=none, systemd-resolved is masked\n",
        b"# Generated by NetworkManager once, static by now\n",
        b"# man:systemd-resolved(8) is not used here\n",
    ],
)
def test_a_comment_is_no_owner(content: bytes) -> None:
    """Only the header that a program writes, and only at the top."""
    node = replace(_node(SUPERSEDE), content=content)
    assert find_maker(node) is None
    assert _servers(_one(foresee_reboots(node))) == ("169.254.25.10",)


def test_a_header_of_what_no_boot_starts_is_a_left_over() -> None:
    """Kubespray keeps NetworkManager's in the file, and images are made with it."""
    content = b"# Generated by NetworkManager\nnameserver 10.9.9.9\n"
    node = replace(_node(SUPERSEDE), content=content)
    assert find_maker(node) == "NetworkManager"
    gone = replace(node, absent=frozenset({"NetworkManager"}))
    assert find_maker(gone) is None
    assert _servers(_one(foresee_reboots(gone))) == ("169.254.25.10",)


def test_nobody_writes_an_immutable_file() -> None:
    """Unless a hook takes the flag away."""
    node = replace(_node(SUPERSEDE), unwritable="it is immutable")
    assert _servers(_one(foresee_reboots(node))) == ("10.9.9.9",)
    unlocks = Hook(path=f"{ENTER}.d/own", content=b"chattr -i /etc/resolv.conf\n")
    files = replace(_files(SUPERSEDE), enter=(unlocks,))
    assert _servers(_one(foresee_reboots(replace(node, dhclient=files)))) == ("169.254.25.10",)


def test_what_ifupdown_starts_is_in_use() -> None:
    """Stateless DHCPv6 leaves neither a lease nor a process."""
    conf = b"supersede dhcp6.name-servers fd00:25::10;"
    node = ForecastInput(dhclient=DhclientFiles(conf=conf), content=FILE, configured=(("eth0", 6),))
    assert _servers(_one(foresee_reboots(node))) == ("fd00:25::10",)
    offered = replace(node, dhclient=DhclientFiles())
    assert _one(foresee_reboots(offered)).text is None


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("supersede domain-name-servers 169.254.25.10;", ("169.254.25.10",)),
        ('supersede domain-name "cluster.local";', ("10.9.9.9",)),  # the file's own are kept
    ],
)
def test_dhcpv6_obeys_what_is_said_of_dhcpv4(text: str, outcome: tuple[str, ...]) -> None:
    """dhclient-script takes DHCPv4's variables first, whoever hands them over (issue 15)."""
    files = DhclientFiles(conf=text.encode())
    node = ForecastInput(dhclient=files, content=FILE, configured=(("eth0", 6),))
    assert _servers(_one(foresee_reboots(node))) == outcome
