"""``tests/demo/run`` as a person runs it: the story, and a machine that is as it was before."""

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from demo.namespaces import STAGE
from lab import needs
from lab.wait import until

pytestmark = pytest.mark.integration

RESOLV_CONF = Path("/etc/resolv.conf")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
PATIENCE = 60.0
MILESTONES = (
    "FAILS registry.k8s.io: nothing answers on 169.254.25.10",
    "dnsguard starts",
    "repaired",
    "registry.k8s.io: 192.0.2.53 answers",
    "dhclient renews its lease and writes the poison again",
    "3 writes, each repaired",
    "NodeLocalDNS comes up on 169.254.25.10",
    "handed over",
    "kubernetes.default.svc.cluster.local: 169.254.25.10 answers",
    "NodeLocalDNS dies (kill -9)",
    "back to the upstream",
    "none failed",
    "takes its address away",
    "back to the upstream",
    "dnsguard is killed with -9",
    "registry.k8s.io: 169.254.25.10 fails, 192.0.2.53 answers",
    "dnsguard secure, leaves this file behind",
    "registry.k8s.io: 192.0.2.53 answers",
    "Measured",
    "What to do next",
)
"""In the story's order."""


@dataclass(frozen=True)
class Program:
    """The demo in a tree that everybody may read."""

    tree: Path
    temporary: Path
    """TMPDIR of what it runs."""

    def demo(self, *prefix: str, stdout: int, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*prefix, str(self.tree / "tests/demo/run")],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env={
                "PATH": os.environ["PATH"],
                "TERM": "xterm",
                "TMPDIR": str(self.temporary),
                **environment,
            },
        )


@pytest.fixture(scope="module")
def program() -> Iterator[Program]:
    """Copy what the demo consists of to where everybody may read it."""
    with tempfile.TemporaryDirectory() as made:
        base = Path(made)
        base.chmod(0o755)
        _copy(base)
        temporary = base / "tmp"
        temporary.mkdir()
        temporary.chmod(0o777)
        yield Program(base, temporary)


def _copy(base: Path) -> None:
    tree = Path(__file__).parents[2]
    for name in ("dnsguard", "tests/demo", "tests/lab"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(tree / name, base / name, ignore=ignore)


@pytest.fixture(autouse=True)
def _host_untouched(program: Program) -> Iterator[None]:
    """Assert for every test that it left the machine as it was."""
    before = _host(program)
    yield
    assert _host(program) == before


def _host(program: Program) -> dict[str, object]:
    status = RESOLV_CONF.stat()
    return {
        "resolv.conf": RESOLV_CONF.read_bytes(),
        "resolv.conf's inode": (status.st_dev, status.st_ino, status.st_mtime_ns),
        "addresses": {
            (link["ifname"], address["local"], address["prefixlen"])
            for link in _ip("address")
            for address in link.get("addr_info", ())
        },
        "links": {link["ifname"] for link in _ip("link")},
        "routes": _ip("-4", "route", "show", "table", "all"),
        "mounts": Path("/proc/self/mountinfo").read_text(),
        "named namespaces": _names(Path("/run/netns")),
        "stage": {name for name in _names(STAGE) if name in ("etc", "usr", "var", "run", "log")},
        "temporary files": _names(program.temporary),
        "the tree": {*program.tree.glob("dnsguard/**/*"), *program.tree.glob("tests/**/*")},
    }


def _ip(*command: str) -> list[dict[str, Any]]:
    done = subprocess.run(["ip", "-json", *command], check=True, capture_output=True, text=True)
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return found


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} if directory.is_dir() else set()


def _network(pid: int | str) -> str | None:
    with suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    return None


def _inhabitants(network: str) -> set[int]:
    pids = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal())
    return {pid for pid in pids if _network(pid) == network}


def _await_network(pid: int) -> str:
    """Wait until the process has a network of its own, and return which."""
    until(lambda: _network(pid) not in (None, _network("self")), within=PATIENCE)
    network = _network(pid)
    assert network is not None
    return network


def _needs_root() -> None:
    needs.require("root", "namespaces")


