"""docs/states.md says what is decided: its tables are run against the policy."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import product

from dnsguard.core import (
    decide,
    learn,
)
from dnsguard.core.backoff import FlapDamping
from dnsguard.core.health import ONE_TIME, Health, ProbeStreak
from dnsguard.core.hold import Serves
from dnsguard.core.memory import Memory
from dnsguard.core.model import Candidate, Found, Mode, NodeLocal, Source, UpstreamState
from dnsguard.core.observation import FileObservation, Identity, Observation, PodsFile
from dnsguard.core.plan import Plan, ReplaceFile, RestoreLink
from dnsguard.core.policy import HandoverMode
from dnsguard.core.probe_record import ProbeRecord
from dnsguard.formats import guarded_resolvconf, resolvconf
from dnsguard.formats.address import IPAddress
from static.states import NODELOCAL_ADDRESS, POLICY, UPSTREAM, Row, _fits, _tables, check_claims

PLAIN, CLEAN, POISONED, TAKEN = "a file", "a clean link", "a poisoned link", "in its place"
"""What resolv.conf is: a manager's link, or a file of ours in the place of one that is clean."""
_MANAGED = "../run/NetworkManager/resolv.conf"
_POISON = f"nameserver {NODELOCAL_ADDRESS}\n".encode()
_CLEAN = f"nameserver {UPSTREAM}\n".encode()


def _decided(  # noqa: PLR0913 -- each a fact of the table
    was: Mode,
    nodelocal: NodeLocal,
    upstream: UpstreamState,
    pods: str,
    handover: HandoverMode,
    *,
    is_held: bool,
    is_proven: bool,
    mark: bytes = b"",
    kind: str = PLAIN,
    is_last: bool = False,
) -> Plan:
    """Return what is decided in one small world, whose file names the node-local address only.

    :param mark: what stands before that line.
    :param kind: what resolv.conf is.
    :param is_last: whether dnsguard is stopped.
    """
    unbound = nodelocal in (NodeLocal.UNKNOWN, NodeLocal.ABSENT)
    health = Health(
        address=None if unbound else NODELOCAL_ADDRESS,
        state=nodelocal,
        streaks={ONE_TIME: ProbeStreak(successes=1, heard_at=1.0)} if is_proven else {},
    )
    answered = ProbeRecord(
        answered_at=0.0, cleared_at=0.0, asked_at=0.0, rtt=0.001, detail="answers NOERROR"
    )
    found = Candidate(address=UPSTREAM, source=Source.LEASE, origin="", seen=0.0)
    bound = {
        NodeLocal.UNKNOWN: None,
        NodeLocal.ABSENT: frozenset[IPAddress](),
    }.get(nodelocal, frozenset({NODELOCAL_ADDRESS}))
    file = _make_file(mark + _POISON, kind)
    _, plan = decide.decide(
        Memory(
            serves=Serves.NODELOCAL if was is Mode.HANDED_OVER else Serves.UPSTREAM,
            mode_since=0.0,
            health=health,
            probe_records={UPSTREAM: answered} if upstream is UpstreamState.VERIFIED else {},
            flaps=FlapDamping(count=1, broke_at=1.0) if is_held else FlapDamping(),
        ),
        Observation(
            now=1.0,
            wall=1.0,
            file=file,
            link_target=FileObservation(content=_CLEAN) if kind == TAKEN else None,
            is_last=is_last,
            bound=bound,
            found=Found(candidates=() if upstream is UpstreamState.NONE else (found,)),
            pods=None
            if pods in ("none", "unclear")
            else PodsFile(path=pods, nameservers=(UPSTREAM,)),
            pods_doubt="no kubelet is understood" if pods == "unclear" else None,
        ),
        replace(POLICY, handover=handover),
    )
    assert (plan.nodelocal, plan.upstream) == (nodelocal, upstream)
    return plan


def _make_file(text: bytes, kind: str) -> FileObservation:
    identity = Identity(1, 1, 1, 1, 1)
    if kind in (CLEAN, POISONED):
        said = _CLEAN if kind == CLEAN else text
        return FileObservation(content=said, identity=identity, link=_MANAGED, leads_away=True)
    marker = guarded_resolvconf.LINK + _MANAGED.encode() + b"\n"
    return FileObservation(content=marker * (kind == TAKEN) + text, identity=identity)


