"""``dnsguard hold`` and ``release``, typed against the real daemon."""

import signal

import pytest
from lab.guard import NODELOCAL, UPSTREAM, Node, nodelocaldns
from lab.wait import until

pytestmark = pytest.mark.integration


def test_hold_upstream_keeps_nodelocaldns_out(guard: Node) -> None:
    """Healthy or not, until it is released; the status says so loudly."""
    with guard.guarded(), nodelocaldns(guard):
        guard.wait_for(NODELOCAL, UPSTREAM)
        assert guard.done("hold", "upstream") == (
            f"held to upstream, until dnsguard release; resolv.conf {UPSTREAM}\n"
        )
        assert guard.servers() == [UPSTREAM]
        status = guard.status()
        assert (status["mode"], status["hold"]["serves"]) == ("held", "upstream")
        assert status["nodelocal"]["state"] == "healthy"
        guard.wait_for_line("hold_set", "hold=upstream")
        guard.done("release")
        guard.wait_for_line("hold_released")
        guard.wait_for(NODELOCAL, UPSTREAM)
        assert guard.status()["hold"] is None


def test_hold_nodelocal_keeps_the_upstream_behind_it(guard: Node) -> None:
    """Dead as it is, it stands first; that is said to be bad, and resolves all the same."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        assert guard.run("hold", "nodelocal").returncode == 2
        assert guard.servers() == [NODELOCAL, UPSTREAM]
        assert "held to NodeLocalDNS, which does not answer" in str(guard.status()["degraded"])
    assert guard.servers() == [UPSTREAM]


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_it_survives_a_restart(guard: Node, end: int) -> None:
    """However the daemon ended."""
    with guard.guarded(to_end=end):
        guard.wait_for(UPSTREAM)
        guard.done("hold", "upstream", "--for", "1h")
    with guard.guarded(), nodelocaldns(guard):
        guard.done("wait")
        until(lambda: bool(guard.status()["nodelocal"]["state"] == "healthy"))
        status = guard.status()
        assert status["mode"] == "held"
        assert 3000 < status["hold"]["seconds_left"] <= 3600
        assert guard.servers() == [UPSTREAM]


def test_it_ends_by_itself(guard: Node) -> None:
    """And says so."""
    with guard.guarded(), nodelocaldns(guard):
        guard.wait_for(NODELOCAL, UPSTREAM)
        guard.done("hold", "upstream", "--for", "500ms")
        assert guard.servers() == [UPSTREAM]
        guard.wait_for_line("hold_expired")
        guard.wait_for(NODELOCAL, UPSTREAM)
        assert not (guard.root / "run/dnsguard/hold.json").exists()


def test_a_damaged_hold_holds_nothing(guard: Node) -> None:
    """It is said, and the daemon starts."""
    (guard.root / "run/dnsguard").mkdir(parents=True)
    (guard.root / "run/dnsguard/hold.json").write_bytes(b"\xff{")
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        guard.wait_for_line("state_unreadable", "hold.json")
        assert guard.status()["mode"] == "guarding"


def test_never_into_a_loop(guard: Node) -> None:
    """Where pods would inherit it, the command is refused with the way out."""
    kubelet = guard.root / "var/lib/kubelet/config.yaml"
    kubelet.parent.mkdir(parents=True)
    kubelet.write_text("resolvConf: /etc/resolv.conf\n")
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        done = guard.run("hold", "nodelocal")
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert "dnsguard kubelet adopt" in done.stderr
        assert guard.status()["mode"] == "guarding"
        assert guard.run("release").stderr == "dnsguard: release refused: nothing is held\n"
