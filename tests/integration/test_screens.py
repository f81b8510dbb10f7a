"""The screens of a person at 3 a.m., on terminals of three sizes: short, whole, folded at words."""

import re
import signal
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.guard import NODELOCAL, POISON, UPSTREAM, Node, nodelocaldns, open_node
from lab.netns import Namespace
from lab.terminal import Terminal
from lab.wait import until

pytestmark = pytest.mark.integration

SIZES = [(80, 24), (120, 40), (200, 50)]
SGR = re.compile(r"\x1b\[[0-9;]*m")
HOOK = "# from the node's image\necho nameserver 169.254.25.10 > /etc/resolv.conf\n"


@pytest.fixture
def guard(node: Namespace) -> Iterator[Node]:
    """Return a poisoned node whose upstream answers, in a short path that anyone may enter."""
    with open_node(node) as made:
        yield made


@pytest.fixture
def poisoned(guard: Node) -> Node:
    """Return Kubespray's node after its reboot, with all that can be wrong with one."""

    def write(name: str, text: str) -> None:
        path = guard.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    write("etc/dhcp/dhclient.conf", "supersede domain-name-servers 169.254.25.10;\n")
    for number in range(6):
        write(f"etc/dhcp/dhclient-exit-hooks.d/z{number}dnsupdate", HOOK)
    write(
        "etc/dhcp/dhclient-enter-hooks.d/dnsguard", "# dhclient.lock\nmake_resolv_conf() { :; }\n"
    )
    write("etc/kubernetes/kubelet-config.yaml", 'resolvConf: "/etc/resolv.conf"\n')
    write("etc/resolv.conf.7113.2026-03-02@09:14:51~", f"nameserver {UPSTREAM}\n")
    write("etc/resolv.conf.old", "".join(f"nameserver 192.0.2.{n}\n" for n in (60, 61, 62)))
    return guard


def _shown(guard: Node, size: tuple[int, int], *arguments: str) -> list[str]:
    columns, rows = size
    lines = SGR.sub("", Terminal(guard, columns, *arguments, rows=rows).read()).splitlines()
    print(*lines, sep="\n")  # for who looks at a failure
    assert max(map(len, lines)) <= columns
    return lines


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_status_of_a_poisoned_node_fits(poisoned: Node, size: tuple[int, int]) -> None:
    """In 24 lines at 80 columns, the verdict first; -v has what is left out."""
    with poisoned.guarded():
        poisoned.wait_for(UPSTREAM)
        assert poisoned.run("wait").returncode == 0
        poisoned.file.write_bytes(POISON)
        until(lambda: bool(poisoned.status()["tramples"]["count"]))
        lines = _shown(poisoned, size, "status")
        full = _shown(poisoned, size, "status", "-v")
    assert lines[0].startswith(f"OK guarding: {UPSTREAM} answers; waits until NodeLocalDNS")
    assert len(lines) < 24  # with the prompt behind it
    said = " ".join(" ".join(lines).split())
    assert "kubelet gives pods /etc/resolv.conf" in said
    assert "remedy: dnsguard kubelet adopt --restart" in said
    assert "4 more: dnsguard status -v" in said
    assert said.count("waits until NodeLocalDNS is healthy") == 1
    assert "blocked by" not in said
    assert "writer unknown" in said
    assert len(full) > len(lines)
    assert " ".join(" ".join(full).split()).count("blocked by dnsguard's enter hook") == 1


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_status_of_a_healthy_node_is_short(guard: Node, size: tuple[int, int]) -> None:
    """Nothing of dhclient, kubelet or tramples where there are none."""
    with guard.guarded(), nodelocaldns(guard):
        guard.wait_for(NODELOCAL, UPSTREAM)
        lines = _shown(guard, size, "status")
    assert lines[0] == f"OK handed-over: NodeLocalDNS answers; behind it {UPSTREAM}"
    labels = [label for line in lines[1:] if (label := line[:13].strip())]
    assert labels == ["mode", "resolv.conf", "NodeLocalDNS", "upstream"]
    assert len(lines) <= 10


