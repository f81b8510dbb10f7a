"""Looking, deciding and doing with real files: bad input, and what is left on the disk."""

import json
import os
import time
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from property import promises

from dnsguard import config
from dnsguard.core.answers import NOERROR, NXDOMAIN, Answer, Outcome, ProbeKind, ProbeTarget
from dnsguard.core.decide import decide_ahead
from dnsguard.core.health import HEARTBEAT, ONE_TIME, list_targets
from dnsguard.core.hold import Serves
from dnsguard.core.model import UpstreamState
from dnsguard.core.observation import MAX_FILE, FileObservation, Trouble
from dnsguard.core.plan import Plan, ReplaceFile
from dnsguard.formats.address import IPAddress
from dnsguard.guard import Guard
from dnsguard.host.resolvfile import Replaced, identity_at
from dnsguard.paths import Paths
from dnsguard.reporting.events import Event, Level
from dnsguard.reporting.plan import describe
from dnsguard.resolv_conf import RETRY_LATEST, ResolvConf

POISON = b"search cluster.local corp.example\nnameserver 169.254.25.10\n"
REAL = b"nameserver 10.0.0.2\n"


class Machine:
    """A root with files, and the guard in it."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(root)
        self.paths.resolv_conf.parent.mkdir(parents=True)
        self.told: list[Event] = []
        self.policy = config.defaults().policy

    def backup(self, content: bytes = REAL) -> None:
        self.paths.resolv_conf.with_name("resolv.conf.bak").write_bytes(content)

    def write(self, content: bytes) -> None:
        self.paths.resolv_conf.write_bytes(content)

    def start(self) -> Guard:
        """Start the guard as the daemon does, up to the first look."""
        guard = Guard(self.paths, self.policy, self.told.append)
        guard.surroundings.set_addresses(frozenset(), None)
        self.turn(guard)
        return guard

    def turn(self, guard: Guard) -> None:
        guard.refresh()
        guard.look()
        guard.apply_deferred()

    @property
    def content(self) -> bytes:
        return self.paths.resolv_conf.read_bytes()

    @property
    def servers(self) -> list[str]:
        return [str(address) for address in promises.used(self.content)]

    def names(self) -> list[str]:
        return sorted(line.name for line in self.told)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_the_incident(machine: Machine) -> None:
    """A poisoned file, a backup: the file is safe, and the rest is on the disk."""
    machine.write(POISON)
    machine.backup()
    machine.start()
    assert machine.servers == ["10.0.0.2"]
    assert machine.paths.foreign.read_bytes() == POISON
    assert machine.paths.pod_file.read_bytes().splitlines()[1:] == [
        b"search corp.example",
        b"nameserver 10.0.0.2",
    ]
    assert machine.names() == [
        "mode_changed",
        "nameserver_unused",
        "pod_file_written",
        "resolv_conf_written",
    ]


def test_a_healthy_node_is_left_alone(machine: Machine) -> None:
    """Not even the inode changes."""
    machine.write(REAL)
    before = identity_at(machine.paths.resolv_conf)
    guard = machine.start()
    machine.turn(guard)
    assert identity_at(machine.paths.resolv_conf) == before


def test_a_write_that_fails_for_good_is_tried_for_good() -> None:
    """However often: 2.0 ** 1024 is no float, and an hour of a full disk comes to that."""
    file = ResolvConf(Path("/proc/self/no-directory/resolv.conf"))
    file.failures = 2000
    missing = FileObservation(trouble=Trouble.MISSING)
    outcome = file.write(ReplaceFile(content=POISON, seen=missing, wanted=()))
    assert outcome.result is Replaced.FAILED
    assert file.retry_at <= time.monotonic() + RETRY_LATEST


def _plan(guard: Guard) -> Plan:
    assert guard.plan is not None
    return guard.plan


def _spoil(machine: Machine, how: str) -> None:
    path = machine.paths.resolv_conf
    match how:
        case "directory":
            path.mkdir()
            (path / "inside").write_bytes(POISON)
        case "fifo":
            os.mkfifo(path)
        case "huge":
            path.write_bytes(POISON * (MAX_FILE // len(POISON) + 1))
        case "device":
            path.with_name("device").symlink_to("/dev/full")
            path.symlink_to("device")


@pytest.mark.parametrize("how", ["directory", "fifo", "huge"])
def test_what_is_no_resolv_conf_is_replaced_and_kept(machine: Machine, how: str) -> None:
    """The node resolves names, and nothing foreign is deleted."""
    _spoil(machine, how)
    machine.backup()
    before = machine.paths.resolv_conf.lstat().st_ino
    guard = machine.start()
    if not guard.plan or not guard.plan.is_settled:
        _wait_for(guard, machine)
    assert machine.servers == ["10.0.0.2"]
    etc = machine.paths.resolv_conf.parent
    assert before in {path.lstat().st_ino for path in etc.iterdir()}


def _wait_for(guard: Guard, machine: Machine) -> None:
    """Turn until the grace of a missing file is over."""
    for _ in range(10_000):
        machine.turn(guard)
        if guard.plan is not None and guard.plan.is_settled:
            return
    raise TimeoutError


@pytest.mark.parametrize("content", [None, b"", b"\n"])
def test_an_empty_or_missing_file_is_filled(machine: Machine, content: bytes | None) -> None:
    """After its moment of grace."""
    if content is not None:
        machine.write(content)
    machine.backup()
    guard = machine.start()
    assert machine.paths.resolv_conf.exists() is (content is not None)
    _wait_for(guard, machine)
    assert machine.servers == ["10.0.0.2"]


def test_binary_noise_is_kept_byte_for_byte(machine: Machine) -> None:
    """It is no text, but it is somebody's."""
    noise = bytes(range(256)) * 8
    machine.write(noise)
    machine.backup()
    machine.start()
    assert machine.servers == ["10.0.0.2"]
    assert machine.content.startswith(noise)
    assert machine.paths.foreign.read_bytes() == noise


