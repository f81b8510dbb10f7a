"""``dnsguard wait``, ``watch`` and ``status --wait``, typed against the real daemon."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from lab.guard import UPSTREAM, Node, environment, nodelocaldns
from lab.terminal import Terminal
from lab.wait import until

pytestmark = pytest.mark.integration


def test_wait_waits_for_a_daemon_and_for_the_truth(guard: Node) -> None:
    """Started before the daemon, it ends when an upstream has answered."""
    with guard.where.inside():
        waiting = subprocess.Popen(guard.command("wait"), env=environment())
    with guard.guarded():
        assert waiting.wait(20) == 0
        assert guard.status()["upstream"]["state"] == "verified"


@pytest.mark.parametrize("command", [["wait"], ["status", "--wait", "handed-over"]])
def test_waiting_has_an_end(guard: Node, command: list[str]) -> None:
    """One line that says what was missing."""
    done = guard.run(*command, "--timeout", "200ms")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "within 0.2 s: no daemon" in done.stderr


def test_status_waits_for_a_mode(guard: Node) -> None:
    """As a playbook does it."""
    with guard.guarded():
        assert json.loads(guard.done("status", "--wait", "guarding", "--json"))["mode"]
        done = guard.run("status", "--wait", "handed-over", "--timeout", "300ms")
        assert "mode guarding, waits until NodeLocalDNS is healthy" in done.stderr
        with nodelocaldns(guard):
            guard.done("status", "--wait", "handed-over")


def test_a_silent_upstream_is_blamed(guard: Node) -> None:
    """Not NodeLocalDNS, which asks the same one: by name, in all that waits or complains."""
    guard.where.ip("link set eth0 down")
    with guard.guarded(), nodelocaldns(guard):
        until(lambda: "not asked" not in guard.status()["degraded"][0])
        first = guard.status()["degraded"][0]
        assert first.startswith(f"no upstream is verified ({UPSTREAM} ")
        assert first.endswith("the best known one is used: dnsguard upstreams")
        for command in (["wait"], ["status", "--wait", "handed-over"]):
            done = guard.run(*command, "--timeout", "200ms")
            assert f"no upstream answers ({UPSTREAM}: " in done.stderr


def test_watch_draws_what_changes(guard: Node) -> None:
    """On the alternate screen, which is left as it was found, on ^C too."""
    with guard.guarded():
        guard.done("wait")
        terminal = Terminal(guard, 100, "watch")
        terminal.wait_for("guarding")
        guard.done("hold", "upstream")
        terminal.wait_for("OK held to upstream by root")
        terminal.process.send_signal(signal.SIGINT)
        shown = terminal.read()
    assert terminal.process.returncode == 0
    assert shown.startswith("\x1b[?1049h")
    assert shown.endswith("\x1b[?1049l")


def test_watch_outlives_the_daemon(guard: Node, tmp_path: Path) -> None:
    """Into a file as on a terminal: that it is gone is one more thing that has changed."""
    said = tmp_path / "said"
    with guard.guarded():
        guard.done("wait")
        with said.open("wb") as file, guard.where.inside():
            watching = subprocess.Popen(guard.command("watch"), stdout=file, env=environment())
        until(lambda: "OK guarding" in said.read_text())
    until(lambda: "no daemon at" in said.read_text())
    with guard.guarded():
        until(lambda: "OK guarding" in said.read_text().partition("no daemon at")[2])
    watching.send_signal(signal.SIGINT)
    assert watching.wait(10) == 130
    assert guard.run("watch").returncode == 1
