"""Our enter hook in the hands of the real dhclient and the real dhclient-script.

The daemon is played by what the hook knows of it: a process that holds a lock.
"""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from threading import Event, Thread

import pytest
from lab.dhcp import EXPIRING, HOOK, OFFER, PATIENCE, RENEWING, Dhclient, Machine, World, world
from lab.wait import until
from unit.formats.samples import DEBIAN, KUBESPRAY

from dnsguard.formats.dhclient import records
from dnsguard.formats.dhclient.records import DhclientEvent, Reason

pytestmark = pytest.mark.integration

POISONING, _ = KUBESPRAY["2.21-2.23"]
POISON = "nameserver 169.254.25.10"
HEALTHY = b"# ours\nsearch old.example\nnameserver 192.0.2.53\n"
IMPATIENT = b"timeout 1; reboot 1; initial-interval 1;"
ROUTERLESS = (*OFFER, "--dhcp-option=option:router")
"""With a router, and only on TIMEOUT, dhclient-script wants an answer to a ping first."""
_HOLD = """
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(lock, fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[World]:
    """Return a world whose client has our hook; no daemon runs yet."""
    with world(tmp_path, offer=ROUTERLESS) as made:
        made.machine.install()
        made.machine.file.write_bytes(HEALTHY)
        yield made


@contextmanager
def daemon(machine: Machine, *, to_end: int = signal.SIGKILL) -> Iterator[None]:
    """Hold the lock; the file stays when its holder is gone."""
    machine.records.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", _HOLD, str(machine.root / "run/dnsguard/dhclient.lock")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        try:
            yield
        finally:
            process.send_signal(to_end)


def _told(machine: Machine, name: str = "4.eth0") -> DhclientEvent:
    found = records.parse(machine.record(name))
    assert found is not None, machine.record(name)
    return found


# Without the daemon.

_TIMES = re.compile(rb"(renew|rebind|expire) \d [\d/]+ [\d:]+|starts \d+")
_OWN_TIMES = ("pid", "expiry", "starts")
Snapshot = dict[str, object]


def _snapshot(machine: Machine) -> Snapshot:
    """Return all that dhclient could have changed, without times and how often it renewed."""
    found: Snapshot = {}
    for top in ("etc", "var/lib/dhcp"):
        for path in sorted((machine.root / top).rglob("*")):
            if path.is_file() and path.name != HOOK.name:
                content = _TIMES.sub(b"", path.read_bytes())
                blocks = frozenset(content.split(b"\n}\n")) if "leases" in path.name else content
                found[str(path.relative_to(machine.root))] = (path.stat().st_mode, blocks)
    return found


def _environs(machine: Machine) -> set[frozenset[tuple[str, str]]]:
    """Return what the exit hooks saw."""
    return {
        frozenset(item for item in event.environ.items() if not item[0].endswith(_OWN_TIMES))
        for event in machine.events()
    }


def _life(lab: World) -> tuple[list[Snapshot], set[frozenset[tuple[str, str]]]]:
    """Go through dhclient's reasons, and return what there is after each of them."""
    machine, seen = lab.machine, []
    machine.file.write_bytes(HEALTHY)

    def see(dhclient: Dhclient) -> None:
        dhclient.settle()
        seen.append(_snapshot(machine))

    with machine.dhclient(DEBIAN + EXPIRING) as dhclient:
        dhclient.wait_for("BOUND")
        see(dhclient)
        dhclient.wait_for("RENEW")
        see(dhclient)
        with lab.server.silent():
            dhclient.wait_for("EXPIRE")
            see(dhclient)
            dhclient.kill()  # before it could be bound anew
    machine.lease_file().unlink()
    machine.file.write_bytes(HEALTHY)
    with machine.dhclient(DEBIAN) as dhclient:
        dhclient.wait_for("BOUND")
        see(dhclient)
    machine.file.write_bytes(HEALTHY)
    with lab.server.silent(), machine.dhclient(DEBIAN + IMPATIENT) as dhclient:
        dhclient.wait_for("TIMEOUT")
        see(dhclient)
        assert b"real.example" in machine.file.read_bytes()
    with machine.dhclient(DEBIAN) as dhclient:
        dhclient.wait_for("REBOOT")
        dhclient.release()
        see(dhclient)
    with machine.dhclient(version=6) as dhclient:
        dhclient.wait_for("BOUND6")
        see(dhclient)
        dhclient.stop()
        see(dhclient)
    return seen, _environs(machine)


