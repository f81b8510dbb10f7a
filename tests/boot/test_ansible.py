"""The Ansible role, by ssh, on two booted nodes in the middle of the incident.

The tests follow each other as a cluster's life does; Debian 12's own ansible-core plays.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from boot import repository
from boot.controller import KUBELET, KUBELET_CONFIG, Fleet, Played, open_fleet
from boot.kubespray import NODE_LOCAL, POD_FILE
from boot.machine import nameservers
from boot.node import Node
from boot.outside import REGISTRY, REGISTRY_ADDRESS, UPSTREAM

pytestmark = pytest.mark.boot

NAMES = ("node1", "node2")
RESTART = "--extra-vars=dnsguard_restart_kubelet=true"
KUBE_RESOLV_CONF = f"--extra-vars=kube_resolv_conf={POD_FILE}"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Give two nodes with power, on which no name resolves."""
    with open_fleet(tmp_path_factory.mktemp("ansible"), NAMES) as fleet:
        for name in NAMES:
            assert fleet.start(name).nameservers() == [NODE_LOCAL]
        yield fleet


def test_check_mode_says_what_it_would_do(fleet: Fleet, deb: Path) -> None:
    """And does nothing of it: neither file, package nor kubelet is another one."""
    before = [_account(node) for node in fleet.nodes.values()]

    played = fleet.install_everywhere(deb, "--check", "--diff", RESTART)

    assert played.status == 0, played.said
    assert all(played.changed[name] > 0 for name in NAMES)
    assert "that is all that check mode can tell" in played.said
    assert [_account(node) for node in fleet.nodes.values()] == before


def test_kubesprays_inventory_has_to_know(fleet: Fleet, deb: Path) -> None:
    """Its next run would take back what is changed on the nodes alone: said before anything."""
    before = [_account(node) for node in fleet.nodes.values()]

    played = fleet.install_everywhere(deb, playbook="kubespray.yml")

    assert played.failed == [*NAMES], played.said
    assert f"kube_resolv_conf: {POD_FILE}" in played.said
    assert [_account(node) for node in fleet.nodes.values()] == before


def test_a_node_is_cured_with_nobody_else_to_ask(fleet: Fleet, deb: Path) -> None:
    """The first run: safe before it installs; configured, adopted, restarted, verified."""
    started = [_started(node) for node in fleet.nodes.values()]
    config = '--extra-vars={"dnsguard_config": {"health": {"slow": 4.0}}}'

    played = fleet.install_everywhere(
        deb, KUBE_RESOLV_CONF, RESTART, config, playbook="kubespray.yml"
    )

    assert played.status == 0, played.said
    assert {*_order(played, "Make the node safe")} == {*NAMES}
    assert played.said.index("[dnsguard : Make the node safe]") < played.said.index(
        "[dnsguard : Install the package]"
    )
    for node, before in zip(fleet.nodes.values(), started, strict=True):
        assert node.nameservers() == [UPSTREAM]
        assert REGISTRY_ADDRESS in node.run("getent", "ahostsv4", REGISTRY)
        assert POD_FILE in node.run("cat", KUBELET_CONFIG)
        assert _started(node) > before
        assert "slow = 4.0" in node.run("cat", "/etc/dnsguard/dnsguard.toml")
        assert node.try_("dnsguard", "doctor").returncode == 0
    turns = _order(played, "Restart it", "Wait until it is back")
    assert {*turns} == {*NAMES}
    assert turns[0] == turns[1] != turns[2] == turns[3]


def test_a_second_run_changes_nothing(fleet: Fleet, deb: Path) -> None:
    """With and without check mode; kubelet goes on as it was."""
    started = [_started(node) for node in fleet.nodes.values()]
    config = '--extra-vars={"dnsguard_config": {"health": {"slow": 4.0}}}'
    options = (KUBE_RESOLV_CONF, RESTART, config)

    for check in ((), ("--check",)):
        played = fleet.install_everywhere(deb, *options, *check, playbook="kubespray.yml")
        assert played.status == 0, played.said
        assert played.changed == dict.fromkeys(NAMES, 0), played.said
    assert [_started(node) for node in fleet.nodes.values()] == started


def test_a_kubelet_that_does_not_come_back_is_the_last_one(fleet: Fleet, deb: Path) -> None:
    """Both would be restarted, and neither would start: the first one ends the play."""
    before = {name: _started(node) for name, node in fleet.nodes.items()}
    for node in fleet.nodes.values():
        broken = node.tree / f"etc/systemd/system/{KUBELET}.d/broken.conf"
        broken.parent.mkdir()
        broken.write_text("[Service]\nExecStart=\nExecStart=/bin/false\n")
        (node.tree / KUBELET_CONFIG.lstrip("/")).touch()  # later than what kubelet has read
    try:
        patience = "--extra-vars=dnsguard_restart_patience=4"
        played = fleet.install_everywhere(deb, RESTART, patience)
        untouched = [name for name, node in fleet.nodes.items() if _started(node) == before[name]]
    finally:
        for node in fleet.nodes.values():
            shutil.rmtree(node.tree / f"etc/systemd/system/{KUBELET}.d")
            node.run("systemctl", "daemon-reload")
            node.run("systemctl", "restart", KUBELET)
    assert played.status != 0
    assert "Wait until it is back" in played.said.split("fatal: ")[0].split("TASK [")[-1]
    (restarted,) = _order(played, "Restart it")
    assert {restarted, *untouched} == {*NAMES}


