"""What is asked of the daemon and commanded over the control socket."""

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Protocol

from dnsguard import __version__
from dnsguard.control import Answer, Command, Data, Peer
from dnsguard.core.address import IPAddress, parse_address
from dnsguard.core.decide import decide, draw_border, rank
from dnsguard.core.event import Level
from dnsguard.core.hold import Hold, asked, name
from dnsguard.core.metrics import metrics
from dnsguard.core.report import candidates, degraded, report
from dnsguard.cycle import Cycle
from dnsguard.dhclient import Dhclient
from dnsguard.errors import RefusedError
from dnsguard.exporter import Families
from dnsguard.preview import preview


class Tell(Protocol):
    """Writes an event."""

    def __call__(self, name: str, level: Level = Level.INFO, **details: object) -> None: ...


class Desk:
    """Answers from what the cycle knows; what root commands changes only what is pinned."""

    def __init__(
        self, cycle: Cycle, dhclient: Dhclient, tell: Tell, look: Callable[[], None]
    ) -> None:
        self._cycle = cycle
        self._dhclient = dhclient
        self._tell = tell
        self._look = look
        self._started = time.monotonic()
        self.trouble: str | None = None
        """What the daemon knows to be wrong beside the cycle."""

    @property
    def answers(self) -> Mapping[str, Answer]:
        return {
            "status": self.status,
            "plan": lambda: preview(self._cycle),
            "upstreams": self._candidates,
            "metrics": lambda: {"families": self.families()},
        }

    @property
    def commands(self) -> Mapping[str, Command]:
        return {"hold": self._hold, "release": self._release, "forget": self._forget}

    def status(self) -> dict[str, object]:
        """Return the status, with what the shell adds to the core's report."""
        cycle = self._cycle
        assert cycle.seen is not None and cycle.plan is not None  # noqa: S101, PT018 -- looked once
        seen = cycle.observe()
        told = report(cycle.memory, seen, cycle.plan, cycle.policy, trouble=self._trouble)
        return {
            "dnsguard": __version__,
            "pid": os.getpid(),
            "looked_at": round(cycle.seen.wall, 3),
            "uptime_seconds": round(time.monotonic() - self._started, 1),
            **told,
            "kubelet": self._kubelet(),
            "dhclient": self._dhclient.report(),
        }

    def degraded(self) -> tuple[str, ...]:
        """Return what is wrong, as the status has it, from the last look."""
        cycle = self._cycle
        assert cycle.seen is not None and cycle.plan is not None  # noqa: S101, PT018 -- looked once
        seen = replace(cycle.seen, pod_file=cycle.facts.pod_file, pods=cycle.look_at_pods())
        return degraded(cycle.memory, seen, cycle.plan, cycle.policy, self._trouble)

    @property
    def _trouble(self) -> tuple[str, ...]:
        return tuple(line for line in (self.trouble, self._cycle.failure) if line is not None)

    def families(self) -> Families:
        """Return the metrics as they leave the daemon."""
        return [asdict(family) for family in metrics(self.status(), self._cycle.counters)]

    def complain(self, peer: Peer, what: str) -> None:
        """Tell of a client of the control socket."""
        means = "a client of the control socket; the daemon goes on"
        who = {"uid": peer.uid, "pid": peer.pid}
        self._tell("client_refused", Level.WARNING, what=what, **who, means=means)

    def _kubelet(self) -> dict[str, object] | None:
        """Return which file new pods get and where that is set, None without a kubelet."""
        kubelet = self._cycle.facts.kubelet
        if kubelet is None:
            return None
        pods = self._cycle.look_at_pods()
        named = None if pods is None else pods.nameservers
        return {
            "pods_file": kubelet.pods_file,
            "set_in": kubelet.resolv_conf.origin,
            "needs_restart": kubelet.needs_restart,
            "restart": kubelet.restart,
            "nameservers": None if named is None else [str(address) for address in named],
        }

    def _candidates(self) -> dict[str, object]:
        cycle = self._cycle
        assert cycle.plan is not None  # noqa: S101 -- looked once
        found = candidates(cycle.memory, cycle.observe(), cycle.plan, cycle.policy)
        return {"upstreams": found}

    def _hold(self, request: Data) -> dict[str, object]:
        """Pin who serves the node, where that can't make a loop."""
        try:
            hold = asked(request, time.monotonic())
        except ValueError as error:
            raise RefusedError(str(error)) from error
        seen = replace(self._cycle.observe(), hold=hold)
        memory, plan = decide(self._cycle.memory, seen, self._cycle.policy)
        if memory.serves is not hold.serves:
            why = dict(plan.because)["handover"]
            raise RefusedError(why.removeprefix(f"{hold.describe()}, but "))
        self._pin(hold)
        seconds = hold.until - hold.since
        span = {} if seconds == math.inf else {"seconds": f"{seconds:g}"}
        self._tell("hold_set", Level.WARNING, hold=hold.serves, by=hold.by, **span)
        return self.status()

    def _release(self, request: Data) -> dict[str, object]:
        hold = self._cycle.facts.hold
        if hold is None:
            raise RefusedError("nothing is held")
        self._pin(None)
        self._tell("hold_released", hold=hold.describe(), by=name(request.get("by")))
        return self.status()

    def _forget(self, request: Data) -> dict[str, object]:
        """Drop a remembered server, and say who names it all the same."""
        try:
            address = parse_address(str(request.get("address")))
        except ValueError as error:
            raise RefusedError(str(error)) from error
        remembered = [one.address for one in self._cycle.memory.remembered]
        if address not in remembered:
            known = ", ".join(map(str, remembered)) or "nobody"
            raise RefusedError(f"{address} is not remembered; remembered: {known}")
        self._cycle.forget(address)
        by = name(request.get("by"))
        self._tell("upstream_forgotten", server=str(address), by=by)
        self._look()
        return {**self.status(), "named_by": self._named_by(address)}

    def _named_by(self, address: IPAddress) -> str | None:
        """Return what else names a server."""
        cycle = self._cycle
        seen = cycle.observe()
        border = draw_border(cycle.memory, seen, cycle.policy)
        known = rank(cycle.memory, seen, cycle.policy, border)
        named = (one.candidate.origin for one in known if one.address == address)
        return next(named, None)

    def _pin(self, hold: Hold | None) -> None:
        try:
            self._cycle.pin(hold)
        except OSError as error:
            raise RefusedError(f"the hold can't be kept: {error}") from error
        self._look()
