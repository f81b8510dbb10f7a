"""The real daemon against real writers, links, mounts, nameservers and bad input."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from lab import needs
from lab.guard import NODELOCAL, POISON, UPSTREAM, Node, environment
from lab.mounts import bound
from lab.nameserver import nameserver
from lab.netns import Namespace, cable, namespace
from lab.wait import readable, until

from dnsguard.core import resolvconf
from dnsguard.core.resolvconf import unguard

pytestmark = pytest.mark.integration

OTHER = "192.0.2.54"
"""A second upstream; nobody listens there unless a test does."""
PEACE = 0.055
"""Seconds between two foreign writes that are no fight yet (dnsguard.core.fight)."""


@pytest.fixture
def outside(node: Namespace) -> Iterator[Namespace]:
    """Return the network that the node is in, with the upstreams' addresses."""
    with namespace() as made:
        cable(node, made)
        node.ip("address add 192.0.2.1/24 dev eth0")
        for address in (UPSTREAM, OTHER):
            made.ip(f"address add {address}/24 dev eth0")
        yield made


@pytest.fixture
def guard(tmp_path: Path, node: Namespace, outside: Namespace) -> Iterator[Node]:
    """Return a poisoned node whose upstream answers; no daemon runs yet."""
    with nameserver(outside, UPSTREAM):
        yield Node(tmp_path, node)


def test_the_control_stays_poisoned(guard: Node) -> None:
    """Without the daemon nothing heals the file: what follows is its doing."""
    assert guard.servers() == [NODELOCAL]
    assert guard.run("status").returncode == 1


@pytest.mark.parametrize("how", ["renamed over", "written in place", "deleted"])
def test_a_foreign_write_is_repaired_and_nothing_is_lost(guard: Node, how: str) -> None:
    """However it is written; the foreign lines stay, byte for byte."""
    text = POISON + b"options ndots:2\n# mine\n"
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        if how == "renamed over":
            (guard.root / "etc/new").write_bytes(text)
            (guard.root / "etc/new").rename(guard.file)
        elif how == "written in place":
            guard.file.write_bytes(text)
        else:
            text = POISON
            guard.file.unlink()
        guard.wait_for(UPSTREAM)
        until(lambda: bool(unguard(guard.file.read_bytes()) == text))


def test_a_reader_never_sees_half_a_file_nor_an_empty_one(guard: Node) -> None:
    """While the file is poisoned 100 times, every read is a whole text of one or the other.

    With a pause between them: what comes faster is a fight, and repaired later.
    """
    ended, seen = Event(), set()

    def read() -> None:
        while not ended.is_set():
            seen.add(guard.file.read_bytes())

    with guard.guarded():
        guard.wait_for(UPSTREAM)
        repaired = guard.file.read_bytes()
        reader = Thread(target=read)
        reader.start()
        try:
            for _ in range(100):
                (guard.root / "etc/new").write_bytes(POISON)
                (guard.root / "etc/new").rename(guard.file)
                guard.wait_for(UPSTREAM)
                ended.wait(PEACE)
        finally:
            ended.set()
            reader.join()
    assert seen <= {POISON, repaired}


def test_a_writer_that_is_not_done_is_waited_for(guard: Node) -> None:
    """Renaming over its file would send the rest of its text to a dead inode."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        with guard.file.open("wb", buffering=0) as file:
            file.write(POISON)
            file.write(b"options rotate\n")
        until(lambda: guard.file.read_bytes().count(b"options rotate") == 1)
        guard.wait_for(UPSTREAM)


def test_nodelocaldns_gets_the_node_and_loses_it(guard: Node) -> None:
    """Bound and answering: handed over. Its address gone: the upstream is back."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        guard.where.bridge("nodelocal", NODELOCAL)
        with nameserver(guard.where, NODELOCAL):
            guard.wait_for(NODELOCAL, UPSTREAM)
            assert guard.status()["mode"] == "handed-over"
            guard.where.ip("link delete nodelocal")
            guard.wait_for(UPSTREAM)
            assert guard.status()["mode"] == "guarding"
        pods = (guard.root / "var/lib/dnsguard/resolv.conf").read_bytes()
        assert [str(s.address) for s in resolvconf.nameservers(pods)] == [UPSTREAM]


