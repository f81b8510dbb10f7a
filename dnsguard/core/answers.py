"""What a nameserver was asked and what came of it: values only, no DNS library."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from dnsguard.formats.address import IPAddress


class Outcome(StrEnum):
    """What one question to one nameserver came to."""

    ANSWERED = "answered"  # NOERROR or NXDOMAIN: it knows (RFC 1035, RFC 2308)
    FAILED = "failed"  # SERVFAIL, REFUSED, ...: somebody is there but can't tell
    TIMED_OUT = "timed-out"  # nothing came
    UNREACHABLE = "unreachable"  # nobody listens, or no way there: the kernel says so at once
    HUNG = "hung"  # it leaves its questions unread, and does not run: the kernel says so
    MALFORMED = "malformed"  # only what is no answer to this question came, till the time was up


class ProbeKind(StrEnum):
    """What a nameserver is asked for."""

    CLUSTER = "cluster"  # a name that cluster DNS alone knows
    UPSTREAM = "upstream"  # a name any real resolver knows
    EXTERNAL = "external"  # the same name, through NodeLocalDNS
    ONE_TIME = "one-time"  # a name outside that no cache can have, and no stub can make up
    NONSENSE = "nonsense"  # a name beside the cluster's own that nobody has
    CONTROL = "control"  # the cluster's own name, in a domain that nobody has
    HTTP = "http"  # its health URL


NOERROR, REFUSED, NXDOMAIN = 0, 5, 3
"""Response codes (RFC 1035, 4.1.1)."""


class ProbeTarget(NamedTuple):
    """One of the ways in which a server is tried."""

    kind: ProbeKind
    tcp: bool = False

    def __str__(self) -> str:
        return f"{self.kind} over TCP" if self.tcp else self.kind


class Probe(NamedTuple):
    """Whom to ask for what."""

    address: IPAddress
    leg: ProbeTarget


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A name to look up."""

    name: str
    """In presentation format; taken as fully qualified, with or without its last dot."""
    rdtype: str = "A"
    """The record type's mnemonic (RFC 1035, 3.2.2)."""
    ask: ProbeKind = ProbeKind.UPSTREAM


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one nameserver said to one question."""

    address: IPAddress
    outcome: Outcome
    rtt: float | None
    """Seconds from the question to the answer; None where nothing usable came."""
    detail: str
    """For people, to be read after the address: "answers SERVFAIL"."""
    at: float
    """When this was known, in seconds of CLOCK_MONOTONIC."""
    kind: ProbeKind = ProbeKind.UPSTREAM
    tcp: bool = False
    rcode: int | None = None
    """The response code, None where no answer came."""
    has_records: bool = False
    """Whether the answer section holds something (RFC 1035, 4.1.3)."""
    has_asked_type: bool = False
    """Whether a record of the type that was asked for is among them."""
    records: frozenset[IPAddress] = frozenset()
    """The addresses among them."""
    is_authoritative: bool = False
    is_hollow: bool = False
    """It says that all is well and names nothing: it may have made that up."""

    @property
    def leg(self) -> ProbeTarget:
        return ProbeTarget(self.kind, self.tcp)

    @property
    def is_found(self) -> bool:
        """Whether the name exists, with records of this type or without any (NODATA)."""
        return self.outcome is Outcome.ANSWERED and (self.has_records or self.rcode == NOERROR)


def combine(answer: Answer, question: Question) -> Answer:
    """Return the answer for what it is worth about the root, which exists and has NS records.

    systemd-resolved with no server behind it says NOERROR of its own authority and nothing
    else: a node with 127.0.0.53 in dhclient.conf was dead for good by that (issue 13). It may
    also be a forwarder that knows no NS; a one-time name tells.
    """
    if answer.kind is not ProbeKind.UPSTREAM or question.name.strip("."):
        return answer
    if answer.rcode == REFUSED:
        hint = f"{answer.detail}; if it serves other names: upstream.question"
        return replace(answer, detail=hint)
    if answer.outcome is not Outcome.ANSWERED or answer.has_asked_type:
        return answer
    if answer.rcode == NXDOMAIN:
        detail = f"{answer.detail} for the root itself"
        return replace(answer, outcome=Outcome.FAILED, detail=detail)
    return replace(answer, is_hollow=True)
