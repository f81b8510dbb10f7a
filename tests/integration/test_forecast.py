"""What is forecast is what the real dhclient and Debian's dhclient-script then do."""

import argparse
import asyncio
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from lab import needs
from lab.dhclient import PATIENCE, Dhclient, Machine
from lab.dhcp import World, world
from lab.wait import until
from unit.formats.samples import DEBIAN, KUBESPRAY

from dnsguard import config
from dnsguard.commands.forecast import POISONED, foresee, run
from dnsguard.commands.forecast.future import ForecastInput
from dnsguard.commands.forecast.reboot import foresee_reboots
from dnsguard.commands.forecast.renewal import foresee_renewals
from dnsguard.commands.forecast.text import render
from dnsguard.commands.plan import preview
from dnsguard.commands.plan import render as plan_lines
from dnsguard.formats.dhclient.hazards import HazardKind
from dnsguard.guard import Guard
from dnsguard.host import dhclient, dhclient_processes
from dnsguard.paths import Paths
from dnsguard.reporting.encoding import to_json

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


def _node(machine: Machine, *started: Dhclient) -> ForecastInput:
    pids = [one.process.pid for one in started]
    return ForecastInput(
        dhclient=dhclient.find_dhclient(machine.root),
        running=tuple(one for one in dhclient_processes.find_running(Path("/")) if one.pid in pids),
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


def _preview(lab: World) -> Any:  # noqa: ANN401 -- JSON
    """Return the plan's data, without a daemon."""
    paths = Paths(lab.machine.root)
    guard = Guard(paths, config.load(paths.config).policy, lambda _: None)
    with lab.machine.where.inside():
        return to_json(asyncio.run(preview(guard)))


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
        (future,) = foresee_reboots(_node(lab.machine))
        with _bound(lab.machine):
            pass
        assert lab.machine.file.read_bytes() == future.text


def test_the_renewal_comes_as_foreseen(lab: World) -> None:
    """The poison in dhclient.conf doesn't act before the next start of dhclient."""
    with _bound(lab.machine, DEBIAN + RENEWING) as running:
        (lab.machine.dhcp / "dhclient.conf").write_bytes(SUPERSEDE)
        lab.machine.file.write_bytes(NOBODY)
        (future,) = foresee_renewals(_node(lab.machine, running))
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
    assert (hazard["kind"], hazard["line"], hazard["defused"]) == (HazardKind.POISONS, 1, False)


def test_the_plan_asks_the_dhcp_server_as_a_daemon_would(lab: World) -> None:
    """Without one, too, it names the upstream that nothing on the node does."""
    with _bound(lab.machine, SUPERSEDE):
        assert b"10.99.0." not in lab.machine.file.read_bytes()
        data = _preview(lab)
    assert data["verdict"].endswith("it would name 10.99.0.2, 10.99.0.3")


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
        status = run(argparse.Namespace(root=lab.machine.root, json=False))
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
        assert run(argparse.Namespace(root=paths.root, json=True)) == 0
    (reboot,) = json.loads(capsys.readouterr().out)["reboot"]
    assert reboot["with"]["nameservers"] == ["10.99.0.9"]
    assert reboot["with"]["mode"] == "guarding"


POISONING = b"echo nameserver 169.254.25.10 > /etc/resolv.conf\n"
HOOKS: dict[str, tuple[bytes, dict[str, bytes], list[str]]] = {
    # What is in dhclient.conf, the hooks, and whom the file names in the end.
    "a no-op for another interface": (
        SUPERSEDE,
        {"enter/own": b'if [ "$interface" = eth7 ]; then make_resolv_conf() { :; }; fi\n'},
        ["169.254.25.10"],
    ),
    "a no-op that a file switches off": (
        SUPERSEDE,
        {"enter/own": b"[ -e /etc/dhcp/nodnsupdate ] && make_resolv_conf() { :; }\n"},
        ["169.254.25.10"],
    ),
    "resolved-enter where resolved is disabled": (
        SUPERSEDE,
        {
            "enter/resolved-enter": b"if systemctl is-enabled systemd-resolved >/dev/null 2>&1;"
            b" then\n make_resolv_conf() { :; }\nfi\n"
        },
        ["169.254.25.10"],
    ),
    "an enter hook that says otherwise": (
        SUPERSEDE,
        {
            "enter/own": b'case $reason in BOUND|REBOOT) new_domain_name_servers="10.1.1.7" ;; esac\n'
        },
        ["10.1.1.7"],
    ),
    "an enter hook that unsets": (
        SUPERSEDE,
        {"enter/own": b"unset new_domain_name_servers\n"},
        ["10.9.9.9"],
    ),
    "an exit hook that poisons": (DEBIAN, {"exit/own": POISONING}, ["169.254.25.10"]),
    "an exit hook that copies": (
        DEBIAN,
        {"exit/own": b"cp /etc/dhcp/static /etc/resolv.conf\n"},
        ["10.1.1.9"],
    ),
    "an exit hook that edits": (
        DEBIAN,
        {"exit/own": b"sed -i 's/10.99.0.2/169.254.25.10/' /etc/resolv.conf\n"},
        ["169.254.25.10", "10.99.0.3"],
    ),
}


@pytest.mark.parametrize(("conf", "hooks", "servers"), HOOKS.values(), ids=HOOKS)
def test_hooks_do_as_foreseen(
    lab: World, conf: bytes, hooks: dict[str, bytes], servers: list[str]
) -> None:
    """The real dhclient with the real hooks writes, byte by byte, what was foreseen."""
    with _bound(lab.machine, conf):
        pass
    (lab.machine.dhcp / "static").write_bytes(b"nameserver 10.1.1.9\n")
    for name, content in hooks.items():
        kind, _, base = name.partition("/")
        (lab.machine.dhcp / f"dhclient-{kind}-hooks.d" / base).write_bytes(content)
    lab.machine.file.write_bytes(NOBODY)
    (reboot,) = _foresee(lab)["reboot"]
    with _bound(lab.machine):
        pass
    found = [
        line.split()[1] for line in lab.machine.file.read_text().splitlines() if "name" in line
    ]
    assert found == servers
    assert reboot["without"]["nameservers"] == servers
    assert reboot["without"]["poisoned"] == ("169.254.25.10" in servers)


def test_an_immutable_file_stays(lab: World) -> None:
    """Neither dhclient nor dnsguard writes it."""
    with _bound(lab.machine, SUPERSEDE):
        pass
    lab.machine.file.write_bytes(NOBODY)
    done = subprocess.run(["chattr", "+i", lab.machine.file], check=False, capture_output=True)
    if done.returncode:
        needs.leave_out(f"immutable files: {done.stderr.decode().strip()}")
    try:
        data = _foresee(lab)
        with _bound(lab.machine):
            pass
        assert lab.machine.file.read_bytes() == NOBODY
    finally:
        subprocess.run(["chattr", "-i", lab.machine.file], check=True)
    assert data["reboot"][0]["without"]["text"] == NOBODY.decode()
    assert data["reboot"][0]["with"]["text"] == NOBODY.decode()
    assert data["verdict"] == "renewal: fine; reboot: fine"


def test_a_disabled_unit_guards_no_boot(lab: World) -> None:
    """What comes is what comes without it; enabled, it is what it makes of it."""
    units = lab.machine.root / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "dnsguard.service").write_text("[Service]\n")
    with _bound(lab.machine, SUPERSEDE):
        disabled = _foresee(lab)
        (units / "sysinit.target.wants").mkdir()
        (units / "sysinit.target.wants/dnsguard.service").symlink_to("../dnsguard.service")
        enabled = _foresee(lab)
    assert disabled["reboot"][0]["with"]["poisoned"]
    assert "reboot: POISONED" in disabled["verdict"]
    assert any("systemctl enable dnsguard" in line.text for line in render(disabled))
    assert not enabled["reboot"][0]["with"]["poisoned"]
    assert "reboot: fine (" in enabled["verdict"]