def test_no_upstream_at_all(machine: Machine) -> None:
    """The dead end is taken away, loudly, with a remedy; nothing raises."""
    machine.write(POISON)
    guard = machine.start()
    assert machine.servers == []
    assert guard.plan is not None
    assert guard.plan.upstream is UpstreamState.NONE
    (loud,) = [line for line in machine.told if line.level is Level.ERROR]
    assert "upstream.servers" in dict(loud.details)["remedy"]
    assert not machine.paths.pod_file.exists()


@pytest.mark.parametrize(
    "state", [b"", b"{", b'{"version": 99, "remembered": []}', b"\0" * 100, b"[" * 100_000]
)
def test_a_damaged_state_is_said_and_kept_aside(machine: Machine, state: bytes) -> None:
    """The daemon starts without it; what was in it is not overwritten."""
    machine.write(b"nameserver 10.0.0.2\nnameserver 169.254.25.10\n")
    machine.paths.state.parent.mkdir(parents=True)
    machine.paths.state.write_bytes(state)
    machine.start()
    assert "state_unreadable" in machine.names()
    assert machine.paths.state.with_name("state.json.unreadable").read_bytes() == state
    saved = json.loads(machine.paths.state.read_bytes())
    assert [entry["address"] for entry in saved["remembered"]] == ["10.0.0.2"]


def test_what_was_learned_outlives_the_daemon(machine: Machine) -> None:
    """The next start knows the server that the file named before it was poisoned."""
    machine.write(REAL)
    machine.start()
    machine.write(POISON)
    machine.start()
    assert machine.servers == ["10.0.0.2"]


@pytest.mark.parametrize("source", ["Corefile", "remembered"])
@pytest.mark.parametrize("namespace", ["kube-system", "tenant"])
def test_what_a_tenant_was_believed_is_forgotten(
    machine: Machine, namespace: str, source: str
) -> None:
    """An older state has the servers of any pod's Corefile, and that they answered."""
    uid = "0f6c6d0a-3f6e-4a5b-9c1e-2b7f8f0d4c11"
    volume = f"/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~configmap/config-volume"
    (machine.paths.root / f"var/log/pods/{namespace}_coredns-abc_{uid}").mkdir(parents=True)
    origin = f"{volume}/Corefile"
    entry = {"address": "6.6.6.6", "source": source, "origin": origin, "seen": 1, "answered": 2}
    machine.paths.state.parent.mkdir(parents=True)
    machine.paths.state.write_text(json.dumps({"version": 2, "remembered": [entry]}))
    machine.write(POISON)
    machine.backup()
    guard = machine.start()
    known = [str(one.address) for one in guard.memory.remembered]
    assert known == (["6.6.6.6"] if namespace == "kube-system" else [])
    # Nobody answers yet: what has answered once comes before what never did.
    assert (machine.servers == ["10.0.0.2"]) is (namespace == "tenant")


def test_the_foreign_file_can_be_restored(machine: Machine) -> None:
    """What somebody wrote last, after any number of repairs and restarts."""
    machine.write(POISON)
    machine.backup()
    guard = machine.start()
    other = POISON.replace(b"corp", b"home")
    machine.write(other)
    machine.turn(guard)
    machine.start()
    assert machine.paths.foreign.read_bytes() == other


def test_a_state_directory_that_cannot_be_written_costs_no_repair(machine: Machine) -> None:
    """The file is safe first; that the rest failed is said."""
    machine.write(POISON)
    machine.backup()
    machine.paths.state.parent.parent.mkdir(parents=True)
    machine.paths.state.parent.write_bytes(b"in the way")
    machine.start()
    assert machine.servers == ["10.0.0.2"]
    assert "state_not_written" in machine.names()


def test_standing_down_leaves_real_servers(machine: Machine) -> None:
    """Nobody watches NodeLocalDNS any more, so nobody is handed over to it."""
    machine.write(POISON)
    machine.backup()
    guard = machine.start()
    guard.shut_down()
    assert machine.servers == ["10.0.0.2"]
    etc = machine.paths.resolv_conf.parent
    assert sorted(path.name for path in etc.iterdir()) == ["resolv.conf", "resolv.conf.bak"]


