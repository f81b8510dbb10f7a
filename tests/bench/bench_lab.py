"""Everything a bench starts or writes, under one temporary directory."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench_processes import Daemon, Notifications, Probe, environment
from bench_tree import (
    DEADLINE_S,
    HERE,
    NODE_LOCAL,
    PROJECT,
    PYTHON,
    UPSTREAM,
    CannotMeasureError,
    Tree,
    make_tree,
)
from bench_world import start_upstream

PREFIX = "dnsguard-bench-"


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
