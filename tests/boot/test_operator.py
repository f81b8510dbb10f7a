"""What an operator types on the booted node, and what systemd shows of it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab.promtool import promtool

from boot.kubespray import NODE_LOCAL, POD_FILE, POISON
from boot.lab import Lab, open_lab
from boot.node import Node
from boot.outside import UPSTREAM
from boot.waiting import wait_for
from dnsguard.reporting.message_ids import MESSAGE_IDS

pytestmark = pytest.mark.boot

UNIT = "dnsguard.service"
GATE = "dnsguard-wait.service"
FILL = """exec /usr/bin/python3 - <<'PYTHON'
import socket
queue = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
queue.setblocking(False)
queue.connect("/run/systemd/journal/socket")
try:
    while True:
        queue.send(b"MESSAGE=fill\\n")
except BlockingIOError:
    pass
PYTHON"""
"""Fills journald's queue, until a blocking send(2) would block."""
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, deb: Path) -> Iterator[Lab]:
    """Give a running, guarded node whose kubelet reads the file for pods."""
    with open_lab(tmp_path_factory.mktemp("operator")) as made:
        made.node.install(deb)
        made.node.up()
        made.node.point_kubelet_at(POD_FILE)
        yield made


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.node


def test_systemctl_shows_mode_and_reason(node: Node) -> None:
    """In the Status line, and what it says follows the mode."""
    said = node.property_of(UNIT, "StatusText")
    assert said.startswith(f"guarding: {UPSTREAM}; ")
    assert "waits until NodeLocalDNS is healthy" in said
    with node.nodelocaldns():
        node.wait_for_mode("handed-over")
        handed = f"handed-over: {NODE_LOCAL} {UPSTREAM}"
        wait_for("it", lambda: node.property_of(UNIT, "StatusText").startswith(handed), seconds=5)


def test_only_root_holds_and_everybody_sees_it(node: Node) -> None:
    """An unprivileged user is refused by the kernel's word, and may look."""
    refused = node.try_(*AS_NOBODY, "dnsguard", "hold", "upstream")
    assert refused.returncode == 77
    assert "only root may" in refused.stderr
    node.run("dnsguard", "hold", "upstream", "--for", "1h")
    assert "OK held to upstream by" in node.run(*AS_NOBODY, "dnsguard", "status")
    assert node.property_of(UNIT, "StatusText").startswith("held: ")


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_a_hold_survives_a_restart(node: Node, end: str) -> None:
    """By systemctl, and by systemd after a kill -9."""
    node.run("dnsguard", "hold", "upstream", "--for", "1h")
    before = node.property_of(UNIT, "MainPID")
    if end == "restart":
        node.run("systemctl", "restart", UNIT)
    else:
        node.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", UNIT)
    wait_for(
        "a new daemon",
        lambda: bool(node.status().get("pid", int(before)) != int(before)),
        seconds=10,
    )
    assert node.status()["mode"] == "held"
    node.run("dnsguard", "release")
    assert node.status()["mode"] == "guarding"


def test_stopped_it_can_be_restored_by_hand(node: Node) -> None:
    """What somebody else wrote last comes back; the guard repairs it when it is started."""
    node.run("systemctl", "stop", UNIT)
    said = node.run("dnsguard", "restore", "--yes")
    assert f"+nameserver {NODE_LOCAL}" in said
    assert node.nameservers() == [NODE_LOCAL]
    node.run("systemctl", "start", UNIT)
    assert node.nameservers() == [UPSTREAM]


def test_the_gate_is_off_and_holds_kubelet_once_enabled(node: Node) -> None:
    """Enabled, it is ordered before kubelet, and ends when an upstream has answered."""
    assert node.property_of(GATE, "UnitFileState") == "disabled"
    node.run("systemctl", "enable", GATE)
    assert "kubelet.service" in node.property_of(GATE, "Before").split()
    assert GATE in node.property_of("kubelet.service", "Wants").split()
    node.run("systemctl", "start", GATE)
    assert node.property_of(GATE, "Result") == "success"
    assert node.property_of(GATE, "ExecMainStatus") == "0"
    node.run("systemctl", "disable", GATE)


def test_the_journal_has_fields_and_explains(node: Node) -> None:
    """Journalctl selects by what happened, and -x says what it means and what to do."""
    node.run("dnsguard", "hold", "upstream")
    node.run("dnsguard", "release")

    def entries(*matches: str) -> list[dict[str, str]]:
        said = node.run("journalctl", "-u", UNIT, "-o", "json", "--no-pager", *matches)
        return [json.loads(line) for line in said.splitlines()]

    wait_for("the entry", lambda: bool(entries("DNSGUARD_EVENT=hold_released")), seconds=5)
    for entry in entries("DNSGUARD_EVENT=mode_changed", "DNSGUARD_MODE=held"):
        assert entry["MESSAGE_ID"] == MESSAGE_IDS["mode_changed"]
        assert entry["DNSGUARD_NAMESERVERS"] == UPSTREAM
        assert entry["MESSAGE"].startswith("mode_changed mode=held nameservers=")
        assert entry["PRIORITY"] == "6"
        assert entry["_SYSTEMD_UNIT"] == UNIT
    assert entries("DNSGUARD_EVENT=mode_changed", "DNSGUARD_MODE=held")
    assert not entries("DNSGUARD_EVENT=no_such_event")
    explained = node.run("journalctl", "-xu", UNIT, "--no-pager", "DNSGUARD_EVENT=hold_set")
    assert "Subject: An operator has pinned the node's DNS to upstream" in explained
    switched = node.run("journalctl", "-xu", UNIT, "--no-pager", "DNSGUARD_MODE=held")
    assert f"held to upstream by root; resolv.conf {UPSTREAM}" in switched
    assert "To end it: dnsguard release" in switched
    assert "Why: done" not in node.run("journalctl", "-xu", UNIT, "--no-pager")
    assert "    dnsguard release" in explained


