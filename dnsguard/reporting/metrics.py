"""The metrics as values; dnsguard-metrics(7) is their reference.

All label values are from closed sets: no address and no file name is one, so that a
cluster of a thousand nodes stays cheap to scrape.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate

from dnsguard.core.model import Mode, NodeLocal, UpstreamState
from dnsguard.reporting.counters import BUCKETS, CAUSES, Counters
from dnsguard.reporting.status import NodeLocalStatus, Status


class Kind(StrEnum):
    """Prometheus' types."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Sample:
    """One time series; ``suffix`` is of histograms."""

    labels: Mapping[str, str]
    value: float
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: a counter's name ends in ``_total``."""

    name: str
    kind: Kind
    about: str
    samples: tuple[Sample, ...]


def metrics(status: Status, counters: Counters) -> tuple[Family, ...]:
    """Return all metrics of a status and the counts."""
    return tuple(_families(status, counters))


def _families(status: Status, counters: Counters) -> Iterator[Family]:
    yield _gauge("build_info", "Version of the daemon.", (_one(1, version=status.dnsguard),))
    yield from _mode(status, counters)
    yield from _nodelocal(status.nodelocal, counters)
    yield from _upstreams(status)
    yield from _file(status, counters)
    wrong = len(status.degraded)
    yield _gauge("degraded_reasons", "What is wrong; 0 is fine.", (_one(wrong),))
    yield _gauge(
        "last_look_timestamp_seconds",
        "When the daemon looked last; it looks at least every 5 seconds.",
        (_one(status.looked_at),),
    )


def _mode(status: Status, counters: Counters) -> Iterator[Family]:
    yield _gauge("mode", "Who serves the node: 1 for its mode.", _states(Mode, status.mode))
    yield _gauge("mode_seconds", "Seconds in this mode.", (_one(status.mode_seconds),))
    yield _gauge(
        "last_switch_timestamp_seconds",
        "When the mode changed last, or the daemon started.",
        (_one(status.mode_since),),
    )
    causes = tuple(_one(one == counters.last_cause, cause=one) for one in CAUSES)
    yield _gauge("last_switch_cause", "Why it did: 1 for the cause.", causes)
    switches = (_one(n, mode=to, cause=why) for (to, why), n in counters.switches.items())
    yield _counter("switches_total", "Changes of the mode.", tuple(switches))


def _nodelocal(nodelocal: NodeLocalStatus, counters: Counters) -> Iterator[Family]:
    states = _states(NodeLocal, nodelocal.state)
    yield _gauge("nodelocal_state", "How NodeLocalDNS is: 1 for its state.", states)
    results = (_one(n, leg=leg, outcome=out) for (leg, out), n in counters.probes.items())
    yield _counter("probe_results_total", "What came of questions, by leg.", tuple(results))
    took = (_one(seconds, leg=leg) for leg, seconds in counters.probe_seconds.items())
    yield _gauge("probe_rtt_seconds", "How long the last answer took, by leg.", tuple(took))


def _upstreams(status: Status) -> Iterator[Family]:
    servers = status.upstream.servers
    counts = {
        "known": len(servers),
        "usable": sum(one.usable for one in servers),
        "in_use": sum(one.in_use for one in servers),
    }
    named = tuple(_one(count, state=state) for state, count in counts.items())
    yield _gauge("upstreams", "Nameservers outside the cluster.", named)
    states = _states(UpstreamState, status.upstream.state)
    yield _gauge("upstream_state", "How far they can be trusted: 1 for the state.", states)
    answered = [one.answered_ago for one in servers if one.answered_ago is not None]
    about = "Seconds since one answered last; missing while none has."
    yield _gauge("upstream_age_seconds", about, tuple(_one(ago) for ago in sorted(answered)[:1]))
    in_pods = status.pod_file.nameservers
    about = "Nameservers in the file for kubelet."
    yield _gauge("pod_file_nameservers", about, (_one(len(in_pods)),))


def _file(status: Status, counters: Counters) -> Iterator[Family]:
    by_writer = status.tramples.by_writer
    tramples = tuple(_one(n, writer=who) for who, n in by_writer.items())
    about = "Foreign writes over the guarded file, by who did it as far as can be told."
    yield _counter("tramples_total", about, tramples or (_one(0, writer="unknown"),))
    yield _repairs(counters)
    about = "Times that resolv.conf could not be written."
    yield _counter("write_failures_total", about, (_one(counters.failed_writes),))
    hazards = status.dhclient.hazards
    counts = {flag: sum(one.defused is flag for one in hazards) for flag in (True, False)}
    about = "Places in dhclient's files that would poison resolv.conf."
    found = tuple(_one(n, defused=str(flag).lower()) for flag, n in counts.items())
    yield _gauge("dhclient_hazards", about, found)


def _repairs(counters: Counters) -> Family:
    bounds = (*(f"{bound:g}" for bound in BUCKETS), "+Inf")
    sums = tuple(accumulate(counters.repairs))
    buckets = (_one(n, "_bucket", le=le) for le, n in zip(bounds, sums, strict=True))
    rest = (_one(sums[-1], "_count"), _one(counters.repair_seconds, "_sum"))
    about = "From the daemon's wake-up by the kernel to the repaired file."
    return Family("dnsguard_repair_seconds", Kind.HISTOGRAM, about, (*buckets, *rest))


def _gauge(name: str, about: str, samples: tuple[Sample, ...]) -> Family:
    return Family(f"dnsguard_{name}", Kind.GAUGE, about, samples)


def _counter(name: str, about: str, samples: tuple[Sample, ...]) -> Family:
    return Family(f"dnsguard_{name}", Kind.COUNTER, about, samples)


def _states(states: type[StrEnum], current: StrEnum) -> tuple[Sample, ...]:
    label = "mode" if states is Mode else "state"
    return tuple(Sample({label: state}, float(state is current)) for state in states)


def _one(value: float, suffix: str = "", **labels: object) -> Sample:
    return Sample({name: str(label) for name, label in labels.items()}, float(value), suffix)
