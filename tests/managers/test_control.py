"""The control: what becomes of a poisoned node, and of a healthy one, without dnsguard."""

import pytest

from managers import asking, claims
from managers.conftest import Table
from managers.lab import Lab

pytestmark = pytest.mark.managers

STARTS, ROUNDS = 20, 4
"""A start dies where CoreDNS, which chooses by lot, has forwarded its own question to itself twice: one
in four beside an upstream. All 20 lived in one run of the ring."""


def test_a_healthy_node_resolves_and_its_pods_live(lab: Lab, table: Table) -> None:
    """The lab is right: without Kubespray everything works, and CoreDNS with the pods' file."""
    node, setup = lab.node, lab.setup
    node.start()
    answers = node.ask(setup.works_when_healthy)
    table("healthy", answers)

    claims.nothing("dead", asking.dead(answers))
    assert node.named_by("/etc/resolv.conf") == list(setup.nameservers)
    starts = node.restart_coredns(node.pods_file(), STARTS)
    assert starts.deaths == 0, starts.log


def test_a_poisoned_reboot_kills_what_is_said_of_it(lab: Lab, table: Table) -> None:
    """These ways and no others are dead, and CoreDNS dies by ``loop`` where that is said."""
    node, control = lab.node, lab.setup.control
    node.poison()
    node.start()
    answers = node.ask()
    table("poisoned reboot", answers)

    assert asking.dead(answers).keys() == control.dead
    for _ in range(ROUNDS if control.loops else 1):
        starts = node.restart_coredns(node.pods_file(), STARTS)
        print(starts)
        if starts.deaths:
            break
    assert (starts.deaths > 0) is control.loops, starts.log
