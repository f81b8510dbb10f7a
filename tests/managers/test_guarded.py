"""A poisoned node with dnsguard, through a life: each set-up has one node, in this order."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from boot.kubespray import CLUSTER_ADDRESSES, NODE_LOCAL, POD_FILE
from boot.machine import nameservers
from boot.waiting import wait_for

from managers import asking, belongings, claims, machine, setups, truth
from managers.asking import Answer, Way
from managers.conftest import Table
from managers.lab import Lab
from managers.node import ManagedNode
from managers.setup import RESOLV_CONF

pytestmark = pytest.mark.managers

STARTS = int(os.environ.get("DNSGUARD_COREDNS_STARTS", "20"))
_GATE = "dnsguard-wait.service"
_CASE = "/etc/lab/for-pods.conf"
_PATIENCE = 10.0
"""Seconds for what takes two at the most on a machine of one's own: the table says how long."""
_SLOW = 2.0
"""Seconds that no answer may take once a dead NodeLocalDNS is out of the way."""


@pytest.fixture
def node(guarded: Lab) -> ManagedNode:
    """Return the set-up's node, running."""
    if not guarded.node.is_running:
        guarded.node.start()
    return guarded.node


def test_every_way_resolves_from_the_first_moment_with_a_route(guarded: Lab, table: Table) -> None:
    """A poisoned reboot with no memory of better days, and then one with it."""
    node = guarded.node
    for moment in ("first poisoned reboot", "second poisoned reboot"):
        is_gated = guarded.setup.needs_gate and moment.startswith("first")
        machine.switch(node.tree, "enable" if is_gated else "disable", _GATE)
        start = node.start()
        now = node.ask()
        table(f"{moment}, first moment", start.answers)
        table(moment, now)
        claims.nothing(f"dead at the first moment of the {moment}", asking.dead(start.answers))
        claims.nothing(f"dead after the {moment}", asking.dead(now))
        if moment.startswith("first"):
            node.shut_down()


def test_status_and_check_are_true_after_the_reboot(node: ManagedNode) -> None:
    """OK is said where everything works and no pod gets a dead end, and nowhere else."""
    claims.nothing("untrue", _settled(node))


def test_the_file_for_pods_kills_no_coredns(node: ManagedNode) -> None:
    """Neither the one that kubelet gives nor dnsguard's own.

    Where it still gives a poisoned one, which is kubelet's to change, that is said.
    """
    ours = node.restart_coredns(node.reread(POD_FILE), STARTS)
    assert (ours.deaths, ours.undecided) == (0, 0), f"{ours}\n{ours.log}"
    given = node.restart_coredns(node.pods_file(), STARTS)
    if given.deaths or given.undecided:
        check = node.try_("dnsguard", "check")
        assert check.returncode != 0, f"{given}, yet: {check.stdout}\n{given.log}"
    assert given.deaths == 0, f"{given}\n{given.log}"


def test_a_node_whose_pods_get_its_own_list_is_not_handed_into_a_loop(
    node: ManagedNode, table: Table
) -> None:
    """NodeLocalDNS healthy, kubelet as Kubespray left it: pods' file stays free of the cluster."""
    with _nodelocaldns(node):
        _wait_for_state(node, "healthy")
        table("NodeLocalDNS healthy", node.ask())
        given = node.pods_file()
        # A stub on loopback was there before, is said by check, and is kubelet's to change.
        inside = [one for one in nameservers(given) if one in CLUSTER_ADDRESSES]
        claims.nothing("pods get", inside)
        claims.nothing("untrue", _settled(node))
    starts = node.restart_coredns(given, STARTS)
    assert starts.deaths == 0, f"{starts}\n{starts.log}"


def test_a_healthy_nodelocaldns_gets_the_node(node: ManagedNode, table: Table) -> None:
    """Pods get dnsguard's file: all ways resolve names of the cluster, and others; pods don't loop."""
    with _pods_get_ours(node), _nodelocaldns(node):
        node.wait_for_mode("handed-over")
        inside, outside = node.ask_cluster(), node.ask()
        counted = {way: inside[way] for way in node.setup.cluster_ways}
        table("handed over, cluster's names", inside)
        table("handed over", outside)
        given = node.pods_file()
        claims.nothing("dead for names of the cluster", asking.dead(counted))
        claims.nothing("dead", asking.dead(outside))
        claims.nothing("untrue", _settled(node))
    starts = node.restart_coredns(given, STARTS)
    assert starts.deaths == 0, f"{starts}\n{starts.log}"


