"""The daemon beside the real dhclient and a real DHCP server: each poisoning, and the way back."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from lab.dhclient import PATIENCE, RENEWING, Machine
from lab.dhcp import World, world
from lab.dnsmasq import OFFER
from lab.guard import NODELOCAL, Node
from lab.nameserver import nameserver
from lab.wait import until

from dnsguard.formats import resolvconf

pytestmark = pytest.mark.integration

REAL, SECOND = "10.99.0.2", "10.99.0.3"
OFFERED = [REAL, SECOND]
SUPERSEDE = f"supersede domain-name-servers {NODELOCAL};\n".encode()
KUBESPRAY = (
    b'supersede domain-name "cluster.local";\n'
    b'supersede domain-search "default.svc.cluster.local", "svc.cluster.local";\n' + SUPERSEDE
)
ROUTERLESS = (*OFFER, "--dhcp-option=option:router")
"""With a router, and only on TIMEOUT, dhclient-script wants an answer to a ping first."""
ALIKE = 8
"""Interfaces that renew side by side, so that 200 renewals take no 200 seconds."""


@pytest.fixture
def lan(tmp_path: Path) -> Iterator[World]:
    """Return a network with a DHCP server that tells the truth and an upstream that answers."""
    with _lan(tmp_path) as made:
        yield made


@contextmanager
def _lan(directory: Path, *interfaces: str) -> Iterator[World]:
    with world(directory, offer=ROUTERLESS, interfaces=interfaces or ("eth0",)) as made:
        for address in OFFERED:
            made.outside.ip(f"address add {address}/24 dev lan")
        with nameserver(made.outside, REAL), nameserver(made.outside, SECOND):
            yield made


def _node(machine: Machine) -> Node:
    """Return the machine as a node that has never known better: no backup, no state."""
    machine.install()
    return Node(machine.root, machine.where, knows=False)


def _wait_for_both(node: Node) -> None:
    """Wait until both are used; in which order may be a matter of who answered first."""
    until(lambda: sorted(node.servers()) == OFFERED, within=PATIENCE)


def _used(file: Path) -> list[str]:
    found = resolvconf.read_nameservers(file.read_bytes())
    return [str(server.address) for server in found if server.glibc]


@pytest.mark.parametrize("with_hook", [False, True])
def test_the_control_is_poisoned(lan: World, *, with_hook: bool) -> None:
    """Without the daemon Kubespray's dhclient.conf leaves a dead end; our hook changes nothing."""
    if with_hook:
        lan.machine.install()
    with lan.machine.dhclient(KUBESPRAY) as dhclient:
        dhclient.wait_for("BOUND")
        assert _used(lan.machine.file) == [NODELOCAL]
        until(lambda: NODELOCAL.encode() in lan.machine.lease_file().read_bytes())


def test_a_node_that_has_never_known_better_asks_the_dhcp_server(lan: World) -> None:
    """The lease is poisoned, no backup is left: only the server itself knows, and is asked."""
    node = _node(lan.machine)
    state = node.root / "var/lib/dnsguard/state.json"
    with node.guarded(), lan.machine.dhclient(KUBESPRAY) as dhclient:
        dhclient.wait_for("BOUND")
        _wait_for_both(node)
        node.wait_for_line("dhcp_server_asked", REAL)
        assert dhclient.process.poll() is None
        # It is remembered once it has answered; to be in the file takes less than that.
        until(lambda: state.exists() and REAL in state.read_text(), within=PATIENCE)
    assert b"search cluster.local default.svc.cluster.local" in node.file.read_bytes()
    assert NODELOCAL not in state.read_text()


def test_without_the_hook_it_is_the_same_a_moment_later(lan: World) -> None:
    """Dhclient writes the poison itself then, and the guard repairs what it wrote."""
    node = _node(lan.machine)
    (lan.machine.dhcp / "dhclient-enter-hooks.d/dnsguard").unlink()
    with node.guarded(), lan.machine.dhclient(KUBESPRAY) as dhclient:
        dhclient.wait_for("BOUND")
        _wait_for_both(node)
    assert lan.machine.record() == b""


def test_a_disabled_hook_leaves_dhclient_alone(lan: World) -> None:
    """``dhclient.hook = false`` is heard by the hook, which knows no TOML: the lock is not held."""
    node = _node(lan.machine)
    (node.root / "etc/dnsguard/dnsguard.toml").write_text("[dhclient]\nhook = false\n")
    with node.guarded(), lan.machine.dhclient(b"") as dhclient:
        dhclient.wait_for("BOUND")
        _wait_for_both(node)
        assert node.status()["dhclient"]["hook"] == "at rest"
    assert lan.machine.record() == b""