def test_the_verdict_of_a_degraded_node_is_the_remedy(guard: Node) -> None:
    """And check has the same, the remedy first."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        guard.run("hold", "nodelocal")
        lines = _shown(guard, (80, 24), "status")
        check = guard.run("check").stdout
    wrong = "held to NodeLocalDNS, which does not answer"
    assert lines[0] == f"DEGRADED held: {wrong}: dnsguard release"
    assert check == f"DEGRADED: dnsguard release ({wrong})\n"


def test_no_upstream_is_a_degraded_node(guard: Node) -> None:
    """What to do stands in the first line, and in monitoring's 80 characters."""
    (guard.root / "etc/resolv.conf.bak").unlink()
    with guard.guarded():
        guard.wait_for()
        lines = _shown(guard, (80, 24), "status")
        done = guard.run("check")
    assert lines[0].startswith("DEGRADED guarding: no upstream is known: set upstream.servers")
    assert (done.returncode, len(done.stdout)) == (1, 81)
    assert done.stdout.startswith("DEGRADED: set upstream.servers in /etc/dnsguard/dnsguard.toml (")


def test_hold_and_release_answer_in_a_line(guard: Node) -> None:
    """What is so now, and how it ends."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        held = guard.run("hold", "upstream", "--for", "30m").stdout
        released = guard.run("release").stdout
    assert re.fullmatch(
        rf"held to upstream, until [\d: -]+ \((30 min|29 min 59 s) left\) or dnsguard release;"
        rf" resolv.conf {UPSTREAM}\n",
        held,
    )
    assert released == f"released: guarding; resolv.conf {UPSTREAM}\n"


def test_a_refused_hold_says_why(poisoned: Node) -> None:
    """In one line, with the way out."""
    with poisoned.guarded():
        poisoned.wait_for(UPSTREAM)
        said = poisoned.run("hold", "nodelocal").stderr
    assert said == (
        "dnsguard: hold refused: kubelet gives /etc/resolv.conf to pods, which would inherit"
        " the loop; remedy: dnsguard kubelet adopt --restart\n"
    )


def test_plan_and_forecast_open_with_their_verdict(poisoned: Node) -> None:
    """What comes as the node is now: alone, and with the daemon that keeps it."""
    lease = poisoned.root / "var/lib/dhcp/dhclient.eth0.leases"
    lease.parent.mkdir(parents=True, exist_ok=True)
    lease.write_text(
        'lease {\n interface "eth0";\n option domain-name-servers 169.254.25.10;\n expire never;\n}\n'
    )
    (poisoned.root / "etc/resolv.conf").write_text(f"nameserver {UPSTREAM}\n")
    alone = poisoned.run("forecast").stdout.splitlines()
    assert alone[0] == "renewal: fine; reboot: POISONED (with dnsguard: fine)"
    plan = poisoned.run("plan").stdout.splitlines()
    assert plan[0] == "resolv.conf stays as it is"
    assert plan[1].startswith("No daemon runs")
    with poisoned.guarded():
        poisoned.wait_for(UPSTREAM)
        guarded = poisoned.run("forecast").stdout.splitlines()
        plan = poisoned.run("plan").stdout.splitlines()
    assert guarded[0] == "renewal: fine; reboot: fine (without dnsguard: POISONED)"
    assert plan[0] == "nothing to do"
    assert "No daemon runs" not in plan[1]


def test_a_plan_with_nothing_to_do_asks_for_nothing(guard: Node) -> None:
    """Without a daemon, too; and it has the words of status."""
    guard.where.bridge("nodelocal", NODELOCAL)
    with guard.guarded():
        assert guard.run("wait").returncode == 0
    plan = guard.run("plan").stdout.splitlines()
    assert plan[:2] == ["nothing to do", "No daemon runs."]
    assert f"  nodelocal: failing: {NODELOCAL} refused: nothing listens there" in plan


@pytest.mark.parametrize("command", ["plan", "upstreams", "forecast", "kubelet"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_long_lines_are_folded_at_words(
    poisoned: Node, command: str, size: tuple[int, int]
) -> None:
    """Nothing is cut, nothing is broken in two, and into a pipe nothing is folded."""
    lines = _shown(poisoned, size, command)
    piped = poisoned.run(command).stdout
    assert _words("\n".join(lines)) == _words(piped)


def _words(text: str) -> set[str]:
    """Return what is said, without figures that differ between two askings."""
    return {word for word in text.split() if not re.fullmatch(r"[\d.]+|-|ms|from|FROM", word)}


@pytest.mark.parametrize(("columns", "rows"), [(80, 10), *SIZES, (30, 5)])
def test_watch_keeps_to_its_window(poisoned: Node, columns: int, rows: int) -> None:
    """The top stays, the rest is cut with a word about it, and q ends it in good order."""
    with poisoned.guarded():
        assert poisoned.run("wait").returncode == 0
        terminal = Terminal(poisoned, columns, "watch", rows=rows)
        before = termios.tcgetattr(terminal.master)
        terminal.wait_for("guarding")
        terminal.wait_for("\x1b[J")
        terminal.type(b"x")
        terminal.type(b"q")
        shown = terminal.read()
    assert terminal.process.returncode == 0
    assert before[3] & termios.ICANON
    frame = shown.split("\x1b[H")[-1].split("\x1b[J")[0]
    lines = [re.sub(r"\x1b\[[0-9;]*[mK]|\r", "", line) for line in frame.split("\n")]
    assert len(lines) <= rows
    assert max(map(len, lines)) <= columns
    assert lines[0].startswith(f"OK guarding: {UPSTREAM}"[:columns])
    if rows < 24:
        assert re.match(r"\.\.\. \d+ more lines", lines[-1])


def test_a_killed_watch_leaves_the_terminal_as_it_was(guard: Node) -> None:
    """SIGTERM, as from a session that ends."""
    with guard.guarded():
        terminal = Terminal(guard, 80, "watch")
        terminal.wait_for("guarding")
        terminal.process.terminate()
        shown = terminal.read()
    assert terminal.process.returncode == 128 + 15
    assert shown.endswith("\x1b[?25h\x1b[?1049l")


def test_a_suspended_watch_gives_the_terminal_back(guard: Node) -> None:
    """^Z leaves the shell its screen; who has it go on sees the status again."""
    enter, leave = "\x1b[?1049h", "\x1b[?1049l"
    with guard.guarded():
        terminal = Terminal(guard, 80, "watch")
        terminal.wait_for("q ends")
        terminal.process.send_signal(signal.SIGTSTP)
        terminal.wait_for(leave)
        until(lambda: _state_of(terminal.process.pid) == "T")
        before = len(terminal.shown)
        terminal.process.send_signal(signal.SIGCONT)
        until(lambda: _state_of(terminal.process.pid) != "T")
        terminal.shown = terminal.shown[before:]
        terminal.wait_for("q ends")
        assert terminal.shown.startswith(enter)
        terminal.type(b"q")
        assert terminal.read().endswith(leave)


def _state_of(pid: int) -> str:
    """Return what the process does (proc_pid_stat(5))."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