def test_a_killed_nodelocaldns_loses_the_node(node: ManagedNode, table: Table) -> None:
    """Its address stays bound, and every way resolves without it."""
    with _pods_get_ours(node), _nodelocaldns(node):
        node.wait_for_mode("handed-over")
        node.kill_nodelocaldns()
        node.wait_for_mode("guarding", seconds=_PATIENCE)
        answers = node.ask()
        table("NodeLocalDNS killed", answers)
        claims.nothing("dead", asking.dead(answers))
        claims.nothing("slow", _slow(answers))
        claims.nothing("untrue", _settled(node))


def test_a_hanging_nodelocaldns_loses_the_node(node: ManagedNode, table: Table) -> None:
    """Its socket is there and nobody reads from it."""
    with _pods_get_ours(node), _nodelocaldns(node):
        node.wait_for_mode("handed-over")
        node.hang_nodelocaldns()
        node.wait_for_mode("guarding", seconds=_PATIENCE)
        answers = node.ask()
        table("NodeLocalDNS hangs", answers)
        journal = node.run("journalctl", "--unit=dnsguard", "--boot", "--no-pager")
        claims.nothing("untold", [] if "169.254.25.10 hangs: " in journal else [journal])
        node.resume_nodelocaldns()
        claims.nothing("dead", asking.dead(answers))
        claims.nothing("slow", _slow(answers))


def test_a_renewal_is_followed_and_the_retired_server_gone(
    guarded: Lab, node: ManagedNode, table: Table
) -> None:
    """Though it goes on answering: nobody asks it, pods don't get it; from the reboot on, too."""
    if not guarded.setup.has_lease:
        pytest.skip("no lease, nothing to renew")
    outside = guarded.outside
    if not guarded.setup.renew:
        node.shut_down()
        outside.renew_every(5)
        node.start()
    outside.hand_out(guarded.setup.second)
    try:
        node.renew()
        start = time.monotonic()
        claims.nothing(
            "still with the retired server", _wait_until_unused(guarded, guarded.setup.first)
        )
        answers = node.ask()
        table(f"renewed, followed in {time.monotonic() - start:.1f} s", answers)
        claims.nothing("dead", asking.dead(answers))
        claims.nothing("untrue", _settled(node))
        node.shut_down()
        node.start()
        claims.nothing(
            "with the retired server after a reboot",
            _wait_until_unused(guarded, guarded.setup.first),
        )
    finally:
        outside.renew_every(None)
        outside.hand_out(guarded.setup.first)
        if node.is_running:
            node.shut_down()
        node.start()  # with a lease that says so


def test_a_stopped_guard_leaves_a_node_that_resolves(node: ManagedNode, table: Table) -> None:
    """Killed with -9 as well: whatever becomes of NodeLocalDNS then."""
    with _pods_get_ours(node), _nodelocaldns(node):
        node.wait_for_mode("handed-over")
        node.run("systemctl", "stop", "dnsguard.service")
        node.kill_nodelocaldns()
        answers = node.ask()
        table("guard stopped, NodeLocalDNS killed", answers)
        node.run("systemctl", "start", "dnsguard.service")
        claims.nothing("dead", asking.dead(answers))


def test_the_forecast_comes_true(node: ManagedNode) -> None:
    """What resolv.conf says after a reboot is what was said before; or nothing was."""
    told = truth.foresee(node, "with")
    node.shut_down()
    node.start()
    claims.nothing("untrue", _find_lies(node, told))


