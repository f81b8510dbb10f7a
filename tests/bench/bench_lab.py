"""A private world to measure in: namespaces, an upstream that answers, directory trees.

Nothing of the machine is touched. The benches run in a network and a PID namespace of their
own; the kernel ends whatever is still in the latter when the bench ends, however it ends.
Files are under one temporary directory.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
PYTHON = "/usr/bin/python3"
UPSTREAM = "192.0.2.53"
NODE_LOCAL = "169.254.25.10"
# What Kubespray's host_resolvconf mode leaves after a reboot (DESIGN.md, section 1).
KUBESPRAY = f"""\
domain cluster.local
search cluster.local default.svc.cluster.local. svc.cluster.local.
nameserver {NODE_LOCAL}
"""
HEALTHY = KUBESPRAY.replace(NODE_LOCAL, UPSTREAM)
DEADLINE_S = 20.0
INSIDE = "DNSGUARD_BENCH_INSIDE"
PREFIX = "dnsguard-bench-"


class CannotMeasureError(Exception):
    """Raised when there is no figure to be had: a tool is missing, a process didn't start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A root directory in which one tool guards ``etc/resolv.conf``."""

    root: Path

    @property
    def resolv_conf(self) -> Path:
        return self.root / "etc/resolv.conf"

    @property
    def nameservers(self) -> list[str]:
        lines = self.resolv_conf.read_text("utf-8").splitlines()
        return [line.split()[1] for line in lines if line.startswith("nameserver ")]

    @property
    def is_poisoned(self) -> bool:
        return NODE_LOCAL in self.nameservers

    def replace(self, text: str) -> None:
        temporary = self.root / "new"
        temporary.write_text(text, "utf-8")
        temporary.replace(self.resolv_conf)


class Probe:
    """restore_probe.c, which see: it writes as a stranger, and sees the repair."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.pid = process.pid

    def poison(self, kind: str, tree: Tree, *, timeout_s: float) -> float | None:
        """Seconds until the file was safe again; None when that didn't happen in time."""
        answer = self._ask(f"poison {kind} {tree.root} {round(timeout_s * 1000)}")
        if answer == "unsafe":
            raise CannotMeasureError(f"{tree.resolv_conf} was unsafe before it was poisoned")
        return None if answer == "never" else int(answer) / 1e9

    def await_safe(self, tree: Tree, pid: int) -> tuple[float, float]:
        """When the file was safe (as time.monotonic()), and the CPU seconds of ``pid`` by then."""
        answer = self._ask(f"await {tree.root} {pid} {round(DEADLINE_S * 1000)}")
        if answer == "never":
            raise CannotMeasureError(f"{tree.resolv_conf} was not safe after {DEADLINE_S:g} s")
        moment, cpu = answer.split()
        return int(moment) / 1e9, int(cpu) / 1e9

    def _ask(self, command: str) -> str:
        if self._process.stdin is None or self._process.stdout is None:
            raise CannotMeasureError("the probe has no pipes")
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        if not answer:
            raise CannotMeasureError(f"the probe ended at: {command}")
        return answer


class Notifications(threading.Thread):
    """What systemd is to the daemon: it reads every message and remembers when READY came.

    It reads to the end: a full queue would block the daemon.
    """

    def __init__(self, address: Path) -> None:
        super().__init__(daemon=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(address))
        self._ready = threading.Event()
        self._ready_at = 0.0

    def run(self) -> None:
        while True:
            message = self._socket.recv(4096)
            if not self._ready.is_set() and b"READY=1" in message.split(b"\n"):
                self._ready_at = time.monotonic()
                self._ready.set()

    def ready_at(self) -> float:
        if not self._ready.wait(DEADLINE_S):
            raise CannotMeasureError(f"no READY=1 within {DEADLINE_S:g} s")
        return self._ready_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """A running dnsguard; times are those of time.monotonic()."""

    process: subprocess.Popen[bytes]
    started_at: float
    notifications: Notifications

    @property
    def pid(self) -> int:
        return self.process.pid


class Lab:
    """Everything a bench starts or writes; ``open_lab`` is how to get one."""

    def __init__(self, *, base: Path, trees: Path) -> None:
        self.base = base
        self.trees = trees
        self._started: list[subprocess.Popen[bytes]] = []

    def tree(self, name: str) -> Tree:
        return make_tree(self.trees / name)

    def compile(self, source: str) -> Path:
        program = self.base / source.removesuffix(".c")
        if shutil.which("gcc") is None:
            raise CannotMeasureError("gcc is missing: apt-get install gcc libc6-dev")
        flags = ["-O2", "-Wall", "-Wextra", "-Werror"]
        subprocess.run(["gcc", *flags, "-o", str(program), str(HERE / source)], check=True)
        return program

    def probe(self, *, is_varied: bool = False) -> Probe:
        process = subprocess.Popen(
            [self.compile("restore_probe.c"), NODE_LOCAL, UPSTREAM, *["varied"] * is_varied],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return Probe(process)

    def start(
        self, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self.base / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**environment(), **(env or {})},
                cwd="/",
            )
        self._started.append(process)
        return process

    def kill_all(self) -> None:
        """End what still runs, so that nobody writes in the trees while they are removed."""
        for process in self._started:
            process.kill()
            process.wait()

    def start_dnsguard(self, tree: Tree) -> Daemon:
        """Start the daemon as systemd does, with a NOTIFY_SOCKET; it isn't waited for."""
        address = tree.root / "run/notify"
        address.unlink(missing_ok=True)
        notifications = Notifications(address)
        notifications.start()
        started_at = time.monotonic()
        process = self.start(
            [dnsguard_script(self.base), "--root", tree.root, "run"],
            env={"NOTIFY_SOCKET": str(address)},
        )
        return Daemon(process=process, started_at=started_at, notifications=notifications)

    def await_status_fine(self, tree: Tree) -> None:
        """Wait until ``dnsguard status`` says 0: the upstream has answered its probe."""
        deadline = time.monotonic() + DEADLINE_S
        command = [str(dnsguard_script(self.base)), "--root", str(tree.root), "status"]
        while True:
            status = subprocess.run(command, env=environment(), capture_output=True, check=False)
            if status.returncode == 0:
                return
            if time.monotonic() > deadline:
                said = (status.stdout + status.stderr).decode("utf-8", "replace")
                raise CannotMeasureError(f"dnsguard status still says {status.returncode}: {said}")
            time.sleep(0.1)

    def await_handed_over(self, tree: Tree) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while tree.nameservers[:1] != [NODE_LOCAL]:
            if time.monotonic() > deadline:
                raise CannotMeasureError(f"not handed over: it names {tree.nameservers}")
            time.sleep(0.1)

    def log_tail(self) -> str:
        log = self.base / "log"
        lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
        return "\n".join(lines[-15:])


