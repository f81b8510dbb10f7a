"""The real dhclient with Debian's dhclient-script, on a machine of the test's own.

A :class:`Machine` is a mount namespace: its /etc, /run and /var/lib are directories below the
test's own, so dhclient works with its true paths and touches nothing of ours. What is written
there is seen from outside at once, and the daemon fits in with ``--root`` on the same directory.
"""

import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab.netns import Namespace
from lab.wait import until

HOOK = Path(__file__).parents[2] / "packaging/dhclient-enter-hooks.d/dnsguard"
PATIENCE = 20.0
"""Seconds for one dhclient; it takes 0.03, and up to 8 more where it misses an offer."""
RENEWING = b"supersede dhcp-renewal-time 1;"
"""For dhclient.conf: RENEW every second. What dnsmasq says of it may not be below a minute."""
EXPIRING = RENEWING + b"supersede dhcp-rebinding-time 2; supersede dhcp-lease-time 4;"
"""RENEW every second, without an answer EXPIRE four seconds after the last one."""
_ETC = ("fstab", "group", "hosts", "ld.so.cache", "nsswitch.conf", "passwd", "protocols")
_DEBIAN_HOOKS = (
    "dhclient-enter-hooks.d/debug",
    "dhclient-exit-hooks.d/debug",
    "dhclient-exit-hooks.d/rfc3442-classless-routes",
    "dhclient-exit-hooks.d/timesyncd",
)
"""isc-dhcp-client's and systemd-timesyncd's; what else this machine has is its own affair."""
_SPY = b"{ env -0; printf '\\0'; } >>/run/lab.events\n"
"""The last of the exit hooks: by then dhclient-script is done."""
_HOLD = 'for each in etc run var/lib; do mount --bind "$0/$each" "/$each"; done; echo; exec cat'


@dataclass(frozen=True, slots=True)
class Event:
    """One run of dhclient-script, over when it is seen."""

    environ: Mapping[str, str]

    @property
    def reason(self) -> str:
        return self.environ["reason"]

    @property
    def interface(self) -> str:
        return self.environ.get("interface", "")


class Machine:
    """A Debian node as far as dhclient knows it."""

    def __init__(self, root: Path, where: Namespace) -> None:
        self.root = root
        self.where = where
        self.dhcp = root / "etc/dhcp"
        self.file = root / "etc/resolv.conf"
        self.records = root / "run/dnsguard/dhclient"
        for name in ("etc/dhcp/dhclient-enter-hooks.d", "etc/dhcp/dhclient-exit-hooks.d", "run"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "var/lib/dhcp").mkdir(parents=True, exist_ok=True)
        for name in _ETC:
            if Path("/etc", name).exists():
                shutil.copy(Path("/etc", name), root / "etc")
        for name in _DEBIAN_HOOKS:
            if Path("/etc/dhcp", name).exists():
                shutil.copy(Path("/etc/dhcp", name), self.dhcp / name)
        (self.dhcp / "dhclient-exit-hooks.d/zz-lab").write_bytes(_SPY)
        self._holder = self._hold()

    def _hold(self) -> "subprocess.Popen[bytes]":
        """Start what keeps the namespaces; it ends when its stdin does, so with us at the latest."""
        command = ["unshare", "--mount", "--uts", "--propagation=private", "sh", "-ec", _HOLD]
        with self.where.inside():
            holder = subprocess.Popen(
                [*command, self.root], stdin=subprocess.PIPE, stdout=subprocess.PIPE
            )
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"\n", "no mount namespace"
        return holder

    def close(self) -> None:
        self._holder.communicate(timeout=PATIENCE)

    def inside(self, *command: str) -> list[str]:
        """Return the command that runs this one inside, with root's own environment."""
        namespaces = ["--mount", "--uts", "--net"]
        path = "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
        enter = ["nsenter", f"--target={self._holder.pid}", *namespaces, "env", "-i", path]
        return [*enter, *command]

    def run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run a program inside, to its end, whatever it says."""
        return subprocess.run(
            self.inside(*command), capture_output=True, text=True, check=False, timeout=PATIENCE
        )

    def install(self, hook: Path = HOOK, *, when: str = "enter") -> None:
        """Put a hook where dhclient-script looks for it."""
        shutil.copy(hook, self.dhcp / f"dhclient-{when}-hooks.d" / hook.name)

    def lease_file(self, version: int = 4) -> Path:
        """Return where ifupdown has the leases of eth0."""
        name = "dhclient" if version == 4 else f"dhclient{version}"
        return self.root / f"var/lib/dhcp/{name}.eth0.leases"

    def record(self, name: str = "4.eth0") -> bytes:
        """Return what our hook wrote down last; nothing if it didn't."""
        try:
            return (self.records / name).read_bytes()
        except FileNotFoundError:
            return b""

    def events(self) -> tuple[Event, ...]:
        """Return what dhclient-script was run for, oldest first."""
        try:
            content = (self.root / "run/lab.events").read_bytes()
        except FileNotFoundError:
            return ()
        whole = content.decode(errors="replace").split("\0\0")[:-1]
        pairs = ((line.partition("=") for line in each.split("\0")) for each in whole)
        return tuple(Event({key: value for key, _, value in each}) for each in pairs)

    @contextmanager
    def dhclient(
        self, conf: bytes | None = None, *, interfaces: Sequence[str] = ("eth0",), version: int = 4
    ) -> Iterator["Dhclient"]:
        """Run dhclient as ifupdown does, but in the foreground; it ends as in a power cut.

        The cut comes in a quiet moment: what dhclient was at, it has written (:meth:`settle`).

        :param conf: its dhclient.conf; None leaves what is there.
        """
        if conf is not None:
            (self.dhcp / "dhclient.conf").write_bytes(conf)
        started = Dhclient(self, interfaces, version)
        try:
            yield started
            started.settle()
        finally:
            started.kill()