_JUDGED = (Mode.GUARDING, Mode.HANDED_OVER)
"""What is not pinned; a hold is in tests/unit/test_decide.py."""


@cache
def _worlds() -> tuple[tuple[Row, Plan], ...]:
    return tuple(_find_worlds())


def _find_worlds() -> Iterator[tuple[Row, Plan]]:
    pods = (learn.RESOLV_CONF, "/var/lib/dnsguard/resolv.conf", "none", "unclear")
    both = (False, True)
    kinds = (PLAIN, CLEAN, POISONED, TAKEN)
    files = (*((kind, False) for kind in kinds), (PLAIN, True))
    for was, nodelocal, upstream, read, handover, is_held, is_proven, (kind, is_last) in product(
        _JUDGED, NodeLocal, UpstreamState, pods, HandoverMode, both, both, files
    ):
        if kind in (CLEAN, TAKEN) and upstream is UpstreamState.NONE:
            continue  # what the link leads to names one
        world = {
            "was": str(was),
            "NodeLocalDNS": str(nodelocal),
            "upstream": str(upstream),
            "for pods": read,
            "handover.mode": str(handover),
            "hold-down": "runs" if is_held else "over",
            "one-time name": "answered" if is_proven else "open",
            "resolv.conf is": kind,
            "dnsguard": "stops" if is_last else "runs",
        }
        yield (
            world,
            _decided(
                was,
                nodelocal,
                upstream,
                read,
                handover,
                is_held=is_held,
                is_proven=is_proven,
                kind=kind,
                is_last=is_last,
            ),
        )


def test_the_modes_in_states_md_are_those_decided() -> None:
    """Every world of these facts ends in the mode, and for the reason, that its row names."""

    def outcome(world: Row, plan: Plan) -> Row:
        reason = dict(plan.because)["handover"]
        rows = (row["because"] for row in _tables()["Mode"] if _fits(row, world))
        claimed = next(rows, "")
        return {"becomes": plan.mode, "because": claimed if reason.startswith(claimed) else reason}

    check_claims("Mode", ((world, outcome(world, plan)) for world, plan in _worlds()))


def test_the_files_in_states_md_are_those_planned() -> None:
    """What becomes of a poisoned file is what the row of the mode after the look names."""

    def world_of(world: Row, plan: Plan) -> Row:
        facts = ("NodeLocalDNS", "upstream", "resolv.conf is")
        return {"mode": plan.mode, **{name: world[name] for name in facts}}

    check_claims(
        "The file",
        ((world_of(world, plan), {"resolv.conf": _file(plan)}) for world, plan in _worlds()),
    )


def test_what_is_given_back_in_states_md_is_what_is_planned() -> None:
    """What becomes of a held-back line where no upstream is known is what its row names."""
    pods = (learn.RESOLV_CONF, "/var/lib/dnsguard/resolv.conf", "none", "unclear")

    def planned(nodelocal: NodeLocal, read: str, handover: HandoverMode) -> str:
        none, mark = UpstreamState.NONE, guarded_resolvconf.HELD
        return _file(
            _decided(
                Mode.GUARDING,
                nodelocal,
                none,
                read,
                handover,
                is_held=False,
                is_proven=False,
                mark=mark,
            )
        )

    check_claims(
        "The last server",
        (
            (
                {"NodeLocalDNS": str(nodelocal), "for pods": read, "handover.mode": str(handover)},
                {"resolv.conf": planned(nodelocal, read, handover)},
            )
            for nodelocal in NodeLocal
            for read in pods
            for handover in HandoverMode
        ),
    )


def _file(plan: Plan) -> str:
    if isinstance(plan.write, RestoreLink):
        return "is a link again"
    written = [action for action in plan.actions if isinstance(action, ReplaceFile)]
    if not written:
        return "is left as it is"
    named = tuple(server.address for server in resolvconf.read_nameservers(written[0].content))
    return {
        (): "names no nameserver",
        (NODELOCAL_ADDRESS,): "names NodeLocalDNS",
        (UPSTREAM,): "names upstreams",
        (NODELOCAL_ADDRESS, UPSTREAM): "names NodeLocalDNS, then upstreams",
    }[named]