def test_a_tenants_corefile_names_nobody(guard: Node) -> None:
    """On a poisoned node it is believed neither at once nor later; kube-system's is."""
    uid = "0f6c6d0a-3f6e-4a5b-9c1e-2b7f8f0d4c11"
    volume = f"var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~configmap/config-volume"
    (guard.root / volume).mkdir(parents=True)
    (guard.root / volume / "Corefile").write_text(f".:53 {{\n    forward . {OTHER}\n}}\n")
    logs = guard.root / "var/log/pods"
    (logs / f"tenant_coredns-abc_{uid}").mkdir(parents=True)
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        assert OTHER not in guard.run("upstreams").stdout
    (logs / f"tenant_coredns-abc_{uid}").rename(logs / f"kube-system_coredns-abc_{uid}")
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        assert OTHER in guard.run("upstreams").stdout


FIRST_LOOK_FAILS = """
import sys
from dnsguard import cli, daemon

look = daemon.Daemon.look

def fail(self):
    daemon.Daemon.look = look
    raise ValueError("a fault that nobody foresaw")

daemon.Daemon.look = fail
sys.exit(cli.main(sys.argv[1:]))
"""


def test_a_fault_in_the_first_look_is_survived(guard: Node) -> None:
    """As one in any other: it is told, the daemon stays, and the next hint finds it at work."""
    command = [sys.executable, "-c", FIRST_LOOK_FAILS, "--root", str(guard.root), "run"]
    with guard.log.open("ab") as log:
        process = subprocess.Popen(command, stderr=log, env=environment())
    try:
        guard.wait_for_line("look_failed", "a fault that nobody foresaw")
        guard.file.write_bytes(POISON)
        guard.wait_for(UPSTREAM)
        guard.wait_for_line("started")
    finally:
        process.terminate()
    assert process.wait(10) == 0


def test_what_a_stop_does_is_told_as_such(guard: Node) -> None:
    """Handed over, NodeLocalDNS healthy: the journal does not say that it has broken."""
    guard.where.bridge("nodelocal", NODELOCAL)
    with nameserver(guard.where, NODELOCAL):
        with guard.guarded():
            guard.wait_for(NODELOCAL, UPSTREAM)
        assert guard.servers() == [UPSTREAM]
    *_, changed, stopped = guard.log.read_text().splitlines()
    assert 'nodelocal="healthy: ' in changed
    assert 'handover="dnsguard is stopped' in changed
    assert stopped.endswith(f"stopped nameservers={UPSTREAM}")