def test_a_way_that_fails_is_told_plainly(guard: Node) -> None:
    """The others are not in the way of the one that counts."""
    guard.where.bridge("nodelocal", NODELOCAL)
    with guard.guarded():
        until(lambda: bool(guard.status()["nodelocal"]["state"] == "silent"))
        lines = _shown(guard, (80, 24), "status")
    assert re.search(
        r"NodeLocalDNS failing: 169.254.25.10 refused: nothing listens there\n"
        r" +! cluster names over UDP: refused (once|\d+ times in a row)\n",
        "\n".join(lines),
    )


def test_a_wrong_option_points_to_its_own_help(guard: Node) -> None:
    """Not to the list of all commands."""
    said = guard.run("hold", "both").stderr + guard.run("hold", "upstream", "--ever").stderr
    assert said.count("see dnsguard hold --help\n") == 2


def test_waiting_in_vain_blames_the_upstream(guard: Node) -> None:
    """By its address and what came of asking it."""
    (guard.root / "etc/resolv.conf.bak").write_text("nameserver 192.0.2.99\n")
    with guard.guarded():
        until(lambda: bool(guard.status()["upstream"]["servers"][0]["detail"] != "not asked yet"))
        said = guard.run("wait", "--timeout", "100ms").stderr
    assert re.match(
        r"dnsguard: not safe within 0.1 s: no upstream answers \(192.0.2.99: [^)]+\)\n", said
    )
