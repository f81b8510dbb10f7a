"""Our enter hook where no daemon runs: dhclient does all that it ever did."""

import re
from collections.abc import Callable

import pytest
from lab.dhclient import EXPIRING, HOOK, Dhclient, Machine
from lab.dhcp import World, world
from unit.formats.samples import DEBIAN

from integration.dhclient_hook.hooked import HEALTHY, IMPATIENT, ROUTERLESS, daemon

pytestmark = pytest.mark.integration


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