def _needs_user_namespaces(*prefix: str) -> None:
    command = [*prefix, "unshare", "--user", "--map-root-user", "--net", "true"]
    tried = subprocess.run(command, capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        needs.leave_out(f"user namespaces: {tried.stderr.strip()}")


def _assert_told(story: str, milestones: tuple[str, ...] = MILESTONES) -> None:
    """Assert that every milestone is there, in its order."""
    plain = " ".join(re.sub(r"\x1b\[\d*m", "", story).split())
    at = 0
    for milestone in milestones:
        found = plain.find(milestone, at)
        assert found != -1, f"{milestone!r} is missing in:\n{story}"
        at = found + len(milestone)


@pytest.mark.parametrize("who", ["root", "nobody"])
def test_the_story_is_told_to_its_end(program: Program, who: str) -> None:
    """Root and anybody else see the whole incident, and no process is left behind."""
    _needs_root()
    prefix = NOBODY if who == "nobody" else ()
    if prefix:
        _needs_user_namespaces(*prefix)
    with program.demo(*prefix, stdout=subprocess.PIPE) as process:
        network = _await_network(process.pid)
        story, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert errors == ""
    _assert_told(story)
    assert _inhabitants(network) == set()
    assert "\x1b" not in story, "colour in a pipe"
    assert max(len(line) for line in story.splitlines()) <= 80


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_an_interrupted_story_leaves_nothing_behind(
    program: Program, number: signal.Signals
) -> None:
    """However the demo ends, the kernel ends all it has started."""
    _needs_root()
    with program.demo(stdout=subprocess.PIPE) as process:
        network = _await_network(process.pid)
        assert process.stdout is not None
        next(line for line in process.stdout if "NodeLocalDNS comes up" in line)
        assert len(_inhabitants(network)) > 3, "itself, init, the upstream and the daemon"
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == (130 if number is signal.SIGINT else -number)
    until(lambda: not _inhabitants(network))


@pytest.mark.parametrize(
    ("environment", "has_colour"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colour_is_for_terminals_that_want_it(
    program: Program,
    environment: dict[str, str],
    has_colour: bool,  # noqa: FBT001 -- a parameter
) -> None:
    """On a terminal there is colour, unless NO_COLOR (no-color.org) or TERM=dumb forbids it."""
    _needs_root()
    terminal, slave = pty.openpty()
    with program.demo(stdout=slave, **environment) as process, os.fdopen(terminal, "rb", 0) as tty:
        os.close(slave)
        seen = b""
        while b"FAILS" not in seen:
            seen += tty.read(4096)
        process.kill()
        process.communicate(timeout=PATIENCE)
    assert (b"\x1b[" in seen) is has_colour


IN_USER_NAMESPACE = ("unshare", "--user", "--map-root-user", "sh", "-c")
NO_NAMESPACES: dict[str, tuple[str, str]] = {
    "root, and user.max_user_namespaces is 0": (
        """echo 0 >/proc/sys/user/max_user_namespaces
           exec setpriv --bounding-set=-all --inh-caps=-all "$@" """,
        "sudo sysctl -w user.max_user_namespaces=16384",
    ),
    "a user, and no namespace is left": (
        """echo 1 >/proc/sys/user/max_user_namespaces
           exec unshare --user --map-user=1000 "$@" """,
        "run it as root; in a container, in a privileged one",
    ),
}
"""What a shell does in a user namespace of its own, so that the demo gets none below it."""


@pytest.mark.parametrize("case", NO_NAMESPACES)
def test_without_namespaces_it_says_so(program: Program, case: str) -> None:
    """One line with the remedy and exit status 1, and not a word of the story."""
    _needs_user_namespaces()
    script, remedy = NO_NAMESPACES[case]
    with program.demo(*IN_USER_NAMESPACE, script, "sh", stdout=subprocess.PIPE) as process:
        story, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert story == ""
    (line,) = errors.splitlines()
    assert line.startswith("dnsguard: demo needs namespaces of its own")
    assert line.endswith(remedy)


IN_A_CONTAINER = """\
ip link set lo up
echo 0 >/proc/sys/user/max_user_namespaces
exec setpriv --bounding-set=-sys_admin,-net_admin --inh-caps=-sys_admin,-net_admin "$@"
"""
"""What Docker's root has: no namespaces and no network to change, but port 53 on loopback."""
LEFT_OUT = ("takes its address away", "back to the upstream")
"""The chapter that a scratch directory can't tell."""


def _scratch_milestones() -> tuple[str, ...]:
    at = MILESTONES.index(LEFT_OUT[0])
    told = MILESTONES[:at] + MILESTONES[at + len(LEFT_OUT) :]
    moved = (it.replace("169.254.25.10", "127.0.25.10") for it in told)
    return ("What is different", *(it.replace("192.0.2.53", "127.0.2.53") for it in moved))


def test_a_container_is_told_the_story_in_a_scratch_directory(program: Program) -> None:
    """Without namespaces it plays on loopback addresses, says so, and leaves nothing behind."""
    _needs_user_namespaces()
    prefix = ("unshare", "--user", "--map-root-user", "--net", "sh", "-c", IN_A_CONTAINER, "sh")
    with program.demo(*prefix, stdout=subprocess.PIPE) as process:
        network = _await_network(process.pid)
        story, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert errors == ""
    _assert_told(story, _scratch_milestones())
    assert LEFT_OUT[0] not in story.partition("0  Without")[2]
    assert _inhabitants(network) == set()


def test_a_killed_story_in_a_scratch_directory_leaves_no_process(program: Program) -> None:
    """Nobody's init ends them there: the kernel does when the demo dies."""
    _needs_user_namespaces()
    prefix = ("unshare", "--user", "--map-root-user", "--net", "sh", "-c", IN_A_CONTAINER, "sh")
    with program.demo(*prefix, stdout=subprocess.PIPE) as process:
        network = _await_network(process.pid)
        assert process.stdout is not None
        next(line for line in process.stdout if "NodeLocalDNS comes up" in line)
        process.kill()
        process.communicate(timeout=PATIENCE)
    until(lambda: not _inhabitants(network))
    for left in program.temporary.glob("dnsguard-demo-*"):
        shutil.rmtree(left)  # a killed process removes no directory


def test_a_daemon_that_fails_is_shown_with_its_log(program: Program, tmp_path: Path) -> None:
    """What was expected, the daemon's log, and exit status 1."""
    _needs_root()
    _copy(tmp_path)
    (tmp_path / "dnsguard/host/notify.py").write_text("raise ImportError('sabotaged by a test')\n")
    sabotaged = replace(program, tree=tmp_path)
    with sabotaged.demo(stdout=subprocess.PIPE) as process:
        story, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "expected upstream verified" in errors
    assert "the daemon ended with 1" in errors
    assert "sabotaged by a test" in story