def test_doctor_knows_the_files_that_kill_coredns(guarded: Lab, node: ManagedNode) -> None:
    """Cluster DNS alone and beside a real server, the pod itself, nobody; and not the real one."""
    if guarded.setup is not setups.STATIC:
        pytest.skip("any node tells: static does")
    real = f"nameserver {guarded.setup.first}\n"
    poison = f"nameserver {NODE_LOCAL}\n"
    texts = (real, poison, poison + real, "nameserver 127.0.0.1\n", "search lab.test\n")
    try:
        for text in texts:
            node.run("sh", "-c", f"printf '%s' '{text}' > {_CASE}")
            node.give_pods(_CASE)
            doctor, kubelet = (node.try_("dnsguard", one) for one in ("doctor", "kubelet"))
            starts = node.restart_coredns(text, STARTS)
            said = f"{text!r}: {starts}\n{doctor.stdout}\n{kubelet.stdout}\n{starts.log}"
            lives = starts.deaths == starts.undecided == 0
            assert (doctor.returncode == 0, kubelet.returncode == 0) == (lives, lives), said
    finally:
        node.give_pods(guarded.setup.kubelet_reads)


def test_a_purge_gives_the_manager_its_node_back(
    guarded: Lab, node: ManagedNode, table: Table
) -> None:
    """The link is there again, nothing of ours is, and names resolve.

    The next boot brings what the forecast has said of one without dnsguard.
    """
    told = truth.foresee(node, "without")
    node.run("dpkg", "--purge", "dnsguard")
    answers = node.ask()
    table("purged", answers)
    claims.nothing("left behind", belongings.leftovers(node))
    link = guarded.setup.resolv_conf.link
    assert node.try_("readlink", RESOLV_CONF).stdout.strip() == (link or "")
    claims.nothing("dead", asking.dead(answers))
    node.shut_down()
    node.start_unasked()
    claims.nothing("untrue", _find_lies(node, told))


def _find_lies(node: ManagedNode, told: truth.Forecast) -> list[str]:
    """Give what was foreseen its time, an RDNSS some seconds; return what did not come true."""
    lies: list[str] = []

    def is_so() -> bool:
        lies[:] = told.find_lies(truth.whom_it_asks(node))
        return not lies

    with suppress(TimeoutError):
        wait_for("what was foreseen", is_so, seconds=10)
    return lies


@contextmanager
def _pods_get_ours(node: ManagedNode) -> Iterator[None]:
    node.give_pods(POD_FILE)
    try:
        yield
    finally:
        node.give_pods(node.setup.kubelet_reads)


@contextmanager
def _nodelocaldns(node: ManagedNode) -> Iterator[None]:
    """Run NodeLocalDNS; afterwards it and its addresses are gone, and the guard knows."""
    node.start_nodelocaldns()
    try:
        yield
    finally:
        node.resume_nodelocaldns()
        node.stop_nodelocaldns()
    node.wait_for_mode("guarding")


def _wait_for_state(node: ManagedNode, state: str) -> None:
    def is_so() -> bool:
        return bool(node.status().get("nodelocal", {}).get("state") == state)

    wait_for(f"NodeLocalDNS {state}", is_so, seconds=20)


def _settled(node: ManagedNode) -> list[str]:
    """Return what is untrue once the guard has had time to look: nothing, if all is well."""
    try:
        wait_for("the truth", lambda: not truth.look(node).lies, seconds=10)
    except TimeoutError:
        return truth.look(node).lies
    return []


def _slow(answers: dict[Way, Answer]) -> dict[Way, str]:
    return {way: str(one) for way, one in answers.items() if one.seconds > _SLOW}


def _wait_until_unused(lab: Lab, server: str) -> list[str]:
    """Wait until nobody asks it; return who does so all the same."""
    try:
        wait_for("the renewal", lambda: not _followers_of(lab, server), seconds=_PATIENCE)
    except TimeoutError:
        return _followers_of(lab, server)
    return []


def _followers_of(lab: Lab, server: str) -> list[str]:
    """Return who still asks, or names, this server."""
    answers = lab.node.ask()
    asking_it = [
        str(way) for way, one in answers.items() if lab.outside.was_asked(server, one.name)
    ]
    files = dict.fromkeys((RESOLV_CONF, POD_FILE, lab.setup.kubelet_reads))
    return asking_it + [path for path in files if server in lab.node.named_by(path)]
