"""What an operator types, against the real daemon: hold, wait, watch, check, restore."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import jsonschema
import pytest
from lab.guard import NODELOCAL, POISON, UPSTREAM, Node, environment, nodelocaldns, open_node
from lab.netns import Namespace
from lab.terminal import Terminal
from lab.wait import until

from dnsguard.formats.guarded_resolvconf import unguard

pytestmark = pytest.mark.integration

TREE = Path(__file__).parents[2]
SCHEMA = json.loads((TREE / "docs/status.schema.json").read_text(encoding="utf-8"))
NOBODY = 65534
SGR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def guard(node: Namespace) -> Iterator[Node]:
    """Return a poisoned node whose upstream answers, in a short path that anyone may enter."""
    with open_node(node) as made:
        yield made


def _done(guard: Node, *arguments: str) -> str:
    done = guard.run(*arguments)
    assert done.returncode == 0, done
    return done.stdout


# --- hold and release


def test_hold_upstream_keeps_nodelocaldns_out(guard: Node) -> None:
    """Healthy or not, until it is released; the status says so loudly."""
    with guard.guarded(), nodelocaldns(guard):
        guard.wait_for(NODELOCAL, UPSTREAM)
        assert _done(guard, "hold", "upstream") == (
            f"held to upstream, until dnsguard release; resolv.conf {UPSTREAM}\n"
        )
        assert guard.servers() == [UPSTREAM]
        status = guard.status()
        assert (status["mode"], status["hold"]["serves"]) == ("held", "upstream")
        assert status["nodelocal"]["state"] == "healthy"
        guard.wait_for_line("hold_set", "hold=upstream")
        _done(guard, "release")
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
        _done(guard, "hold", "upstream", "--for", "1h")
    with guard.guarded(), nodelocaldns(guard):
        _done(guard, "wait")
        until(lambda: bool(guard.status()["nodelocal"]["state"] == "healthy"))
        status = guard.status()
        assert status["mode"] == "held"
        assert 3000 < status["hold"]["seconds_left"] <= 3600
        assert guard.servers() == [UPSTREAM]


def test_it_ends_by_itself(guard: Node) -> None:
    """And says so."""
    with guard.guarded(), nodelocaldns(guard):
        guard.wait_for(NODELOCAL, UPSTREAM)
        _done(guard, "hold", "upstream", "--for", "500ms")
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


def _as_nobody(guard: Node, tree: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    who = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    command = ["setpriv", *who, *guard.command(*arguments)]
    with guard.where.inside():
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=environment() | {"PYTHONPATH": str(tree)},
        )


def test_only_root_commands_and_anyone_asks(guard: Node, readable_tree: Path) -> None:
    """The kernel says who is at the other end of the socket (SO_PEERCRED)."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        assert _as_nobody(guard, readable_tree, "status").returncode == 0
        for command in (["hold", "upstream"], ["release"]):
            done = _as_nobody(guard, readable_tree, *command)
            assert done.returncode == os.EX_NOPERM
            assert done.stderr == f"dnsguard: {command[0]} refused: only root may: use sudo\n"
        assert guard.status()["mode"] == "guarding"
        guard.wait_for_line("client_refused", "may not hold", f"uid={NOBODY}")


# --- the socket under abuse


def test_the_socket_takes_anything(guard: Node) -> None:
    """Garbage, half a line, a mebibyte, a thousand idle ones: told once, and served on."""
    path = str(guard.root / "run/dnsguard/control.sock")

    def connected() -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.connect(path)
        return made

    with guard.guarded() as daemon, ExitStack() as stack:
        guard.wait_for(UPSTREAM)
        for noise in (b"\xff\x00{\n", b'{"version": 1, "requ', b"#" * (1 << 20)):
            for _ in range(5):
                client = stack.enter_context(connected())
                client.settimeout(5)
                with suppress(BrokenPipeError, ConnectionResetError):  # cut off in the middle
                    client.sendall(noise)
        for _ in range(900):
            stack.enter_context(connected())
        assert guard.status()["mode"] == "guarding"
        assert len(list(Path(f"/proc/{daemon.pid}/fd").iterdir())) < 100
        guard.file.write_bytes(POISON)
        guard.wait_for(UPSTREAM)
    lines = guard.log.read_text().splitlines()
    refused = [line for line in lines if "client_refused" in line]
    assert 1 <= len(refused) <= 3, refused


# --- wait, check, watch, restore


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
        assert json.loads(_done(guard, "status", "--wait", "guarding", "--json"))["mode"]
        done = guard.run("status", "--wait", "handed-over", "--timeout", "300ms")
        assert "mode guarding, waits until NodeLocalDNS is healthy" in done.stderr
        with nodelocaldns(guard):
            _done(guard, "status", "--wait", "handed-over")


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


def test_check_is_a_line_and_a_status(guard: Node) -> None:
    """0, 1 and 3, as Nagios reads them."""
    assert guard.run("check").returncode == 3
    with guard.guarded():
        _done(guard, "wait")
        assert _done(guard, "check") == f"OK: guarding, upstream verified: {UPSTREAM}\n"
        guard.run("hold", "nodelocal")
        done = guard.run("check")
        assert (done.returncode, done.stdout[:10]) == (1, "DEGRADED: ")
        assert len(done.stdout.rstrip("\n")) <= 80