CONFS = {
    "prepend": f"prepend domain-name-servers {NODELOCAL};\n".encode(),
    "append": f"append domain-name-servers {NODELOCAL};\n".encode(),
    "supersede with both": f"supersede domain-name-servers {NODELOCAL}, {REAL}, {SECOND};".encode(),
    "an empty supersede": b"supersede domain-name-servers ;\n",
    "nothing": b"",
}


@pytest.mark.parametrize("conf", CONFS.values(), ids=CONFS)
def test_what_is_true_in_a_mixture_is_used(lan: World, conf: bytes) -> None:
    """Real servers beside the cluster's: the real ones, as dhclient would have them."""
    node = _node(lan.machine)
    with node.guarded(), lan.machine.dhclient(conf) as dhclient:
        dhclient.wait_for("BOUND")
        _wait_for_both(node)
    assert f"# held back by dnsguard: nameserver {REAL}" not in node.file.read_text()


def test_an_exit_hook_is_repaired(lan: World) -> None:
    """It runs behind our enter hook, and nothing but a repair is left."""
    node = _node(lan.machine)
    hook = lan.machine.dhcp / "dhclient-exit-hooks.d/poison"
    hook.write_text(f"echo nameserver {NODELOCAL} >/etc/resolv.conf\n")
    with node.guarded(), lan.machine.dhclient(b"") as dhclient:
        dhclient.wait_for("BOUND")
        until(lambda: bool(node.status()["tramples"]["count"] >= 1))
        assert node.status()["tramples"]["last"]["writer"] == "dhclient"
        _wait_for_both(node)


def test_a_polluted_lease_is_no_way_back_to_the_poison(lan: World) -> None:
    """No DHCP server answers after the reboot: dhclient takes the old lease, poison and all."""
    node = _node(lan.machine)
    with lan.machine.dhclient(KUBESPRAY) as dhclient:
        dhclient.wait_for("BOUND")
    assert _used(node.file) == [NODELOCAL]
    (node.root / "etc/resolv.conf.before~").write_text(f"nameserver {REAL}\n")
    conf = b"timeout 2; initial-interval 1; reboot 1;" + KUBESPRAY
    with lan.server.silent(), node.guarded(), lan.machine.dhclient(conf) as dhclient:
        dhclient.wait_for("TIMEOUT")
        assert b"TIMEOUT" in lan.machine.record()
        node.wait_for(REAL)


def test_a_renewal_brings_a_new_nameserver(lan: World) -> None:
    """And a new search list: as dhclient would write it, but whole, and by the guard."""
    node = _node(lan.machine)
    conf = b"also request domain-search;" + RENEWING
    with node.guarded(), lan.machine.dhclient(conf) as dhclient:
        dhclient.wait_for("BOUND")
        _wait_for_both(node)
        changed = [option.replace("10.99.0.2,10.99.0.3", SECOND) for option in ROUTERLESS]
        changed = [option.replace("a.example,b.example", "new.example") for option in changed]
        lan.server.offer(*changed)
        node.wait_for(SECOND)
    assert b"search real.example new.example.\n" in node.file.read_bytes()


def test_an_edit_by_hand_outlives_renewals_that_say_the_same(lan: World) -> None:
    """Dhclient itself would write it over every time."""
    node = _node(lan.machine)
    with node.guarded(), lan.machine.dhclient(RENEWING) as dhclient:
        dhclient.wait_for("BOUND")
        _wait_for_both(node)
        node.file.write_text(f"nameserver {SECOND}\noptions ndots:3\n")
        dhclient.wait_for("RENEW", times=3)
        assert node.file.read_text() == f"nameserver {SECOND}\noptions ndots:3\n"


def test_an_interface_without_nameservers_takes_none_away(tmp_path: Path) -> None:
    """Two interfaces: dhclient-script keeps the old servers then, and so does the guard."""
    with _lan(tmp_path, "eth0", "eth1") as lan:
        node = _node(lan.machine)
        with node.guarded(), lan.machine.dhclient(b"", interfaces=("eth0",)) as first:
            first.wait_for("BOUND")
            _wait_for_both(node)
            conf = b"request subnet-mask;\n"
            with lan.machine.dhclient(conf, interfaces=("eth1",)) as second:
                second.wait_for("BOUND", interface="eth1")
                until(lambda: b"eth1" in lan.machine.record("4.eth1"))
                assert b"nameservers" not in lan.machine.record("4.eth1")
                assert sorted(node.servers()) == OFFERED


