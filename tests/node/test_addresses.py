"""Cluster DNS at an address of one's own (Kubespray: ``kube_service_addresses``).

dhclient.conf names it, and by that the lease and the file; nothing says that it is the
cluster's. The tests share one node and go in this order.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from boot.kubespray import CLUSTER_DNS
from boot.machine import nameservers
from boot.waiting import wait_for
from managers.outside import FIRST

from node import claims, manifests
from node.lab import Lab
from node.shapes import OWN_ADDRESSES, UNKNOWN

pytestmark = pytest.mark.node

SHAPE = OWN_ADDRESSES
_SILENT_SECONDS = 60.0
_LOOK_EVERY = 0.01


def test_without_dnsguard_it_is_all_that_is_left(lab: Lab) -> None:
    """The control: the first poisoned reboot."""
    lab.cluster.control_plane.apply(manifests.cluster_dns("coredns-own", UNKNOWN))
    lab.kubectl("delete", "service", "--namespace=kube-system", "coredns")
    node = lab.node
    node.start()
    wait_for("dhclient has poisoned it", lambda: node.nameservers() == [UNKNOWN], seconds=30)
    wait_for("a pod has it", lambda: node.servers_of_sandbox("coredns") == [UNKNOWN], seconds=60)
    node.cut_power()


@pytest.mark.parametrize("boot", ["with its upstream", "once more"])
def test_it_is_never_used(lab: Lab, deb: Path, boot: str) -> None:
    """Neither in resolv.conf, from the guard's first look on, nor in a pod."""
    node = lab.node
    if boot == "with its upstream":
        node.install(deb)
    with _watched(lab) as seen:
        node.start()
        claims.wait_for_both(node, FIRST, seconds=90)
        wait_for("a pod resolves", lambda: claims.app_resolves(node), seconds=60, every=0.2)
    _assert_never_used(lab, seen)
    assert node.nameservers() == [FIRST]
    node.cut_power()


def test_it_is_never_used_while_the_upstream_is_silent(lab: Lab) -> None:
    """For the first minute of the boot: it alone would answer, and it loops."""
    node = lab.node
    with _watched(lab) as seen, lab.cluster.silent(FIRST):
        node.start()
        wait_for(
            "a minute of silence",
            lambda: node.since_power_on() > _SILENT_SECONDS,
            seconds=_SILENT_SECONDS + 10,
        )
    _assert_never_used(lab, seen)
    with _watched(lab) as seen:
        claims.wait_for_both(node, FIRST, seconds=120)
        wait_for("a pod resolves", lambda: claims.app_resolves(node), seconds=120, every=0.5)
    _assert_never_used(lab, seen)
    node.cut_power()


def test_nor_at_the_next_reboot(lab: Lab) -> None:
    """What was learned in silence has not made it an upstream."""
    node = lab.node
    with _watched(lab) as seen:
        node.start()
        claims.wait_for_both(node, FIRST, seconds=90)
        wait_for("a pod resolves", lambda: claims.app_resolves(node), seconds=60, every=0.2)
    _assert_never_used(lab, seen)
    assert claims.is_said_fine_for_pods(node)
    told = node.run("dnsguard", "upstreams")
    print(told)


class _Seen:
    """What resolv.conf named, look by look, since the guard's first repair."""

    def __init__(self) -> None:
        self.servers: dict[str, float] = {}
        self.looks = 0
        self.begun = time.time()


@contextmanager
def _watched(lab: Lab) -> Iterator[_Seen]:
    """Look at resolv.conf all the time."""
    seen, ends = _Seen(), Event()

    def look() -> None:
        while not ends.wait(_LOOK_EVERY):
            named = lab.node.nameservers()
            seen.looks += 1
            if seen.servers or UNKNOWN not in named:
                for one in named:
                    seen.servers.setdefault(one, time.time() - seen.begun)

    thread = Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        ends.set()
        thread.join()


def _assert_never_used(lab: Lab, seen: _Seen) -> None:
    """Assert it of the file, look by look, and of all sandboxes that were made meanwhile."""
    print(f"{seen.looks} looks at resolv.conf: {seen.servers}")
    assert not {UNKNOWN, CLUSTER_DNS} & seen.servers.keys()
    for file in lab.node.sandbox_files():
        if file.stat().st_mtime >= seen.begun:
            named = nameservers(file.read_text())
            assert not {UNKNOWN, CLUSTER_DNS} & set(named), (file, named)