NODELOCAL, UPSTREAM = ip_address("169.254.25.10"), ip_address("10.0.0.2")
KUBELET = "clusterDNS: [169.254.25.10]\nresolvConf: {}\n"


def _answered(address: IPAddress, *ways: ProbeTarget, rcode: int = NOERROR) -> tuple[Answer, ...]:
    return tuple(
        Answer(
            address=address,
            outcome=Outcome.ANSWERED,
            rtt=0.001,
            detail="answers",
            at=time.monotonic(),
            kind=leg.kind,
            tcp=leg.tcp,
            rcode=rcode,
            has_records=rcode == NOERROR,
        )
        for leg in ways
    )


def _hand_over(machine: Machine, said: str) -> Guard:
    """Let all that a handover needs happen, and kubelet's file say this meanwhile."""
    file = machine.paths.root / "etc/kubernetes/kubelet-config.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(KUBELET.format("/var/lib/dnsguard/resolv.conf"))
    machine.write(POISON)
    machine.backup()
    guard = machine.start()
    guard.search()
    guard.surroundings.set_addresses(frozenset({NODELOCAL}), None)
    guard.look()
    file.write_text(KUBELET.format(said))
    guard.look(_answered(UPSTREAM, ProbeTarget(ProbeKind.CLUSTER), rcode=NXDOMAIN))
    guard.look(_answered(UPSTREAM, ProbeTarget(ProbeKind.UPSTREAM)))
    for _ in range(guard.policy.successes):
        guard.look(_answered(NODELOCAL, *list_targets(guard.policy), ONE_TIME))
    guard.apply_deferred()
    return guard


@pytest.mark.parametrize(
    ("said", "serves"),
    [("/var/lib/dnsguard/resolv.conf", Serves.NODELOCAL), ("/etc/resolv.conf", Serves.UPSTREAM)],
)
def test_a_node_is_handed_over_on_what_kubelets_files_say_now(
    machine: Machine, said: str, serves: Serves
) -> None:
    """Not on what they said at the last refresh; the control has them say the same."""
    assert _hand_over(machine, said).memory.serves is serves


def test_an_answer_is_taken_in_without_a_look_only_if_it_tells_nothing_new(
    machine: Machine,
) -> None:
    """Nothing is read or decided for it, and it counts all the same."""
    guard = _hand_over(machine, "/var/lib/dnsguard/resolv.conf")
    plan, heard = guard.plan, guard.memory.health.streak(HEARTBEAT).successes
    (well,) = _answered(NODELOCAL, HEARTBEAT)
    assert guard.confirm((well,))
    assert guard.plan is plan
    assert guard.memory.health.streak(HEARTBEAT).successes == heard + 1
    (outside,) = _answered(UPSTREAM, ProbeTarget(ProbeKind.UPSTREAM))
    assert guard.confirm((well, outside))
    before = guard.memory
    for one in (well, outside):
        assert not guard.confirm((well, replace(one, outcome=Outcome.TIMED_OUT)))
    assert guard.memory is before


@pytest.mark.parametrize("text", [POISON, REAL])
def test_a_file_that_another_has_written_is_no_rest(machine: Machine, text: bytes) -> None:
    """Whether or not anybody was told of it: the next question is put after a look."""
    guard = _hand_over(machine, "/var/lib/dnsguard/resolv.conf")
    guard.look()  # at what it has written itself
    rests = [guard.is_at_rest]
    machine.write(text)
    rests.append(guard.is_at_rest)
    guard.look()
    guard.look()
    rests.append(guard.is_at_rest)
    assert rests == [True, False, True]


def test_a_preview_changes_nothing(machine: Machine) -> None:
    """What `dnsguard plan` shows is what a look would do, and it does nothing."""
    machine.write(POISON)
    machine.backup()
    guard = Guard(machine.paths, machine.policy, machine.told.append)
    guard.refresh()
    before = _tree(machine.paths.root)
    seen = guard.observe()
    _, plan, later = decide_ahead(guard.memory, seen, guard.policy)
    shown = describe(guard.paths, seen, plan, later, has_daemon=False)
    assert _tree(machine.paths.root) == before
    assert "+nameserver 10.0.0.2" in shown.diff
    assert "+# held back by dnsguard: nameserver 169.254.25.10" in shown.diff


def _tree(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_every_path_is_below_the_root(tmp_path: Path) -> None:
    """--root moves everything, so that a test run touches nothing of the machine."""
    paths = Paths(tmp_path)
    single = (
        paths.state,
        paths.pod_file,
        paths.foreign,
        paths.resolv_conf,
        paths.config,
        paths.hook,
        paths.hook_lock,
        paths.hook_records,
    )
    for path in (*single, *paths.dhclient_hooks, paths.socket):
        assert path.is_relative_to(tmp_path)
    assert Paths().resolv_conf == Path("/etc/resolv.conf")