def test_a_restart_leaves_the_file_for_pods_untouched(guard: Node) -> None:
    """It is written when it has to change, and the journal tells of that alone."""
    pods = guard.root / "var/lib/dnsguard/resolv.conf"
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        assert guard.run("wait").returncode == 0
    before = pods.stat()
    with guard.guarded():
        assert guard.run("wait").returncode == 0
    assert (pods.stat().st_ino, pods.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert guard.log.read_text().count("pod_file_written") == 1


def test_a_new_server_of_the_dhcp_server_is_learned_not_overwritten(
    guard: Node, outside: Namespace
) -> None:
    """A real nameserver that somebody writes is used, and the one before is remembered."""
    other = OTHER
    with nameserver(outside, other), guard.guarded():
        guard.wait_for(UPSTREAM)
        guard.file.write_text(f"nameserver {NODELOCAL}\nnameserver {other}\n")
        guard.wait_for(other)
        servers = guard.status()["upstream"]["servers"]
        assert [s["address"] for s in servers] == [other, UPSTREAM]


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_what_is_left_behind_names_a_real_upstream(guard: Node, end: int) -> None:
    """Stopped or killed while handed over; ``secure``, as the unit runs it, does the rest."""
    guard.where.bridge("nodelocal", NODELOCAL)
    with nameserver(guard.where, NODELOCAL), guard.guarded(to_end=end):
        guard.wait_for(NODELOCAL, UPSTREAM)
    assert UPSTREAM in guard.servers()
    guard.run("secure")
    assert guard.servers() == [UPSTREAM]
    names = {path.name for path in guard.file.parent.iterdir()}
    assert names == {"dnsguard", "resolv.conf", "resolv.conf.bak"}


def _make_directory(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _make_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda file: file.write_bytes(b""), "names no nameserver"),
        (lambda file: file.unlink(), "missing"),
        (lambda file: file.write_bytes(b"#" * 70_000), "too-big"),
        (lambda file: file.write_bytes(bytes(range(256)) * 4), "names no nameserver"),
        (_make_directory, "not-a-file"),
        (_make_fifo, "not-a-file"),
    ],
    ids=["empty", "missing", "huge", "binary", "directory", "fifo"],
)
def test_bad_input_is_said_and_survived(guard: Node, spoil: object, says: str) -> None:
    """The daemon stays up, says what it found, and the file resolves names again."""
    assert callable(spoil)
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        spoil(guard.file)
        guard.wait_for_line("resolv_conf_written", says)
        guard.wait_for(UPSTREAM)
        assert guard.status()["degraded"] == []


def test_with_no_upstream_at_all_nothing_is_invented(guard: Node) -> None:
    """The cluster address is held back, the status says what to do, exit 2."""
    (guard.root / "etc/resolv.conf.bak").unlink()
    with guard.guarded():
        guard.wait_for()
        assert unguard(guard.file.read_bytes()) == POISON
        done = guard.run("status")
        assert done.returncode == 2
        assert "set upstream.servers" in done.stdout
        guard.wait_for_line("upstream_changed", "none")


def test_half_a_lease_and_a_damaged_state_are_no_reason_to_stop(guard: Node) -> None:
    """What is whole in the lease is used; the state is kept aside, and said."""
    (guard.root / "etc/resolv.conf.bak").unlink()
    leases = guard.root / "var/lib/dhcp/dhclient.eth0.leases"
    leases.parent.mkdir(parents=True)
    lease = f"lease {{\n  option domain-name-servers {UPSTREAM};\n}}\n"
    leases.write_text(lease + "lease {\n  option domain-name-ser")
    state = guard.root / "var/lib/dnsguard/state.json"
    state.parent.mkdir(parents=True)
    state.write_text('{"version": 99}')
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        guard.wait_for_line("state_unreadable", "version 99")
        until((state.parent / "state.json.unreadable").exists)


def test_the_last_server_is_given_back(guard: Node) -> None:
    """NodeLocalDNS alone is known, and down at the boot: held back, and back once it is healthy."""
    (guard.root / "etc/resolv.conf.bak").unlink()
    guard.where.bridge("nodelocal", NODELOCAL)
    with guard.guarded():
        guard.wait_for()
        with nameserver(guard.where, NODELOCAL):
            guard.wait_for(NODELOCAL)
            assert guard.file.read_bytes() == POISON
            assert "no upstream is known" in guard.run("status").stdout.splitlines()[0]


def test_a_unique_local_address_is_found_in_kubelets_configuration(guard: Node) -> None:
    """An IPv6 cluster's NodeLocalDNS: it is asked there, and is no upstream."""
    kubelet = guard.root / "var/lib/kubelet/config.yaml"
    kubelet.parent.mkdir(parents=True)
    kubelet.write_text("clusterDNS: ['fd00::10']\nresolvConf: /var/lib/dnsguard/resolv.conf\n")
    guard.file.write_text("nameserver fd00::10\n")
    guard.where.bridge("nodelocal", "fd00::10/128")
    with nameserver(guard.where, "fd00::10"), guard.guarded():
        guard.wait_for(UPSTREAM)
        until(lambda: bool(guard.status()["nodelocal"]["address"] == "fd00::10"))
        guard.wait_for("fd00::10", UPSTREAM)  # as such, not as an upstream