def test_stateless_dhcpv6_is_in_use(lab: World) -> None:
    """It leaves no lease and no process, and poisons the next boot all the same."""
    network = lab.machine.root / "etc/network"
    network.mkdir()
    (network / "interfaces").write_text("iface eth0 inet6 auto\n    dhcp 1\n")
    (lab.machine.dhcp / "dhclient.conf").write_bytes(b"supersede dhcp6.name-servers fd00:25::10;\n")
    paths = Paths(lab.machine.root)
    paths.config.parent.mkdir(exist_ok=True)
    paths.config.write_text('[nodelocal]\naddresses = ["fd00:25::10"]\n')
    (reboot,) = _foresee(lab)["reboot"]
    assert (reboot["interface"], reboot["without"]["poisoned"]) == ("eth0", True)


@pytest.mark.parametrize("content", [None, b""], ids=["13: missing", "15: empty"])
def test_a_write_that_is_put_off_is_one(lab: World, content: bytes | None) -> None:
    """A missing or empty file is given its writer 0.1 s: plan and forecast know what comes then."""
    network = lab.machine.root / "etc/network"
    network.mkdir()
    (network / "interfaces").write_text(
        "iface eth0 inet static\n    dns-nameservers 10.1.1.2 10.1.1.1\n"
    )
    lab.machine.file.unlink()
    if content is not None:
        lab.machine.file.write_bytes(content)
    (reboot,) = _foresee(lab)["reboot"]
    assert reboot["with"]["nameservers"] == ["10.1.1.2", "10.1.1.1"]
    assert reboot["without"]["nameservers"] == []
    lines = [line.text for line in plan_lines(_preview(lab))]
    assert lines[0] == "resolv.conf would be written: it would name 10.1.1.2, 10.1.1.1, after 0.1 s"
    assert lines[1].startswith("No daemon runs")
    assert "+nameserver 10.1.1.2" in lines