class Dhclient:
    """A running dhclient."""

    def __init__(self, machine: Machine, interfaces: Sequence[str], version: int) -> None:
        self._machine = machine
        self._interfaces = tuple(interfaces)
        self._before = len(machine.events())
        self._log = machine.root / "dhclient.log"
        name = machine.lease_file(version).name.partition(".")[0]
        name = f"{name}.{interfaces[0]}"
        leases, pid = f"/var/lib/dhcp/{name}.leases", f"/run/{name}.pid"
        self._files = (f"-{version}", "-pf", pid, "-lf", leases)
        by_address = ("-D", "LL") if version == 6 else ()  # as --dhcp-duid
        # dhclient doesn't start beside what has the number now of one that was killed before.
        (machine.root / pid[1:]).unlink(missing_ok=True)
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                machine.inside("dhclient", *self._files, *by_address, "-d", *interfaces),
                stderr=log,
                stdout=log,
            )

    def events(self) -> tuple[Event, ...]:
        """Return what the script was run for since the start."""
        return self._machine.events()[self._before :]

    def log(self) -> str:
        """Return what it said since the start."""
        return self._log.read_text(errors="replace")

    def wait_for(
        self, reason: str, *, times: int = 1, within: float = PATIENCE, interface: str | None = None
    ) -> Event:
        """Wait until the script was run so often for this since the start; return the last run.

        :raises AssertionError: it was not in time; with dhclient's log.
        """

        def seen() -> list[Event]:
            return [
                event
                for event in self.events()
                if event.reason == reason and interface in (None, event.interface)
            ]

        try:
            until(lambda: len(seen()) >= times, within=within)
        except TimeoutError as error:
            told = [event.reason for event in self.events()]
            raise AssertionError(f"{told}, no {reason}\n{self.log()}") from error
        return seen()[times - 1]

    def settle(self) -> None:
        """Wait until it is done with what it was at, and waits for the network, or is gone.

        The script's end isn't that: the lease is written afterwards, and now and then the
        whole file, which is empty at first.
        """
        until(lambda: self._is_idle() or self.process.poll() is not None, within=PATIENCE)

    def _is_idle(self) -> bool:
        task = Path(f"/proc/{self.process.pid}/task/{self.process.pid}")
        try:
            # Once asleep without the script; asleep on the disk is "D" (proc(5)).
            is_alone = not (task / "children").read_text()
            return is_alone and (task / "stat").read_text().rpartition(")")[2].split()[0] == "S"
        except OSError:
            return False

    def release(self) -> Event:
        """``dhclient -r``: give the lease back and end it, with the reason RELEASE."""
        return self._end("-r", "RELEASE")

    def stop(self) -> Event:
        """``dhclient -x``: end it and keep the lease, with the reason STOP."""
        return self._end("-x", "STOP")

    def _end(self, how: str, reason: str) -> Event:
        done = self._machine.run("dhclient", *self._files, how, *self._interfaces)
        assert done.returncode == 0, done.stderr
        reason += "6" * ("-6" in self._files)
        return self.wait_for(reason)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)  # no RELEASE
        self.process.wait()
