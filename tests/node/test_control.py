"""The control: without dnsguard the incident, for good. Then dnsguard comes, and doctor heals it.

The tests share one node and go in this order.
"""

import json
import re
import time
from pathlib import Path

import pytest
from boot.kubespray import NODE_LOCAL
from boot.waiting import wait_for
from managers.outside import FIRST

from node import claims, manifests
from node.claims import DNS_PODS
from node.images import REGISTRY
from node.lab import Lab

pytestmark = pytest.mark.node

_NEW = f"{REGISTRY}/pod:new-1"
_HEALED_SECONDS = 15.0
"""The issue's bar."""
_LOOP = re.compile(r"Loop \(169\.254\.25\.10:\d+ -> 169\.254\.25\.10:53\) detected for zone \"\.\"")


def test_the_incident(lab: Lab) -> None:
    """The reboot poisons the file, the DNS pods get it: nothing is pulled, and it does not heal."""
    node = lab.node
    lab.cluster.control_plane.apply([manifests.pod("new", _NEW)])
    node.switch_on()
    died = node.wait_for_power_on(
        "node-cache finds its loop", lambda: bool(_LOOP.search(node.logs("node-cache"))), seconds=90
    )
    failed = node.wait_for_power_on(
        "an image can't be pulled", lambda: "lookup" in _why_not(lab, "new"), seconds=90
    )
    looping = node.wait_for_power_on(
        "NodeLocalDNS is in CrashLoopBackOff",
        lambda: "CrashLoopBackOff" in _why_not(lab, "-l=k8s-app=node-local-dns", "kube-system"),
        seconds=120,
    )
    loop = _LOOP.search(node.logs("node-cache"))
    print(f"{died:.1f} s after power on: {loop and loop[0]}")
    print(f"{failed:.1f} s: {_why_not(lab, 'new')}")
    print(f"{looping:.1f} s: NodeLocalDNS is in CrashLoopBackOff")
    assert node.nameservers() == [NODE_LOCAL]
    assert f"lookup {REGISTRY} on {NODE_LOCAL}:53" in _why_not(lab, "new")
    # CoreDNS's own question about loops has met a refusal: it runs, and is poisoned.
    assert node.servers_of("coredns") == [NODE_LOCAL]
    assert node.servers_of_sandbox("coredns") == [NODE_LOCAL]
    assert "refused" in node.pulls(_NEW)


def test_doctor_heals_it(lab: Lab, deb: Path) -> None:
    """What it tells to do, done to the letter, heals both pods and the names within 15 s."""
    node = lab.node
    (node.tree / "root/dnsguard.deb").write_bytes(deb.read_bytes())
    node.run("dpkg", "--install", "/root/dnsguard.deb")
    wait_for("it guards with an upstream", lambda: node.nameservers() == [FIRST], seconds=30)
    doctor = node.try_("dnsguard", "doctor")
    print(doctor.stdout)
    assert doctor.returncode == 2, doctor.stdout + doctor.stderr
    for name in DNS_PODS:
        assert f"--namespace '^kube-system$' --name '^{name}-" in doctor.stdout
    begun = time.monotonic()
    for command in _to_do(doctor.stdout):
        done = node.try_("sh", "-c", command)
        print(f"$ {command}\n{done.stdout}{done.stderr}")
        assert done.returncode == 0, command
    claims.wait_for_both(node, FIRST, seconds=60)
    wait_for("an image is pulled", lambda: not node.pulls(f"{REGISTRY}/pod:new-2"), seconds=60)
    wait_for("a pod resolves", lambda: claims.app_resolves(node), seconds=60, every=0.2)
    healed = time.monotonic() - begun
    print(f"healed {healed:.1f} s after the first command")
    assert healed < _HEALED_SECONDS
    assert claims.is_said_fine_for_pods(node)


def test_its_images_come_too(lab: Lab) -> None:
    """Kubelet's back-off is the only delay, and doctor's restart of kubelet has ended that."""
    begun = time.monotonic()
    wait_for(
        "the pod runs", lambda: lab.kubectl("get", "pod", "new").count("Running") == 1, seconds=300
    )
    print(f"the pod whose image could not be pulled runs {time.monotonic() - begun:.1f} s later")


def _to_do(said: str) -> list[str]:
    """Return the commands below ``To do:`` that are for this node."""
    lines = said.partition("To do:\n")[2].splitlines()
    steps = [line.strip() for line in lines if line.startswith("  ")]
    return [step for step in steps if not step.startswith(("or on ", "kubectl "))]


def _why_not(lab: Lab, pod: str, namespace: str = "default") -> str:
    """Return what kubelet says of a pod that does not run."""
    said = json.loads(lab.kubectl("get", "pods", f"--namespace={namespace}", pod, "--output=json"))
    pods = said.get("items", [said])
    states = [
        state["state"].get("waiting", {})
        for one in pods
        for state in one["status"].get("containerStatuses", [])
    ]
    return "; ".join(f"{one.get('reason')}: {one.get('message')}" for one in states if one)
