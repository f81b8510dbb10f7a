"""What is forecast is what the real dhclient and Debian's dhclient-script then do."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lab.dhcp import PATIENCE, Dhclient, Machine, World, world
from lab.wait import until
from unit.sources.samples import DEBIAN, KUBESPRAY

from dnsguard import config
from dnsguard.core.forecast import Node, reboots, renewals
from dnsguard.core.hazards import Kind
from dnsguard.forecast import POISONED, foresee, render, run
from dnsguard.host import dhclient
from dnsguard.paths import Paths

pytestmark = pytest.mark.integration

RENEWING = b"supersede dhcp-renewal-time 1;\n"
"""A lease is renewed each second."""
SUPERSEDE = b"supersede domain-name-servers 169.254.25.10;\n"
NOBODY = b"search old.example\nnameserver 10.9.9.9\n"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[World]:
    """Return a node and a DHCP server."""
    with world(tmp_path) as made:
        made.machine.file.write_bytes(NOBODY)
        yield made


@contextmanager
def _bound(machine: Machine, conf: bytes | None = None) -> Iterator[Dhclient]:
    """Run dhclient from the time it has written down its lease: later than the hooks know."""
    with machine.dhclient(conf) as started:
        until(lambda: "bound to" in started.log(), within=PATIENCE)
        yield started


def _node(machine: Machine, *started: Dhclient) -> Node:
    pids = [one.process.pid for one in started]
    return Node(
        dhclient=dhclient.look(machine.root),
        running=tuple(one for one in dhclient.running(Path("/")) if one.pid in pids),
        content=machine.file.read_bytes(),
        cluster=config.load(Path("/nonexistent")).policy.cluster,
    )


def _foresee(lab: World) -> Any:  # noqa: ANN401 -- JSON
    """Return the command's data, without a daemon."""
    paths = Paths(lab.machine.root)
    with lab.machine.where.inside():
        data = asyncio.run(foresee(paths, config.load(paths.config)))
    assert json.loads(json.dumps(data)) == data
    assert render(data)
    return data


CONFS = {
    "plain": DEBIAN,
    "nothing": b"",
    "supersede": SUPERSEDE,
    "supersede and ask for a search list": DEBIAN + SUPERSEDE,
    "prepend": b"prepend domain-name-servers 169.254.25.10;",
    "append": b"append domain-name-servers 169.254.25.10;",
    "domains": b'also request domain-search; append domain-search "x.example";'
    b'prepend domain-name "pre."; append domain-name-servers 10.0.0.1;',
    "superseded domains": b'supersede domain-search "x.example", "y.example."; '
    b'supersede domain-name "x.example";',
    "not asked": b"request subnet-mask, routers;",
    "a block": b'interface "eth0" { supersede domain-name-servers 10.0.0.1; }' + SUPERSEDE,
    **{name: content for name, (content, _) in KUBESPRAY.items()},
}


@pytest.mark.parametrize("conf", CONFS.values(), ids=CONFS)
def test_the_reboot_comes_as_foreseen(lab: World, conf: bytes) -> None:
    """Byte by byte: the first boot with a new dhclient.conf, and the one after it."""
    with _bound(lab.machine, DEBIAN):
        pass
    (lab.machine.dhcp / "dhclient.conf").write_bytes(conf)
    for _ in range(2):
        (future,) = reboots(_node(lab.machine))
        with _bound(lab.machine):
            pass
        assert lab.machine.file.read_bytes() == future.text


def test_the_renewal_comes_as_foreseen(lab: World) -> None:
    """The poison in dhclient.conf doesn't act before the next start of dhclient."""
    with _bound(lab.machine, DEBIAN + RENEWING) as running:
        (lab.machine.dhcp / "dhclient.conf").write_bytes(SUPERSEDE)
        lab.machine.file.write_bytes(NOBODY)
        (future,) = renewals(_node(lab.machine, running))
        assert "changed after that" in dict(future.because)["dhclient"]
        seen = len(running.events())
        running.wait_for("RENEW", times=seen + 1)
        assert lab.machine.file.read_bytes() == future.text


def test_a_poisoned_node_is_saved_by_what_the_dhcp_server_says(lab: World) -> None:
    """Nothing on the node names the real one: with dnsguard it is asked for."""
    with _bound(lab.machine, SUPERSEDE):
        data = _foresee(lab)
    (reboot,) = data["reboot"]
    assert reboot["without"]["poisoned"]
    assert reboot["without"]["nameservers"] == ["169.254.25.10"]
    assert not reboot["with"]["poisoned"]
    assert reboot["with"]["nameservers"] == ["10.99.0.2", "10.99.0.3"]
    (hazard,) = data["hazards"]
    assert (hazard["kind"], hazard["line"], hazard["defused"]) == (Kind.POISONS, 1, False)


def test_after_the_clean_up_the_offer_is_asked_for(lab: World) -> None:
    """The lease is still poisoned, dhclient.conf no longer: the server knows what comes."""
    with _bound(lab.machine, SUPERSEDE):
        (lab.machine.dhcp / "dhclient.conf").write_bytes(DEBIAN)
        (reboot,) = _foresee(lab)["reboot"]
    with _bound(lab.machine):
        pass
    assert reboot["without"]["text"] == lab.machine.file.read_text()
    assert len(reboot["caveats"]) == 1


def test_where_nobody_is_known_it_is_an_alarm(
    lab: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit status says that dnsguard can't help; it touches nothing."""
    lab.machine.file.write_bytes(b"nameserver 169.254.25.10\n")
    with lab.machine.where.inside():
        status = run(Paths(lab.machine.root), as_json=False)
    assert status == POISONED
    told = capsys.readouterr().out
    assert "no lease and no process" in told
    assert "without dnsguard: POISONED" in told
    assert "set upstream.servers" in told
    assert lab.machine.file.read_bytes() == b"nameserver 169.254.25.10\n"


def test_a_configured_upstream_is_an_answer(lab: World, capsys: pytest.CaptureFixture[str]) -> None:
    """And the forecast is data, too."""
    lab.machine.file.write_bytes(b"nameserver 169.254.25.10\n")
    paths = Paths(lab.machine.root)
    paths.config.parent.mkdir()
    paths.config.write_text('[upstream]\nservers = ["10.99.0.9"]\n')
    with lab.machine.where.inside():
        assert run(paths, as_json=True) == 0
    (reboot,) = json.loads(capsys.readouterr().out)["reboot"]
    assert reboot["with"]["nameservers"] == ["10.99.0.9"]
    assert reboot["with"]["mode"] == "guarding"
