"""Looking, deciding and doing with real files."""

import json
import time
from pathlib import Path

import pytest

from dnsguard.core.decide import decide_ahead
from dnsguard.core.model import UpstreamState
from dnsguard.core.observation import FileObservation, Trouble
from dnsguard.core.plan import Plan, ReplaceFile
from dnsguard.guard import Guard
from dnsguard.host.resolvfile import Replaced, identity_at
from dnsguard.paths import Paths
from dnsguard.reporting.events import Level
from dnsguard.reporting.plan import describe
from dnsguard.resolv_conf import RETRY_LATEST, ResolvConf
from unit.machine import POISON, REAL, Machine


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


def test_standing_down_leaves_real_servers(machine: Machine) -> None:
    """Nobody watches NodeLocalDNS any more, so nobody is handed over to it."""
    machine.write(POISON)
    machine.backup()
    guard = machine.start()
    guard.shut_down()
    assert machine.servers == ["10.0.0.2"]
    etc = machine.paths.resolv_conf.parent
    assert sorted(path.name for path in etc.iterdir()) == ["resolv.conf", "resolv.conf.bak"]


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