def test_the_servers_of_an_interface_that_goes_lose_their_rank(tmp_path: Path) -> None:
    """eth1's were written last; when its lease is given back, eth0's are better."""
    with _lan(tmp_path, "eth0", "eth1") as lan:
        node = _node(lan.machine)
        # No ``interface "eth1" {}`` here: whatever has one, a dhclient(8) for eth0 runs, too.
        conf = f"supersede domain-name-servers {REAL};\n".encode()
        with node.guarded(), lan.machine.dhclient(conf, interfaces=("eth0",)) as first:
            first.wait_for("BOUND")
            node.wait_for(REAL)
            conf = f"supersede domain-name-servers {SECOND};\n".encode()
            with lan.machine.dhclient(conf, interfaces=("eth1",)) as second:
                second.wait_for("BOUND", interface="eth1")
                node.wait_for(SECOND)
                second.release()
            node.wait_for(REAL)


def test_dhcpv6_tells_its_servers_too(lan: World) -> None:
    """BOUND6: the IPv6 server is used, as dhclient-script would write it."""
    server = "2001:db8::53"
    lan.outside.ip(f"address add {server}/64 dev lan nodad")
    node = _node(lan.machine)
    lan.machine.where.ip("address add 2001:db8::2/64 dev eth0 nodad")
    client = lan.machine.dhclient(b"", version=6)
    with nameserver(lan.outside, server), node.guarded(), client as dhclient:
        dhclient.wait_for("BOUND6")
        node.wait_for(server)


def test_a_reader_sees_no_poison_and_no_part_in_200_renewals(tmp_path: Path) -> None:
    """Eight interfaces renew every second, poisoned; the file is read as fast as it goes."""
    names = tuple(f"eth{number}" for number in range(ALIKE))
    with _lan(tmp_path, *names) as lan:
        node = _node(lan.machine)
        with node.guarded(), lan.machine.dhclient(RENEWING + KUBESPRAY, interfaces=names) as first:
            first.wait_for("BOUND", times=ALIKE)
            _wait_for_both(node)
            with _reading(node.file) as seen:
                first.wait_for("RENEW", times=200, within=90)
        texts = seen()
    assert [_poison_in(text) for text in texts] == [None] * len(texts)
    # On a busy machine one of the two may be silent for a moment, and stand aside then.
    assert [text for text in texts if not (_named(text) and {*_named(text)} <= {*OFFERED})] == []
    assert [text for text in texts if not text.endswith(b"\n")] == []


def _named(content: bytes) -> list[str]:
    return [str(server.address) for server in resolvconf.read_nameservers(content)]


def _poison_in(content: bytes) -> bytes | None:
    return content if NODELOCAL in _named(content) else None


@contextmanager
def _reading(file: Path) -> Iterator["Reader"]:
    reader = Reader(file)
    try:
        yield reader
    finally:
        reader.stop()


class Reader:
    """A process that does nothing but read a file, and keeps each text once."""

    def __init__(self, file: Path) -> None:
        context = multiprocessing.get_context("fork")
        self._texts, theirs = context.Pipe(duplex=False)
        self._end = context.Event()
        self._process = context.Process(target=self._read, args=(file, theirs))
        self._process.start()
        self._seen: list[bytes] = []

    def _read(self, file: Path, texts: "multiprocessing.connection.Connection") -> None:
        seen: dict[bytes, int] = {}
        while not self._end.is_set():
            content = file.read_bytes()
            seen[content] = seen.get(content, 0) + 1
        texts.send(list(seen))

    def stop(self) -> None:
        self._end.set()
        self._seen = self._texts.recv()
        self._process.join()

    def __call__(self) -> list[bytes]:
        return self._seen


def test_a_poisoned_lease_is_asked_about_once_though_something_answers(lan: World) -> None:
    """The truth is wanted before it is needed, and once more at each renewal, which hides it."""
    node = _node(lan.machine)
    (node.root / "etc/resolv.conf.bak").write_text(f"nameserver {REAL}\n")
    with node.guarded(), lan.machine.dhclient(KUBESPRAY + RENEWING) as dhclient:
        dhclient.wait_for("RENEW", times=3)
        node.wait_for_line("dhcp_server_asked", SECOND)
        assert REAL in node.servers()
    renewals = sum(event.reason == "RENEW" for event in dhclient.events())
    assert 2 <= node.log.read_text().count("dhcp_server_asked") <= 1 + renewals
