"""First, do no harm: two lives of a node that Kubespray never saw, without dnsguard and with it."""

import difflib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from boot.waiting import wait_for

from managers import asking, belongings, claims
from managers.conftest import Table
from managers.lab import Lab

pytestmark = pytest.mark.managers

_NETWORK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Moment:
    """What was so at a moment of a life."""

    name: str
    belongings: str
    dead: dict[asking.Way, str]


def test_a_healthy_node_lives_as_it_would_without_dnsguard(
    twins: tuple[Lab, Lab], table: Table
) -> None:
    """Three boots, a renewal, NodeLocalDNS and its end, the guard's stop and its removal.

    At each moment the link, the file and all that is the manager's are the same, byte for byte,
    and names resolve.
    """
    # Step by step in one thread: with the one that started them nodes end (PR_SET_PDEATHSIG).
    lives = (_live(lab, has_guard=i == 1, tell=table) for i, lab in enumerate(twins))
    differences = [_compare(without, guarded) for without, guarded in zip(*lives, strict=True)]
    claims.nothing("not as without dnsguard", [one for one in differences if one])


def _live(lab: Lab, *, has_guard: bool, tell: Table) -> Iterator[Moment]:
    node, ways = lab.node, lab.setup.works_when_healthy

    def moment(name: str) -> Moment:
        answers = node.ask(ways)
        if has_guard:
            tell(f"healthy: {name}", answers)
        owned = belongings.look(node)
        return Moment(name, owned, asking.dead(answers))

    for boot in ("first", "second", "third"):
        first_moment = _boot(lab, boot)
        yield Moment(f"{boot} boot, first moment", "", first_moment)
        yield moment(f"{boot} boot")
    if lab.setup.has_lease:
        lab.outside.hand_out(lab.setup.second)
        node.renew()
        wait_for("the renewal", lambda: _is_followed(lab), seconds=10)
        _wait_for_network(lab, is_renewed=True)
        yield moment("renewed")
    node.start_nodelocaldns()
    _wait_for_verdict(lab, "healthy", has_guard=has_guard)
    yield moment("NodeLocalDNS healthy")
    node.stop_nodelocaldns()
    _wait_for_verdict(lab, "absent", has_guard=has_guard)
    yield moment("NodeLocalDNS gone")
    for name, command in _ENDS.items():
        if has_guard:
            node.run(*command.split())
        yield moment(name)
    _boot(lab, "last")
    yield moment("rebooted without it")


_ENDS = {
    "guard stopped": "systemctl stop dnsguard.service",
    "guard removed": "dpkg --remove dnsguard",
}


def _boot(lab: Lab, which: str) -> dict[asking.Way, str]:
    """Boot, or reboot; return the ways that were dead at the first moment with a route."""
    if lab.node.is_running:
        lab.node.shut_down()
    if which == "third" and not lab.setup.renew:
        lab.outside.renew_every(5)
    answers = lab.node.start().answers
    _wait_for_network(lab, is_renewed=which == "last")
    ways = lab.setup.works_when_healthy
    return asking.dead({way: one for way, one in answers.items() if way in ways})


def _wait_for_network(lab: Lab, *, is_renewed: bool) -> None:
    """Let whoever has not spoken yet, as a router, speak; where that changes nothing, go on.

    And the guard ask a new server: one that does not answer at once, on a busy machine, gives way
    for a moment to the one that did.
    """
    renewed = {lab.setup.first: lab.setup.second} if is_renewed and lab.setup.has_lease else {}
    named = [renewed.get(one, one) for one in lab.setup.nameservers]
    if lab.setup.raced:
        return

    def is_settled() -> bool:
        upstream = lab.node.status().get("upstream", {})
        is_verified = upstream.get("state", "verified") == "verified"
        return is_verified and lab.node.named_by("/etc/resolv.conf") == named

    with suppress(TimeoutError):  # the comparison says more
        wait_for("all", is_settled, seconds=_NETWORK_SECONDS)


def _compare(without: Moment, guarded: Moment) -> str:
    """Return where the second life parts from the first, for people; empty: nowhere."""
    pair = (without.belongings.splitlines(), guarded.belongings.splitlines())
    lines = [*difflib.unified_diff(*pair, "without dnsguard", "with dnsguard", lineterm="", n=1)]
    new = {way: said for way, said in guarded.dead.items() if way not in without.dead}
    if new:
        lines.append(f"only with dnsguard dead: {new}")
    return "\n".join([f"{without.name}:", *lines]) if lines else ""


def _is_followed(lab: Lab) -> bool:
    answers = lab.node.ask(lab.setup.works_when_healthy)
    return any(lab.outside.was_asked(lab.setup.second, one.name) for one in answers.values())


def _wait_for_verdict(lab: Lab, state: str, *, has_guard: bool) -> None:
    def is_so() -> bool:
        return bool(lab.node.status().get("nodelocal", {}).get("state") == state)

    if has_guard:
        wait_for(f"NodeLocalDNS {state}", is_so, seconds=20)