def test_events_are_told_in_order(node: Node) -> None:
    """As text for people and as JSON; nonsense is refused, and so is who may not read."""
    said = node.run("dnsguard", "events", "--json", "--since", "1h ago")
    told = [json.loads(line) for line in said.splitlines()]
    assert [event["at"] for event in told] == sorted(event["at"] for event in told)
    started = next(event for event in told if event["event"] == "started")
    assert set(started) == {"at", "event", "level", "message", "fields"}
    assert started["fields"].keys() == {"version"}
    text = node.run("dnsguard", "events")
    assert re.search(r"^[\d:]+  dnsguard \S+ has started$", text, re.MULTILINE)
    nonsense = node.try_("dnsguard", "events", "--since", "the day after")
    assert (nonsense.returncode, nonsense.stderr.count("\n")) == (64, 1)
    refused = node.try_(*AS_NOBODY, "dnsguard", "events")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)], ids=str)
def test_events_are_a_line_each_on_a_terminal(node: Node, size: tuple[int, int]) -> None:
    """With the time first; what is longer than the window is folded at words behind it."""
    columns, rows = size
    command = f"stty cols {columns} rows {rows}; dnsguard events"
    said = node.run("script", "--quiet", "--return", "--command", command, "/dev/null")
    lines = re.sub(r"\x1b\[[0-9;]*m|\r", "", said).splitlines()
    assert max(map(len, lines)) <= columns
    assert all(re.match(r"\d\d:\d\d:\d\d  \S| {10}\S", line) for line in lines)
    piped = node.run("dnsguard", "events")
    assert " ".join(" ".join(lines).split()) == " ".join(piped.split())
    assert all(re.match(r"\d\d:\d\d:\d\d  \S", line) for line in piped.splitlines())


def test_events_are_followed(node: Node) -> None:
    """What happens from now on comes as it happens, and SIGINT ends it in good order."""
    script = "exec dnsguard events --follow --since now >/run/followed"
    follower = "lab-follower.service"
    node.run(
        *("systemd-run", f"--unit={follower}", "--property=KillSignal=SIGINT"),
        *("/bin/sh", "-c", script),
    )

    def is_told() -> bool:
        # On a busy machine "now" may come behind the first one.
        node.run("dnsguard", "hold", "upstream")
        node.run("dnsguard", "release")
        return "hold released by" in node.run("cat", "/run/followed")

    wait_for("the event", is_told, seconds=20, every=0.5)
    node.run("systemctl", "stop", follower)
    assert node.property_of(follower, "Result") == "success"


def test_a_stopped_journald_stops_no_repair(node: Node) -> None:
    """Its queue is full and nobody reads it: the guard goes on, and tells afterwards."""
    journald = "systemd-journald.service"
    node.run("systemctl", "kill", "--signal=STOP", "--kill-whom=main", journald)
    try:
        node.run("sh", "-c", FILL)
        (node.tree / "etc/resolv.conf").write_text(POISON)
        wait_for("the repair", lambda: node.nameservers() == [UPSTREAM], seconds=5)
        for _ in range(3):
            assert node.status()["mode"] == "guarding"
            (node.tree / "etc/resolv.conf").write_text(POISON)
            wait_for("the repair", lambda: node.nameservers() == [UPSTREAM], seconds=5)
    finally:
        node.run("systemctl", "kill", "--signal=CONT", "--kill-whom=main", journald)
    wait_for(
        "what was told meanwhile",
        lambda: "was overwritten" in node.run("dnsguard", "events", "--since", "1min ago"),
        seconds=10,
    )


def test_node_exporter_gets_a_file(node: Node) -> None:
    """Where its directory is there at the start: promtool reads what the sandboxed daemon wrote."""
    directory = "/var/lib/prometheus/node-exporter"
    node.run("mkdir", "--parents", directory)
    node.run("systemctl", "restart", UNIT)
    file = node.tree / directory.lstrip("/") / "dnsguard.prom"
    wait_for("the file", file.exists, seconds=10)
    assert 'dnsguard_mode{mode="guarding"} 1.0' in file.read_text()
    promtool("check", "metrics", said=file.read_text())
    promtool("check", "metrics", said=node.run("dnsguard", "metrics") + "\n")
    node.run("systemctl", "stop", UNIT)
    assert not file.exists()
    node.run("systemctl", "start", UNIT)


def test_what_secures_the_file_at_the_end_is_an_event_too(node: Node) -> None:
    """Killed while it served by NodeLocalDNS: what ExecStopPost wrote is in the story."""
    with node.nodelocaldns():
        node.wait_for_mode("handed-over")
        pid = node.property_of(UNIT, "MainPID")
        node.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", UNIT)
        wait_for(
            "a new daemon", lambda: node.status().get("pid") not in (None, int(pid)), seconds=10
        )
        said = node.run("journalctl", "-u", UNIT, "-o", "json", "--no-pager", "--since=-30s")
        entries = [json.loads(line) for line in said.splitlines()]
        written = [e["_PID"] for e in entries if e.get("DNSGUARD_EVENT") == "resolv_conf_written"]
        daemons = {e["_PID"] for e in entries if e.get("DNSGUARD_EVENT") == "started"} | {pid}
        assert set(written) - daemons
        node.wait_for_mode("handed-over")