def test_systemd_is_told_what_is_in_the_file(guard: Node) -> None:
    """Its Status line with an immutable, poisoned file: DEGRADED first, and no upstream."""
    with tempfile.TemporaryDirectory() as short:  # as /etc/resolv.conf is: systemd's line is too
        node = Node(Path(short), guard.where)
        _chattr("+i", node.file)
        where = str(node.root / "notify")
        env = environment() | {"NOTIFY_SOCKET": where}
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd,
            node.log.open("ab") as log,
        ):
            systemd.bind(where)
            process = subprocess.Popen(node.command("run"), stderr=log, env=env)
            try:
                said = _heard(systemd)
            finally:
                _chattr("-i", node.file)
                process.terminate()
                process.wait(10)
    assert said.startswith("STATUS=DEGRADED: ")
    assert f"; guarding: {NODELOCAL}; " in said
    assert UPSTREAM not in said


def _heard(systemd: socket.socket) -> str:
    """Return the status that comes with READY."""
    while True:
        assert readable(systemd, within=10.0)
        lines = systemd.recv(65536).decode().splitlines()
        if "READY=1" in lines:
            return next(line for line in lines if line.startswith("STATUS="))


def test_an_immutable_file_is_said_with_its_remedy(guard: Node) -> None:
    """Immutable: rename and write are refused even to root; repaired once that ends."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        guard.file.write_bytes(POISON)
        guard.wait_for(UPSTREAM)
    guard.file.write_bytes(POISON)
    _chattr("+i", guard.file)
    try:
        with guard.guarded():
            guard.wait_for_line("resolv_conf_not_written", "chattr -i")
            assert "chattr -i" in guard.run("status").stdout
            # What is so, and not what was wanted; and what failed was no repair.
            guard.wait_for_line("mode_changed", f"nameservers={NODELOCAL}")
            status = guard.status()
            assert status["resolv_conf"]["nameservers"] == [NODELOCAL]
            assert len(status["degraded"]) == 1
            assert status["tramples"]["count"] == 0
            _chattr("-i", guard.file)
            guard.wait_for(UPSTREAM)
            until(lambda: not guard.status()["degraded"])
    finally:
        _chattr("-i", guard.file)


def _chattr(flag: str, path: Path) -> None:
    done = subprocess.run(["chattr", flag, path], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        needs.leave_out(f"immutable files: {done.stderr.strip()}")


def test_a_bind_mounted_file_is_overwritten_in_place(guard: Node) -> None:
    """A rename over a mount is refused (EBUSY): containers and ``ip netns`` have such files."""
    source = guard.root / "source"
    source.write_bytes(POISON)
    with bound(source, guard.file), guard.guarded():
        guard.wait_for(UPSTREAM)
        source.write_bytes(POISON)
        guard.wait_for(UPSTREAM)
        guard.wait_for_line("resolv_conf_written", "result=in-place")


def test_a_link_within_etc_is_kept_and_its_target_repaired(guard: Node) -> None:
    """An admin's own; a new link is noticed as well."""
    target = guard.root / "etc/resolvconf/resolv.conf"
    target.parent.mkdir(parents=True)
    target.write_bytes(POISON)
    guard.file.unlink()
    guard.file.symlink_to("resolvconf/resolv.conf")
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        target.write_bytes(POISON)
        guard.wait_for(UPSTREAM)
        assert guard.file.is_symlink()
        other = target.with_name("other")
        other.write_bytes(POISON)
        (guard.root / "etc/link").symlink_to("resolvconf/other")
        (guard.root / "etc/link").rename(guard.file)
        guard.wait_for(UPSTREAM)
        assert guard.file.is_symlink()