def test_a_configuration_that_is_none_is_refused(fleet: Fleet, deb: Path) -> None:
    """By dnsguard's own check, before it is in its place."""
    node = fleet.nodes["node1"]
    before = node.run("cat", "/etc/dnsguard/dnsguard.toml")

    played = fleet.install_everywhere(
        deb, '--extra-vars={"dnsguard_config": {"health": {"slo": 4.0}}}', "--limit=node1"
    )

    assert played.failed == ["node1"], played.said
    assert "health.slo" in played.said
    assert node.run("cat", "/etc/dnsguard/dnsguard.toml") == before


def test_a_loop_that_doctor_finds_fails_the_run(fleet: Fleet, deb: Path) -> None:
    """All else is done; what ends it is shown. Where it is asked to, it only reports."""
    node = fleet.nodes["node2"]
    config = node.tree / KUBELET_CONFIG.lstrip("/")
    kept = config.read_text()
    (node.tree / "etc/kubernetes/pods.conf").write_text(f"nameserver {NODE_LOCAL}\n")
    config.write_text(kept.replace(POD_FILE, "/etc/kubernetes/pods.conf"))
    node.run("systemctl", "restart", KUBELET)
    leave = ("--extra-vars=dnsguard_kubelet=leave", "--limit=node2")
    try:
        failed = fleet.install_everywhere(deb, *leave)
        reported = fleet.install_everywhere(deb, *leave, "--extra-vars=dnsguard_doctor=report")
    finally:
        config.write_text(kept)
        node.run("systemctl", "restart", KUBELET)
    assert failed.failed == ["node2"], failed.said
    assert "/etc/kubernetes/pods.conf" in failed.said
    assert reported.status == 0, reported.said
    assert "dnsguard kubelet adopt" in reported.said


def test_from_a_repository_it_is_upgraded_by_the_next_run(
    fleet: Fleet, deb: Path, tmp_path: Path, keys: repository.Keyring
) -> None:
    """The nodes of a file become the nodes of a repository; the same version is no change."""
    place = tmp_path / "apt"
    done = repository.publish(place, keys, deb)
    assert done.returncode == 0, done.stderr
    options = (
        f"--extra-vars=dnsguard_repository={repository.URI}",
        f"--extra-vars=dnsguard_repository_key={place / 'dnsguard.asc'}",
    )
    with repository.served(place, fleet.outside.namespace):
        first = fleet.play("kubeadm.yml", *options)
        second = fleet.play("kubeadm.yml", *options)
    assert first.status == 0, first.said
    assert all(first.changed[name] > 0 for name in NAMES)
    assert second.changed == dict.fromkeys(NAMES, 0), second.said
    source = fleet.nodes["node1"].run("cat", "/etc/apt/sources.list.d/dnsguard.sources")
    assert f"URIs: {repository.URI}" in source


def test_removal_waits_for_kubelets_restart(fleet: Fleet) -> None:
    """A kubelet that still gives the file to pods is refused; restarted, all of it goes."""
    refused = fleet.play("remove.yml")
    there = [node.try_("dnsguard", "--version").returncode for node in fleet.nodes.values()]

    checked = fleet.play("remove.yml", RESTART, "--check")
    removed = fleet.play("remove.yml", RESTART)
    again = fleet.play("remove.yml", RESTART)

    assert refused.failed == [*NAMES], refused.said
    assert "dnsguard_restart_kubelet=true" in refused.said
    assert there == [0, 0]
    assert checked.status == 0, checked.said
    assert removed.status == 0, removed.said
    assert again.changed == dict.fromkeys(NAMES, 0), again.said
    for node in fleet.nodes.values():
        assert nameservers(node.resolv_conf()) == [UPSTREAM]
        assert "/etc/resolv.conf" in node.run("cat", KUBELET_CONFIG)
        assert _named_after_it(node) == []


def test_before_kubesprays_first_play_there_is_no_kubelet(fleet: Fleet, deb: Path) -> None:
    """The node is guarded, and what Kubespray will write is there to be read."""
    node = fleet.nodes["node1"]
    node.run("systemctl", "disable", "--now", KUBELET)
    for path in ("etc/kubernetes", f"etc/systemd/system/{KUBELET}"):
        (node.tree / path).rename(node.tree / "root" / Path(path).name)

    played = fleet.install_everywhere(
        deb, KUBE_RESOLV_CONF, RESTART, "--limit=node1", playbook="kubespray.yml"
    )

    assert played.status == 0, played.said
    assert f"Kubespray will point it at {POD_FILE}" in played.said
    assert nameservers(node.run("cat", POD_FILE)) == [UPSTREAM]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[repository.Keyring]:
    with repository.keyring(tmp_path_factory.mktemp("g") / "k") as made:
        yield made


def _account(node: Node) -> tuple[str, ...]:
    """Return what a run may change, of a node."""
    files = (node.resolv_conf(), node.run("cat", KUBELET_CONFIG), str(_named_after_it(node)))
    return (*files, node.run("dpkg", "--get-selections"), str(_started(node)))


def _started(node: Node) -> int:
    """Return when its kubelet was started: microseconds since the machine's boot."""
    return int(node.property_of(KUBELET, "ExecMainStartTimestampMonotonic"))


def _named_after_it(node: Node) -> list[str]:
    """Return every path with its name, the topmost ones."""
    found = {path.relative_to(node.tree) for path in node.tree.rglob("*dnsguard*")}
    return sorted(str(path) for path in found if found.isdisjoint(path.parents))


def _order(played: Played, *tasks: str) -> list[str]:
    """Return the nodes for which one of these tasks was done, each time, in their order."""
    named = "|".join(map(re.escape, tasks))
    blocks = re.split(r"^(?=TASK \[)", played.said, flags=re.MULTILINE)
    mine = [block for block in blocks if re.match(rf"TASK \[[^]]*(?:{named})\]", block)]
    return re.findall(r"^(?:changed|ok): \[(\w+)\]", "".join(mine), re.MULTILINE)