def make_tree(root: Path) -> Tree:
    for directory in ("etc/dnsguard", "etc/dhcp", "run/dnsguard", "var/lib/dnsguard"):
        (root / directory).mkdir(parents=True)
    config = root / "etc/dnsguard/dnsguard.toml"
    config.write_text(f'[upstream]\nservers = ["{UPSTREAM}"]\n', "utf-8")
    tree = Tree(root=root)
    tree.replace(HEALTHY)
    return tree


def environment() -> dict[str, str]:
    """About what systemd gives a service; nothing of the caller's that steers Python."""
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin", "LANG": "C.UTF-8"}


def dnsguard_script(base: Path) -> Path:
    return base / "dist/dnsguard-script"


def install_dnsguard(base: Path) -> None:
    """Put the package in ``base`` as the .deb does: byte-compiled, with pybuild's script.

    Without compiled files every start would compile the sources, which no installed
    dnsguard ever does.
    """
    dist = dnsguard_script(base).parent
    shutil.copytree(
        PROJECT / "dnsguard", dist / "dnsguard", ignore=shutil.ignore_patterns("__pycache__")
    )
    subprocess.run([PYTHON, "-m", "compileall", "-q", dist], check=True)
    script = dnsguard_script(base)
    script.write_text(
        f"#!{PYTHON}\n"
        "import re\n"
        "import sys\n"
        "from dnsguard.cli import main\n"
        'if __name__ == "__main__":\n'
        '    sys.argv[0] = re.sub(r"(-script\\.pyw|\\.exe)?$", "", sys.argv[0])\n'
        "    sys.exit(main())\n",
        "utf-8",
    )
    script.chmod(0o755)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def is_inside() -> bool:
    """Tell whether this is the second start, in the private namespaces."""
    return bool(os.environ.get(INSIDE))


def inside_command() -> list[str]:
    """Return what starts this very command again in private namespaces.

    The bench is PID 1 of a PID namespace then: when it ends, killed or not, the kernel kills
    all it started.
    """
    namespaces = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"]
    if os.geteuid() != 0:
        namespaces.insert(0, "--map-root-user")
    return ["env", f"{INSIDE}=1", "unshare", *namespaces, PYTHON, *sys.argv]


def end_on_sigterm() -> None:
    """End in the orderly way: contexts are left, and PID 1 has no default for SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def enter_namespaces() -> None:
    """Go on in private namespaces only."""
    if not is_inside():
        command = inside_command()
        os.execvp(command[0], command)  # noqa: S606
    end_on_sigterm()


def start_upstream() -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    _start_nameserver("upstream0", f"{UPSTREAM}/24")


def start_nodelocal() -> None:
    """Start what plays NodeLocalDNS; who guards a node hands it over from now on."""
    _start_nameserver("nodelocal", f"{NODE_LOCAL}/32", "--cluster")


def _start_nameserver(link: str, address: str, *options: str) -> None:
    """Start a DNS server on a bridge: this machine's kernel may lack dummy links (FACTS.md)."""
    for command in (
        f"link add {link} type bridge",
        f"address add {address} dev {link}",
        f"link set {link} up",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    server = subprocess.Popen(
        [PYTHON, HERE / "bench_dns.py", address.partition("/")[0], *options],
        stdout=subprocess.PIPE,
    )
    if server.stdout is None or not server.stdout.readline():
        raise CannotMeasureError(f"no nameserver on {address}: python3-dnspython is needed")


def give_probe_a_cpu(probe: Probe) -> None:
    """Put the spinning probe on one CPU, this process and all it will start on the others.

    Left to the scheduler, one repair in five waited a whole tick (4 ms) behind the spinning
    reader; and where a tool's process pushes the probe aside on the same CPU, the repair is
    done before the probe can even start its clock.
    """
    cpus = os.sched_getaffinity(0)
    if len(cpus) < 2:
        raise CannotMeasureError("two CPUs are needed: one for the reader that spins")
    own = max(cpus)
    os.sched_setaffinity(probe.pid, {own})
    os.sched_setaffinity(0, cpus - {own})


@contextmanager
def open_lab(directory: Path | None = None) -> Iterator[Lab]:
    """Make the private world, its trees in ``directory`` or where temporary files go.

    What goes wrong in it is told with the end of the tools' log.
    """
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX)))
        trees = stack.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX, dir=directory))
        lab = Lab(base=base, trees=Path(trees))
        try:
            start_upstream()
            install_dnsguard(base)
            yield lab
        except (CannotMeasureError, OSError, subprocess.CalledProcessError) as problem:
            sys.exit(f"cannot measure: {problem}\n{lab.log_tail()}".rstrip())
        finally:
            lab.kill_all()
