"""The real daemon as a service: stopped, started again, reloaded, asked for its plan."""

import signal

import pytest
from lab.guard import NODELOCAL, OTHER, POISON, UPSTREAM, Node
from lab.nameserver import nameserver
from lab.netns import Namespace

pytestmark = pytest.mark.integration


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