MANAGED = "../run/NetworkManager/resolv.conf"


@pytest.fixture
def managed(guard: Node) -> Path:
    """Make resolv.conf a manager's link; return the file that it leads to, not there yet."""
    file = guard.root / "run/NetworkManager/resolv.conf"
    file.parent.mkdir(parents=True)
    guard.file.unlink()
    guard.file.symlink_to(MANAGED)
    return file


def test_a_managers_link_is_left_alone_on_a_healthy_node(guard: Node, managed: Path) -> None:
    """Dangling at first, then empty, then clean: through boot, renewal, NodeLocalDNS and the end."""
    guard.where.bridge("nodelocal", NODELOCAL)
    texts = (b"", f"search a.test\nnameserver {UPSTREAM}\n".encode(), b"nameserver 192.0.2.77\n")
    with nameserver(guard.where, NODELOCAL), guard.guarded():
        until(lambda: bool(guard.status()["nodelocal"]["state"] == "healthy"))
        assert str(guard.file.readlink()) == MANAGED
        verdict = guard.run("status").stdout.splitlines()[0]
        assert verdict.startswith("OK guarding: resolv.conf names nobody yet; ")
        assert "whoever keeps it is waited for" in verdict
        assert guard.run("check").stdout.endswith("nobody is named yet\n")
        for text in texts:
            managed.write_bytes(text)
            until(lambda: bool(guard.status()["nodelocal"]["state"] == "healthy"))
            assert (str(guard.file.readlink()), managed.read_bytes()) == (MANAGED, text)
        assert guard.status()["mode"] == "guarding"
        assert any("which another program keeps" in one for one in guard.status()["next"])
    assert (str(guard.file.readlink()), managed.read_bytes()) == (MANAGED, texts[-1])


def test_a_poisoned_managers_link_is_given_back_clean(guard: Node, managed: Path) -> None:
    """It dangles first. Its text is read on behind our file, and never written; status says so."""
    with guard.guarded():
        until(lambda: bool(guard.status()["upstream"]["state"] == "verified"))
        assert str(guard.file.readlink()) == MANAGED
        managed.write_bytes(POISON)
        guard.wait_for(UPSTREAM)
        guard.wait_for_line("resolv_conf_written", "result=link-replaced")
        assert managed.read_bytes() == POISON
        assert f"in the place of a link to {MANAGED}" in guard.run("status").stdout
        clean = f"search b.test\nnameserver {UPSTREAM}\n".encode()
        managed.write_bytes(clean)
        until(lambda: b"search b.test" in guard.file.read_bytes())
        assert f"will soon be a link to {MANAGED}" in guard.run("status").stdout
        until(guard.file.is_symlink, within=20)
        guard.wait_for_line("resolv_conf_written", "result=link-restored")
        assert "in the place of" not in guard.run("status").stdout
    assert (str(guard.file.readlink()), managed.read_bytes()) == (MANAGED, clean)


def test_a_poisoned_managers_link_is_given_back_at_the_removal(guard: Node, managed: Path) -> None:
    """As it was; what it leads to is told. Neither a stop nor a restart gives it back."""
    managed.write_bytes(POISON)
    for _ in range(2):
        with guard.guarded():
            guard.wait_for(UPSTREAM)
            assert guard.status()["resolv_conf"]["in_place_of"] == MANAGED
        assert guard.run("secure").returncode == 0
        assert guard.servers() == [UPSTREAM]
    done = guard.run("secure", "--give-link-back")
    assert (str(guard.file.readlink()), managed.read_bytes()) == (MANAGED, POISON)
    assert f"is a link to {MANAGED} again, which names cluster addresses only" in done.stderr
    assert not list(guard.file.parent.glob("resolv.conf.dnsguard*"))