def test_node_problem_detector_is_told(guard: Node) -> None:
    """The rule's own command, with what it may say at most."""
    path = TREE / "packaging/node-problem-detector/dnsguard.json"
    plugin = json.loads(path.read_text(encoding="utf-8"))
    (rule,) = plugin["rules"]
    assert rule["condition"] in {condition["type"] for condition in plugin["conditions"]}
    longest = plugin["pluginConfig"]["max_output_length"]
    option, script = rule["args"]
    script = script.replace("/usr/bin/dnsguard", shlex.join(guard.command()))

    def run() -> "subprocess.CompletedProcess[str]":
        command = [rule["path"], option, script]
        with guard.where.inside():
            done = subprocess.run(
                command, capture_output=True, text=True, check=False, env=environment()
            )
        assert len(done.stdout.rstrip("\n")) <= longest
        return done

    with guard.guarded():
        _done(guard, "wait")
        assert run().returncode == 0
        guard.run("hold", "nodelocal")
        assert run().returncode == 1
    assert run().returncode == 2  # which is what Nagios calls 3


def test_the_status_keeps_to_its_schema(guard: Node) -> None:
    """In every mode; docs/status.schema.json forbids keys that it does not describe."""

    def check() -> None:
        jsonschema.validate(json.loads(guard.run("status", "--json").stdout), SCHEMA)

    (guard.root / "var/lib/kubelet").mkdir(parents=True)
    (guard.root / "var/lib/kubelet/config.yaml").write_text("resolvConf: /else\n")
    (guard.root / "else").write_text(f"nameserver {UPSTREAM}\n")
    with guard.guarded(), nodelocaldns(guard):
        check()
        guard.wait_for(NODELOCAL, UPSTREAM)
        check()
        guard.file.write_bytes(POISON)
        guard.run("hold", "upstream", "--for", "1h")
        check()


@pytest.mark.parametrize("columns", [80, 200])
def test_the_status_fits_the_terminal(guard: Node, columns: int) -> None:
    """No line is wider, nothing is cut, and the labels stay apart from what is folded."""
    with guard.guarded():
        _done(guard, "wait")
        shown = Terminal(guard, columns, "status").read()
        piped = _done(guard, "status")
    plain = SGR.sub("", shown)
    assert plain != shown
    assert max(map(len, plain.splitlines())) <= columns
    assert _words(plain) == _words(piped)
    assert [line[:13].strip() for line in plain.splitlines() if line[:1] != " "][1:4] == [
        "mode",
        "resolv.conf",
        "NodeLocalDNS",
    ]


def _words(text: str) -> list[str]:
    """Return what is said, without the time that goes by between two askings."""
    return [word for word in text.split() if not re.fullmatch(r"[\d.:]+,?", word)]


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colour_can_be_had_off(guard: Node, environ: dict[str, str]) -> None:
    """As no-color.org and dumb terminals ask for."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        assert "\x1b" not in Terminal(guard, 80, "status", environ=environ).read()
        assert "\x1b" not in _done(guard, "status")


def test_watch_draws_what_changes(guard: Node) -> None:
    """On the alternate screen, which is left as it was found, on ^C too."""
    with guard.guarded():
        _done(guard, "wait")
        terminal = Terminal(guard, 100, "watch")
        terminal.wait_for("guarding")
        _done(guard, "hold", "upstream")
        terminal.wait_for("OK held to upstream by root")
        terminal.process.send_signal(signal.SIGINT)
        shown = terminal.read()
    assert terminal.process.returncode == 0
    assert shown.startswith("\x1b[?1049h")
    assert shown.endswith("\x1b[?1049l")


def test_restore_gives_back_what_somebody_else_wrote(guard: Node) -> None:
    """With the difference first; not while the daemon would repair it at once."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        done = guard.run("restore", "--yes")
        assert done.returncode == 1
        assert "+nameserver 169.254.25.10" in done.stdout
        assert "systemctl stop dnsguard" in done.stderr
        assert guard.servers() == [UPSTREAM]
    guarded = guard.file.read_bytes()
    assert guard.run("restore").returncode == os.EX_USAGE
    assert guard.file.read_bytes() == guarded
    done = guard.run("restore", "--yes")
    assert done.returncode == 0
    assert "cluster addresses only" in done.stderr
    assert guard.file.read_bytes() == unguard(guarded) == POISON
    assert "is as the last foreign writer left it" in _done(guard, "restore")


def test_restore_asks_on_a_terminal(guard: Node) -> None:
    """And takes nothing but yes for it."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
    for answer, expected in ((b"\n", [UPSTREAM]), (b"y\n", [NODELOCAL])):
        terminal = Terminal(guard, 80, "restore")
        terminal.wait_for("[y/N]")
        terminal.type(answer)
        terminal.read()
        assert guard.servers() == expected
