"""Loops that ``dnsguard doctor`` finds, and those that it doesn't make up."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lab.nameserver import nameserver
from lab.samples import DOCTOR, drop_run

from dnsguard.commands import doctor
from integration.doctor.world import CLUSTER, COREDNS, NODE_CACHE, NODELOCAL, UID, UPSTREAM, Lab

pytestmark = pytest.mark.integration

TREE = Path(__file__).parents[3]


def test_the_loop_is_drawn(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Through both servers, with the pod to delete, and kubelet's file first."""
    (lab.root / "etc/resolv.conf").write_text(f"nameserver {NODELOCAL}\n")
    cache = lab.start("node-cache", NODE_CACHE, CLUSTER, pod="nodelocaldns-xyz")
    coredns = lab.start("coredns", COREDNS, NODELOCAL, pod="coredns-abc")
    status, told = lab.doctor(capsys)
    assert status == doctor.FOUND
    path = (
        f"pod coredns-abc -> /etc/resolv.conf -> {NODELOCAL} (node-cache, pid {cache})"
        f" -> /etc/resolv.conf -> {CLUSTER} -> back"
    )
    assert path in told
    assert f"{NODELOCAL} (node-cache, pid {cache}) -> {CLUSTER} -> back" in told
    adopt, delete = (
        told.index(one)
        for one in ("kubelet adopt", "kubectl -n kube-system delete pod coredns-abc")
    )
    assert adopt < delete
    status, told = lab.doctor(capsys, as_json=True)
    data = json.loads(told)
    outside = next(loop for loop in data["loops"] if "." in loop["zones"])
    assert outside == {"path": path, "zones": ["."], "certain": True}
    assert [one["pid"] for one in data["servers"]] == [coredns, cache]
    assert data["kubelet"]["poison"] == [NODELOCAL]


def test_the_incident_is_drawn_as_readme_has_it(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its first screen, on a control plane; to the letter, but for a process id."""
    (lab.root / "etc/kubernetes/admin.conf").touch()
    (lab.root / "etc/resolv.conf").write_text(f"nameserver {NODELOCAL}\n")
    lab.start("node-cache", NODE_CACHE, NODELOCAL, pod="nodelocaldns-8x7lq")
    lab.start("coredns", COREDNS, NODELOCAL, pod="coredns-5d784884df-kq9fz")
    _, told = lab.doctor(capsys)
    assert [drop_run(line) for line in told.splitlines()] == [drop_run(line) for line in DOCTOR]


def test_a_clean_node_is_clean(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """And the ways are drawn that questions go."""
    lab.start("node-cache", NODE_CACHE, UPSTREAM, pod="nodelocaldns-xyz")
    lab.start("coredns", COREDNS, UPSTREAM, pod="coredns-abc")
    status, told = lab.doctor(capsys)
    assert status == 0, told
    assert "Clean: 2 DNS servers looked at, no loop." in told
    assert f"  pod coredns-abc -> /etc/resolv.conf -> {UPSTREAM}\n" in told


def test_a_server_that_sends_nothing_on(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no way to draw; a NodeLocalDNS that has just started is such a one."""
    corefile = f".:53 {{\n    errors\n    whoami\n    bind {NODELOCAL}\n}}\n"
    lab.start("node-cache", corefile, UPSTREAM, pod="nodelocaldns-xyz")
    status, told = lab.doctor(capsys)
    assert status == 0, told
    assert "pod nodelocaldns-xyz -> answers itself" in told


@pytest.mark.parametrize(("script", "is_inside"), [("cluster", True), ("everything", False)])
def test_whom_nobody_knows_is_asked(
    lab: Lab,
    capsys: pytest.CaptureFixture[str],
    script: str,
    is_inside: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    """Cluster DNS at an address that nobody told of; who answers any name alike is none."""
    lab.node.bridge("svc0", "10.44.0.10/32")
    with nameserver(lab.node, "10.44.0.10", script=script, says="10.44.0.1"):
        lab.start("coredns", COREDNS, "10.44.0.10", pod="coredns-abc")
        status, told = lab.doctor(capsys)
    assert (status == doctor.FOUND) is is_inside
    assert ("CLUSTER DNS: 10.44.0.10" in told) is is_inside
    assert ("delete pod coredns-abc" in told) is is_inside
    assert ("Clean" in told) is not is_inside


def test_the_loop_is_found_out_of_the_tree(lab: Lab) -> None:
    """README.md's first command, on a node that can't fetch a package: no library is there."""
    (lab.root / "etc/resolv.conf").write_text(f"nameserver {NODELOCAL}\n")
    lab.start("node-cache", NODE_CACHE, CLUSTER, pod="nodelocaldns-xyz")
    lab.start("coredns", COREDNS, NODELOCAL, "192.0.2.99", pod="coredns-abc")
    # -S: without site-packages, where every library lies.
    command = [sys.executable, "-SEsB", "-m", "dnsguard", "--root", str(lab.root), "doctor"]
    done = subprocess.run(command, cwd=TREE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (doctor.FOUND, ""), done
    assert "LOOP (" in done.stdout
    assert f"/etc/resolv.conf ({NODELOCAL}): POISONED by {NODELOCAL}" in done.stdout
    assert "NOT LOOKED AT: 192.0.2.99 was not asked: python3-dnspython is missing" in done.stdout
    assert "kubectl -n kube-system delete pod coredns-abc" in done.stdout


def test_a_choice_may_loop(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """A real server beside the node-local address doesn't make a pod's file good."""
    lab.start("node-cache", NODE_CACHE, UPSTREAM, NODELOCAL)
    status, told = lab.doctor(capsys)
    assert status == doctor.FOUND
    assert "MAY LOOP" in told
    assert f"{NODELOCAL} (one of 2) -> back" in told
    assert "restart node-cache (pid" in told


def test_what_changed_after_the_start_is_told(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """CoreDNS has read the file once; a clean one now proves little."""
    lab.start("coredns", COREDNS, UPSTREAM, pod="coredns-abc")
    later = time.time() + 60
    os.utime(lab.root / "1/resolv.conf", (later, later))
    status, told = lab.doctor(capsys)
    assert (status, "changed after it started" in told) == (0, True)


def test_a_pod_that_points_at_nobody_is_poisoned(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """NodeLocalDNS is down at this moment: the loop is there as soon as it is up."""
    lab.start("coredns", COREDNS, NODELOCAL, pod="coredns-abc")
    status, told = lab.doctor(capsys)
    assert status == doctor.FOUND
    assert f"pod coredns-abc -> /etc/resolv.conf -> {NODELOCAL}\n" in told
    assert "delete pod coredns-abc" in told


def test_a_pod_that_its_loop_plugin_ended_is_found(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    """In CrashLoopBackOff there is hardly ever a process to look at, but there are last words."""
    status, told = lab.doctor(capsys)
    assert (status, told.splitlines()) == (
        0,
        [
            f"kubelet gives new pods /etc/resolv.conf ({UPSTREAM}): fine",
            "No CoreDNS and no node-cache runs here.",
        ],
    )
    logs = lab.root / f"var/log/pods/kube-system_coredns-abc_{UID.format(7)}/coredns"
    logs.mkdir(parents=True)
    (logs / "3.log").write_text(
        '2026-01-01T00:00:00Z stdout F [FATAL] plugin/loop: Loop (127.0.0.1:4 -> :53) detected for zone "."\n'
    )
    status, told = lab.doctor(capsys)
    assert status == doctor.FOUND
    assert "kubectl -n kube-system delete pod coredns-abc" in told
