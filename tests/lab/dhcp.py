"""A DHCP client's world: the real dhclient with Debian's dhclient-script, and dnsmasq.

:func:`world` joins two network namespaces. In one of them is dnsmasq, in the other a
:class:`Machine`, which is a mount namespace, too: its /etc, /run and /var/lib are
directories below the test's own, so dhclient works with its true paths and touches
nothing of ours. What is written there is seen from outside at once, and the daemon fits
in with ``--root`` on the same directory.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import needs
from lab.netns import Namespace, namespace
from lab.wait import until

HOOK = Path(__file__).parents[2] / "packaging/dhclient-enter-hooks.d/dnsguard"
PATIENCE = 20.0
"""Seconds for one dhclient; it takes 0.03, and up to 8 more where it misses an offer."""
LAN = "lan"
"""The server's link; a bridge where the client has several."""
SERVER = "10.99.0.1"
OFFER = (
    "--dhcp-range=10.99.0.50,10.99.0.199,1h",
    "--dhcp-range=2001:db8::1000,2001:db8::1fff,64,1h",
    "--dhcp-option=option:dns-server,10.99.0.2,10.99.0.3",
    "--dhcp-option=option6:dns-server,[2001:db8::53]",
    "--dhcp-option=option:domain-name,real.example",
    "--dhcp-option=option:domain-search,a.example,b.example",
)
"""Options of dnsmasq(8)."""
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


class Server:
    """dnsmasq, on one link."""

    def __init__(
        self, where: Namespace, directory: Path, offer: Sequence[str] = OFFER, *, link: str = LAN
    ) -> None:
        where.ip(f"address add {SERVER}/24 dev {link}")
        where.ip(f"address add 2001:db8::1/64 dev {link} nodad")
        self._where = where
        self._link = link
        self._directory = directory
        self._log = directory / "dnsmasq.log"
        self._offer = tuple(offer)
        self.start()

    def start(self) -> None:
        command = [
            "dnsmasq",
            "--no-daemon",
            "--conf-file=/dev/null",
            "--user=root",
            f"--pid-file={self._directory}/dnsmasq.pid",
            f"--dhcp-leasefile={self._directory}/dnsmasq.leases",
            "--port=0",
            f"--interface={self._link}",
            "--no-ping",
            "--dhcp-authoritative",
            "--dhcp-duid=32473,01",  # the same in each world; else it has the time in it
            *self._offer,
        ]
        with self._where.inside(), self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until(lambda: "started" in self.log() or self._process.poll() is not None)
        assert self._process.poll() is None, self.log()

    def log(self) -> str:
        """Return what it said since its start; it tells of each message (``DHCPINFORM(lan)``)."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def offer(self, *options: str) -> None:
        """Offer something else from now on."""
        self.stop()
        self._offer = options
        self.start()

    @contextmanager
    def silent(self) -> Iterator[None]:
        """Be away."""
        self.stop()
        try:
            yield
        finally:
            self.start()


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

        :param conf: its dhclient.conf; None leaves what is there.
        """
        if conf is not None:
            (self.dhcp / "dhclient.conf").write_bytes(conf)
        started = Dhclient(self, interfaces, version)
        try:
            yield started
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


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Both ends."""

    machine: Machine
    server: Server
    outside: Namespace
    """Where the server is: addresses for nameservers may be added to its :data:`LAN`."""


@contextmanager
def network(interfaces: Sequence[str] = ("eth0",)) -> Iterator[tuple[Namespace, Namespace]]:
    """Join a client's links to a server's bridge.

    IPv6 addresses are usable at once, without the second of duplicate address detection.
    """
    needs.require("root", "namespaces")
    for program in ("dhclient", "dnsmasq"):
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
            needs.leave_out(program)
    with namespace() as node, namespace() as other:
        for end in (node, other):
            with end.inside():
                Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")
                # Links of one LAN: each answers for its own address only (arp(7)), or the
                # server would lose the one when the other's address goes.
                Path("/proc/sys/net/ipv4/conf/all/arp_ignore").write_text("1")
                Path("/proc/sys/net/ipv4/conf/all/arp_announce").write_text("2")
        # One cable does without a bridge, whose ports take a second to open.
        ports = [LAN] if len(interfaces) == 1 else [f"port{name}" for name in interfaces]
        for number, (name, port) in enumerate(zip(interfaces, ports, strict=True)):
            # The same in each world: dnsmasq chooses the client's address by it.
            hardware = f"02:00:00:00:00:{number:02x}"
            node.ip(f"link add {name} address {hardware} type veth peer name {port}")
            node.ip(f"link set {port} netns {other.path}")
            node.ip(f"link set {name} up")
        if ports != [LAN]:
            other.bridge(LAN)
            for port in ports:
                other.ip(f"link set {port} master {LAN} up")
        other.ip(f"link set {LAN} up")
        until(lambda: _forwarding(other) == len(ports) or ports == [LAN])
        yield node, other


def _forwarding(where: Namespace) -> int:
    """Return how many ports of the bridge let packets through."""
    with where.inside():
        return subprocess.check_output(["bridge", "link"]).count(b"state forwarding")


@contextmanager
def world(
    directory: Path, *, offer: Sequence[str] = OFFER, interfaces: Sequence[str] = ("eth0",)
) -> Iterator[World]:
    """Start the server; dhclient is the test's to start (:meth:`Machine.dhclient`)."""
    with network(interfaces) as (node, outside):
        server = Server(outside, directory, offer)
        try:
            machine = Machine(directory / "root", node)
            try:
                yield World(machine=machine, server=server, outside=outside)
            finally:
                machine.close()
        finally:
            server.stop()