def test_a_managers_link_to_the_dead_is_left_and_told(guard: Node, managed: Path) -> None:
    """Programs have nobody, though another server answers: that is not called fine."""
    managed.write_text(f"nameserver {UPSTREAM}\nnameserver {OTHER}\n")
    with guard.guarded():
        half = f"OK guarding: {UPSTREAM} answers, {OTHER} does not; "
        until(lambda: guard.run("status").stdout.startswith(half), within=20)
        managed.write_text(f"nameserver {OTHER}\n")
        until(lambda: guard.run("check").returncode == 1, within=20)
        said = guard.run("status").stdout.splitlines()[0]
        assert said.startswith(f"DEGRADED guarding: nobody in resolv.conf answers ({OTHER} ")
        assert str(guard.file.readlink()) == MANAGED
        managed.write_text(f"nameserver {UPSTREAM}\n")
        until(lambda: guard.run("check").returncode == 0, within=20)


def test_a_fight_is_slowed_down_said_once_and_won(guard: Node) -> None:
    """A rival that rewrites at once wakes nobody 1,000 times a second; quiet, it is repaired."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        for _ in range(400):
            if guard.servers() != [NODELOCAL]:
                guard.file.write_bytes(POISON)
            Event().wait(0.002)
        guard.wait_for_line("resolv_conf_fought_over")
        guard.wait_for(UPSTREAM, within=15)
    lines = guard.log.read_text().count("resolv_conf")
    assert lines < 50


def test_a_reload_takes_the_new_configuration_or_keeps_the_old(
    guard: Node, outside: Namespace
) -> None:
    """SIGHUP; a bad file is said in the log and in the status, and changes nothing."""
    config = guard.root / "etc/dnsguard/dnsguard.toml"
    other = OTHER
    with nameserver(outside, other), guard.guarded() as daemon:
        guard.wait_for(UPSTREAM)
        config.write_text(f'[upstream]\nservers = ["{other}"]\n')
        daemon.send_signal(signal.SIGHUP)
        guard.wait_for(other)
        config.write_text("[upstream]\nserver = 1\n")
        daemon.send_signal(signal.SIGHUP)
        guard.wait_for_line("reload_refused", "did you mean upstream.servers")
        assert "not reloaded" in guard.run("status").stdout
        assert guard.servers() == [other]


def test_a_changed_hook_is_judged_and_told_once(guard: Node) -> None:
    """What dhclient will run at the next lease is watched; the status shows it, too."""
    hooks = guard.root / "etc/dhcp/dhclient-exit-hooks.d"
    hooks.mkdir(parents=True)
    with guard.guarded():
        (hooks / "harmless").write_text("echo\n")
        (hooks / "zdnsupdate").write_text("echo\nsed -i s/a/b/ /etc/resolv.conf\n")
        guard.wait_for_line("warning", "dhclient_hazard_found", "zdnsupdate:2", "sed -i")
        (hazard,) = guard.status()["dhclient"]["hazards"]
        assert (hazard["path"], hazard["line"], hazard["defused"]) == (
            "/etc/dhcp/dhclient-exit-hooks.d/zdnsupdate",
            2,
            False,
        )
        (hooks / "zdnsupdate").unlink()
        guard.wait_for_line("dhclient_hazard_gone", "zdnsupdate")
    assert guard.log.read_text().count("dhclient_hazard_found") == 1
    assert "harmless" not in guard.log.read_text()


def test_the_plan_says_the_same_with_and_without_a_daemon(guard: Node) -> None:
    """And changes nothing: the poison is still there after it."""
    alone = guard.run("plan")
    assert alone.returncode == 0
    assert f"+nameserver {UPSTREAM}" in alone.stdout
    assert guard.file.read_bytes() == POISON
    assert not (guard.root / "var").exists()
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        assert "nothing to do" in guard.run("plan").stdout
