"""Our enter hook beside the daemon: dhclient writes nothing, and each reason is told."""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from threading import Event, Thread

import pytest
from lab.dhclient import EXPIRING, PATIENCE, RENEWING
from lab.dhcp import World, world
from lab.wait import until
from unit.formats.samples import DEBIAN

from dnsguard.formats.dhclient.records import DhclientEvent, Reason
from integration.dhclient_hook.hooked import (
    HEALTHY,
    IMPATIENT,
    POISONING,
    ROUTERLESS,
    daemon,
    told_of,
)

pytestmark = pytest.mark.integration


POISON = "nameserver 169.254.25.10"


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
            assert told_of(machine, f"4.{link}").interface == link
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
            assert told_of(machine) == expected
            lab.server.offer(*ROUTERLESS, "--dhcp-option=option:dns-server,10.99.0.9")
            dhclient.wait_for("RENEW")
            until(lambda: str(told_of(machine).nameservers[-1]) == "10.99.0.9", within=PATIENCE)
            assert told_of(machine).reason == Reason.RENEW
        with machine.dhclient(DEBIAN) as dhclient:
            dhclient.wait_for("REBOOT")
            assert told_of(machine).reason == Reason.REBOOT
            dhclient.stop()
            gone = told_of(machine)
            assert (gone.reason, gone.is_gone) == (Reason.STOP, True)
            assert gone.address == expected.address
            assert str(gone.nameservers[-1]) == "10.99.0.9"
        with lab.server.silent(), machine.dhclient(DEBIAN + IMPATIENT) as dhclient:
            dhclient.wait_for("TIMEOUT")
            assert told_of(machine).reason == Reason.TIMEOUT
        with machine.dhclient(DEBIAN) as dhclient:
            dhclient.wait_for("REBOOT")
            dhclient.release()
            assert told_of(machine).reason == Reason.RELEASE
        machine.lease_file().unlink()
        with lab.server.silent(), machine.dhclient(DEBIAN + IMPATIENT) as dhclient:
            dhclient.wait_for("FAIL")
            assert told_of(machine) == DhclientEvent(reason=Reason.FAIL, interface="eth0")
        with machine.dhclient(DEBIAN + EXPIRING) as dhclient:
            dhclient.wait_for("BOUND")
            with lab.server.silent():
                dhclient.wait_for("EXPIRE")
                assert told_of(machine).reason == Reason.EXPIRE
                assert told_of(machine).nameservers
    assert _identity(machine.file) == before


def test_ipv6_is_told_apart(lab: World) -> None:
    """Both versions on one link, each with a record of its own."""
    machine = lab.machine
    with daemon(machine), machine.dhclient(DEBIAN) as four, machine.dhclient(version=6) as six:
        event = six.wait_for("BOUND6")
        four.wait_for("BOUND")
        assert told_of(machine).reason == Reason.BOUND
        bound = told_of(machine, "6.eth0")
        assert bound == DhclientEvent(
            reason=Reason.BOUND6,
            interface="eth0",
            address=ip_address(event.environ["new_ip6_address"]),
            nameservers=(ip_address("2001:db8::53"),),
        )
        six.release()
        gone = told_of(machine, "6.eth0")
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
        found = told_of(lab.machine)
    assert " ".join(map(str, found.nameservers)) == nameservers
    assert " ".join(found.search) == search
    assert found.domain in ("real.example", None)
