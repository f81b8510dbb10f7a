"""What is counted while the daemon runs, for dnsguard-metrics(7)."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from dnsguard.core.answers import Answer, ProbeKind, ProbeTarget
from dnsguard.core.model import Mode, NodeLocal
from dnsguard.core.plan import Plan
from dnsguard.formats.address import IPAddress

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0)
"""Upper bounds of the repair histogram's buckets, seconds."""
_ALONE = {ProbeKind.HTTP: "health_url", ProbeKind.ONE_TIME: "one_time"}
_OUTSIDE = dict.fromkeys(ProbeKind, "upstream") | dict.fromkeys(
    (ProbeKind.CLUSTER, ProbeKind.NONSENSE, ProbeKind.CONTROL), "upstream_cluster"
)
"""The labels of questions to upstreams: what any knows, and what none may know."""
CAUSES = (
    "start",
    "nodelocal_healthy",
    *(f"nodelocal_{state}" for state in NodeLocal if state is not NodeLocal.HEALTHY),
    "obstacle",
    "hold",
    "release",
)
"""Why the mode changes: a label, so the reasons for people are no part of it."""


@dataclass(slots=True)
class Counters:
    """They only go up; nothing on the path of a repair but a comparison or two."""

    repairs: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    """Repairs by bucket, the last one without a bound."""
    repair_seconds: float = 0.0
    failed_writes: int = 0
    probes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Answers by probe and outcome."""
    probe_seconds: dict[str, float] = field(default_factory=dict)
    """How long the last answer to each probe took."""
    switches: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Changes of the mode, by the new one and the cause."""
    last_cause: str = CAUSES[0]

    def record_repair(self, seconds: float) -> None:
        """Count a repair that took so long."""
        self.repairs[bisect_left(BUCKETS, seconds)] += 1
        self.repair_seconds += seconds

    def record_answers(self, answers: Iterable[Answer], cluster: Container[IPAddress]) -> None:
        """Count what came of questions; ``cluster`` are the cluster addresses."""
        for answer in answers:
            leg = label(answer.leg) if answer.address in cluster else _OUTSIDE[answer.leg.kind]
            self.probes[leg, str(answer.outcome)] += 1
            if answer.rtt is not None:
                self.probe_seconds[leg] = answer.rtt

    def record_plan(self, before: Plan | None, after: Plan) -> None:
        """Count a change of the mode, if there is one."""
        if before is None or (before.mode, before.hold) != (after.mode, after.hold):
            self.last_cause = cause(before, after)
            self.switches[str(after.mode), self.last_cause] += 1


def label(leg: ProbeTarget) -> str:
    """Return NodeLocalDNS's probe as a label: ``cluster_udp``, ``health_url``."""
    if leg.kind in _ALONE:
        return _ALONE[leg.kind]
    return f"{leg.kind}_{'tcp' if leg.tcp else 'udp'}"


def cause(before: Plan | None, after: Plan) -> str:
    """Return which of CAUSES has changed the mode."""
    if before is None:
        return "start"
    if after.hold is not None:
        return "hold"
    if before.hold is not None:
        return "release"
    if after.mode is Mode.HANDED_OVER:
        return "nodelocal_healthy"
    healthy = after.nodelocal is NodeLocal.HEALTHY
    return "obstacle" if healthy else f"nodelocal_{after.nodelocal}"
