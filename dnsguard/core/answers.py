"""What a nameserver was asked and what came of it: values only, no DNS library."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from dnsguard.core.address import IPAddress


class Outcome(StrEnum):
    """What one question to one nameserver came to."""

    ANSWERED = "answered"  # NOERROR or NXDOMAIN: it knows (RFC 1035, RFC 2308)
    FAILED = "failed"  # SERVFAIL, REFUSED, ...: somebody is there but can't tell
    TIMED_OUT = "timed-out"  # nothing came
    UNREACHABLE = "unreachable"  # nobody listens, or no way there: the kernel says so at once
    MALFORMED = "malformed"  # only what is no answer to this question came, till the time was up


class Ask(StrEnum):
    """What a nameserver is asked for."""

    CLUSTER = "cluster"  # a name that cluster DNS alone knows
    UPSTREAM = "upstream"  # a name any real resolver knows
    EXTERNAL = "external"  # the same name, through NodeLocalDNS
    ONE_TIME = "one-time"  # through NodeLocalDNS, a name outside that no cache can have
    HTTP = "http"  # its health URL


class Leg(NamedTuple):
    """One of the ways in which a server is tried."""

    ask: Ask
    tcp: bool = False

    def __str__(self) -> str:
        return f"{self.ask} over TCP" if self.tcp else self.ask


class Query(NamedTuple):
    """Whom to ask for what."""

    address: IPAddress
    leg: Leg


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A name to look up."""

    name: str
    """In presentation format; taken as fully qualified, with or without its last dot."""
    rdtype: str = "A"
    """The record type's mnemonic (RFC 1035, 3.2.2)."""
    ask: Ask = Ask.UPSTREAM


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
    ask: Ask = Ask.UPSTREAM
    tcp: bool = False
    has_records: bool = False
    """Whether the name was found: the answer section holds something (RFC 1035, 4.1.3)."""

    @property
    def leg(self) -> Leg:
        return Leg(self.ask, self.tcp)