@pytest.fixture(scope="module")
def control(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[list[Snapshot], set[frozenset[tuple[str, str]]]]:
    """Return dhclient's life without our hook."""
    with world(tmp_path_factory.mktemp("control"), offer=ROUTERLESS) as made:
        return _life(made)


def _killed(machine: Machine) -> None:
    """One was, and left its lock and its directory behind."""
    with daemon(machine):
        pass
    assert (machine.root / "run/dnsguard/dhclient.lock").exists()


def _disabled(machine: Machine) -> None:
    """One runs, but doesn't want the hook: no lock."""
    machine.records.mkdir(parents=True)


@pytest.mark.parametrize("before", [_killed, _disabled])
def test_without_the_daemon_dhclient_is_as_ever(
    lab: World,
    control: tuple[list[Snapshot], set[frozenset[tuple[str, str]]]],
    before: Callable[[Machine], None],
) -> None:
    """File by file, after each reason, and so is what other hooks are given."""
    before(lab.machine)
    seen, environs = _life(lab)
    for ours, theirs in zip(seen, control[0], strict=True):
        assert ours == theirs
    assert environs == control[1]
    assert not lab.machine.records.exists() or not list(lab.machine.records.iterdir())


# With it.


def _identity(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_ino, status.st_mtime_ns, status.st_ctime_ns


@contextmanager
def _reader(path: Path) -> Iterator[set[bytes]]:
    """Read the file as fast as can be; collect what is in it."""
    seen: set[bytes] = set()
    done = Event()

    def read() -> None:
        while not done.is_set():
            seen.add(path.read_bytes())

    thread = Thread(target=read)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def test_two_hundred_renewals_are_never_seen(tmp_path: Path) -> None:
    """Ten links with a lease of the poisoned kind each, and nobody reads anything but our file."""
    links = [f"eth{number}" for number in range(10)]
    with world(tmp_path, interfaces=links) as lab:
        machine = lab.machine
        machine.install()
        machine.file.write_bytes(HEALTHY)
        before = _identity(machine.file)
        with daemon(machine):
            with (
                _reader(machine.file) as seen,
                machine.dhclient(POISONING + RENEWING, interfaces=links) as dhclient,
            ):
                dhclient.wait_for("RENEW", times=200, within=120)
            assert _identity(machine.file) == before
        assert seen == {HEALTHY}
        for link in links:
            assert _told(machine, f"4.{link}").interface == link
        assert len(list(machine.records.iterdir())) == len(links)
        with (
            _reader(machine.file) as seen,
            machine.dhclient(POISONING, interfaces=links[:1]) as dhclient,
        ):
            dhclient.wait_for("REBOOT")
        assert any(POISON.encode() in content for content in seen), "the control isn't poisoned"


def test_each_reason_is_told(lab: World) -> None:
    """With the values of the lease that comes, or of the one that goes."""
    machine = lab.machine
    before = _identity(machine.file)
    with daemon(machine):
        with machine.dhclient(DEBIAN + RENEWING) as dhclient:
            event = dhclient.wait_for("BOUND")
            expected = DhclientEvent(
                reason=Reason.BOUND,
                interface="eth0",
                address=ip_address(event.environ["new_ip_address"]),
                nameservers=(ip_address("10.99.0.2"), ip_address("10.99.0.3")),
                domain="real.example",
                search=("a.example.", "b.example."),
                server=ip_address("10.99.0.1"),
                expires=float(event.environ["new_expiry"]),
            )
            assert _told(machine) == expected
            lab.server.offer(*ROUTERLESS, "--dhcp-option=option:dns-server,10.99.0.9")
            dhclient.wait_for("RENEW")
            until(lambda: str(_told(machine).nameservers[-1]) == "10.99.0.9", within=PATIENCE)
            assert _told(machine).reason == Reason.RENEW
        with machine.dhclient(DEBIAN) as dhclient:
            dhclient.wait_for("REBOOT")
            assert _told(machine).reason == Reason.REBOOT
            dhclient.stop()
            gone = _told(machine)
            assert (gone.reason, gone.is_gone) == (Reason.STOP, True)
            assert gone.address == expected.address
            assert str(gone.nameservers[-1]) == "10.99.0.9"
        with lab.server.silent(), machine.dhclient(DEBIAN + IMPATIENT) as dhclient:
            dhclient.wait_for("TIMEOUT")
            assert _told(machine).reason == Reason.TIMEOUT
        with machine.dhclient(DEBIAN) as dhclient:
            dhclient.wait_for("REBOOT")
            dhclient.release()
            assert _told(machine).reason == Reason.RELEASE
        machine.lease_file().unlink()
        with lab.server.silent(), machine.dhclient(DEBIAN + IMPATIENT) as dhclient:
            dhclient.wait_for("FAIL")
            assert _told(machine) == DhclientEvent(reason=Reason.FAIL, interface="eth0")
        with machine.dhclient(DEBIAN + EXPIRING) as dhclient:
            dhclient.wait_for("BOUND")
            with lab.server.silent():
                dhclient.wait_for("EXPIRE")
                assert _told(machine).reason == Reason.EXPIRE
                assert _told(machine).nameservers
    assert _identity(machine.file) == before


def test_ipv6_is_told_apart(lab: World) -> None:
    """Both versions on one link, each with a record of its own."""
    machine = lab.machine
    with daemon(machine), machine.dhclient(DEBIAN) as four, machine.dhclient(version=6) as six:
        event = six.wait_for("BOUND6")
        four.wait_for("BOUND")
        assert _told(machine).reason == Reason.BOUND
        bound = _told(machine, "6.eth0")
        assert bound == DhclientEvent(
            reason=Reason.BOUND6,
            interface="eth0",
            address=ip_address(event.environ["new_ip6_address"]),
            nameservers=(ip_address("2001:db8::53"),),
        )
        six.release()
        gone = _told(machine, "6.eth0")
        assert (gone.reason, gone.nameservers) == (Reason.RELEASE6, bound.nameservers)
    assert machine.file.read_bytes() == HEALTHY


@pytest.mark.parametrize(
    ("text", "nameservers", "search"),
    [
        ("supersede domain-name-servers 169.254.25.10;", "169.254.25.10", "a.example. b.example."),
        (
            "prepend domain-name-servers 169.254.25.10;",
            "169.254.25.10 10.99.0.2 10.99.0.3",
            "a.example. b.example.",
        ),
        (
            "append domain-name-servers 1.1.1.1;",
            "10.99.0.2 10.99.0.3 1.1.1.1",
            "a.example. b.example.",
        ),
        ("supersede domain-name-servers ;", "10.99.0.2 10.99.0.3", "a.example. b.example."),
        (
            'supersede domain-search "default.svc.cluster.local", "svc.cluster.local";',
            "10.99.0.2 10.99.0.3",
            "default.svc.cluster.local. svc.cluster.local.",
        ),
        (
            r'supersede domain-name "a\nnameserver 6.6.6.6"; supersede host-name "$(x)`\"";',
            "10.99.0.2 10.99.0.3",
            "a.example. b.example.",
        ),
    ],
)
def test_what_dhclient_conf_makes_of_it_is_told(
    lab: World, text: str, nameservers: str, search: str
) -> None:
    """As dhclient-script would have been told; what is forged, dhclient leaves out."""
    with daemon(lab.machine), lab.machine.dhclient(DEBIAN + text.encode()) as dhclient:
        dhclient.wait_for("BOUND")
        found = _told(lab.machine)
    assert " ".join(map(str, found.nameservers)) == nameservers
    assert " ".join(found.search) == search
    assert found.domain in ("real.example", None)


# Whatever happens, dhclient goes on.


def _no_directory(machine: Machine) -> None:
    machine.records.rmdir()


def _read_only(machine: Machine) -> None:
    where = "/run/dnsguard/dhclient"
    machine.run("mount", "-t", "tmpfs", "-o", "ro", "none", where)


def _full(machine: Machine) -> None:
    where = "/run/dnsguard/dhclient"
    machine.run("mount", "-t", "tmpfs", "-o", "size=4k", "none", where)
    machine.run("sh", "-c", f"yes >{where}/full")


def _in_the_way(machine: Machine) -> None:
    (machine.records / "4.eth0/x").mkdir(parents=True)


@pytest.mark.parametrize("trouble", [_no_directory, _read_only, _full, _in_the_way])
def test_what_cannot_be_told_stops_nothing(lab: World, trouble: Callable[[Machine], None]) -> None:
    """The client is bound, resolv.conf as it was, and nothing is left lying about."""
    machine = lab.machine
    with daemon(machine):
        trouble(machine)
        there = machine.run("ls", "-A", "/run/dnsguard/dhclient").stdout
        with machine.dhclient(POISONING) as dhclient:
            dhclient.wait_for("BOUND")
        assert machine.run("ls", "-A", "/run/dnsguard/dhclient").stdout == there
    assert machine.file.read_bytes() == HEALTHY


def _source(machine: Machine, shell: str, *environ: str) -> "subprocess.CompletedProcess[str]":
    """Source the hook as dhclient-script does, under the strictest rules; tell what it left."""
    script = (
        "set -eu; set >/run/before; . /etc/dhcp/dhclient-enter-hooks.d/dnsguard; status=$?;"
        " if [ $reason != STOP ]; then make_resolv_conf; fi; set >/run/after; exit $status"
    )
    return machine.run("env", "-C", "/", *environ, *shell.split(), "-c", script)


@pytest.mark.parametrize("shell", ["dash", "bash --posix"])
@pytest.mark.parametrize("name", ["eth0.6", "eth0:1", ".x", "..", "-n", "a*", "a$b", "é"])
def test_any_link_has_its_record(lab: World, shell: str, name: str) -> None:
    """In either shell, with errors fatal; nothing but our own variables is left."""
    with daemon(lab.machine):
        values = (f"interface={name}", "new_domain_name_servers=1.1.1.1")
        done = _source(lab.machine, shell, "reason=RENEW6", *values)
        assert (done.returncode, done.stderr) == (0, "")
        assert _told(lab.machine, f"6.{name}").interface == name
        done = _source(lab.machine, shell, "reason=BOUND", *values)
        assert (done.returncode, done.stderr) == (0, "")
        assert _told(lab.machine, f"4.{name}").nameservers == (ip_address("1.1.1.1"),)
        assert len(list(lab.machine.records.iterdir())) == 2
    before, after = (
        set(re.findall(r"(?m)^(\w+)=", (lab.machine.root / "run" / file).read_text("latin-1")))
        for file in ("before", "after")
    )
    left = after - before - {"status", "_", "BASH_LINENO", "FUNCNAME", "PIPESTATUS"}
    assert {one for one in left if not one.startswith("dnsguard_")} == set()


@pytest.mark.parametrize("shell", ["dash", "bash --posix"])
def test_a_server_cannot_forge_a_line(lab: World, shell: str) -> None:
    """Were dhclient to let it through: a value ends where its line does."""
    forged = "a.example\nnameservers 6.6.6.6\nreason STOP"
    evil = "$(touch /run/evil)`touch /run/evil`\\n%s'\";touch /run/evil"
    with daemon(lab.machine):
        done = _source(
            lab.machine,
            shell,
            "reason=BOUND",
            "interface=eth0",
            f"new_domain_name={forged}",
            f"new_domain_search={evil}",
            f"new_routers=10.99.0.1\n{evil}",
        )
        assert (done.returncode, done.stderr) == (0, "")
        found = _told(lab.machine)
    assert (found.reason, found.domain, found.nameservers) == (Reason.BOUND, "a.example", ())
    assert f"search {evil}\n".encode() in lab.machine.record()
    assert found.routers == (ip_address("10.99.0.1"),)
    assert not (lab.machine.root / "run/evil").exists()


@pytest.mark.parametrize("name", ["", "../../etc/x", "a/b"])
def test_a_name_that_is_no_links_makes_no_file(lab: World, name: str) -> None:
    """Nor does the hook fail for it."""
    with daemon(lab.machine):
        done = _source(lab.machine, "dash", "reason=STOP", f"interface={name}")
        assert (done.returncode, done.stderr) == (0, "")
        assert not list(lab.machine.records.iterdir())


@pytest.mark.parametrize(
    ("reason", "is_told"),
    [("PREINIT", False), ("MEDIUM", False), ("RENEW6", True), ("DEPREF6", True), ("STOP6", True)],
)
def test_the_rest_of_the_script_is_dhclients(lab: World, reason: str, is_told: bool) -> None:  # noqa: FBT001
    """dhclient-script itself, run for what dhclient has no reason for in this lab."""
    values = [f"{when}_dhcp6_name_servers=2001:db8::7" for when in ("new", "old", "cur")]
    with daemon(lab.machine):
        environ = (f"reason={reason}", "interface=eth0", "old_ip6_address=2001:db8::8", *values)
        done = lab.machine.run("env", *environ, "/sbin/dhclient-script")
        assert done.returncode == 0
        assert (lab.machine.record("6.eth0") != b"") == is_told
        if is_told:
            assert _told(lab.machine, "6.eth0").nameservers == (ip_address("2001:db8::7"),)
    assert lab.machine.file.read_bytes() == HEALTHY


def test_the_hook_is_as_shell_scripts_should_be(lab: World) -> None:
    """By dash, bash and, where it is installed, shellcheck."""
    commands = [["dash", "-n"], ["bash", "--posix", "-n"], ["shellcheck", "-s", "sh"]]
    for command in commands:
        try:
            subprocess.run([*command, HOOK], check=True)
        except FileNotFoundError:
            assert command[0] == "shellcheck"
