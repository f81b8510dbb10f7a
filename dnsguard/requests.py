"""What is asked of the daemon and commanded over the control socket."""

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from typing import Protocol

from dnsguard.control import Answer, Command, Data, Peer
from dnsguard.core.decide import decide, decide_ahead
from dnsguard.core.eligibility import find_exclusions, rank
from dnsguard.core.hold import Hold
from dnsguard.dhclient import Dhclient
from dnsguard.errors import RefusedError
from dnsguard.exporter import Families
from dnsguard.formats.address import IPAddress, parse_address
from dnsguard.guard import Guard
from dnsguard.host.hold import from_request, name
from dnsguard.reporting.degraded import find_degraded
from dnsguard.reporting.events import Level
from dnsguard.reporting.metrics import metrics
from dnsguard.reporting.plan import PlanReport, describe
from dnsguard.reporting.problem import Problem
from dnsguard.reporting.status import KubeletStatus, Server, Status
from dnsguard.reporting.survey import DaemonFacts, list_servers, make_status


class Tell(Protocol):
    """Writes an event."""

    def __call__(self, name: str, level: Level = Level.INFO, **details: object) -> None: ...


class Requests:
    """Answers from what the guard knows; what root commands changes only what is held."""

    def __init__(
        self, guard: Guard, dhclient: Dhclient, tell: Tell, look: Callable[[], None]
    ) -> None:
        self._guard = guard
        self._dhclient = dhclient
        self._tell = tell
        self._look = look
        self._started = time.monotonic()
        self.trouble: Problem | None = None
        """What the daemon knows to be wrong beside the guard."""

    @property
    def answers(self) -> Mapping[str, Answer]:
        return {
            "status": self.status,
            "plan": self._plan,
            "upstreams": self._upstreams,
            "metrics": lambda: {"families": self.families()},
        }

    @property
    def commands(self) -> Mapping[str, Command]:
        return {"hold": self._hold, "release": self._release, "forget": self._forget}

    def status(self) -> Status:
        """Return the status as of now; the decision is the last one."""
        guard = self._guard
        assert guard.seen is not None and guard.plan is not None  # noqa: S101, PT018 -- looked once
        facts = DaemonFacts(
            pid=os.getpid(),
            looked_at=guard.seen.wall,
            uptime=time.monotonic() - self._started,
            kubelet=self._kubelet(),
            dhclient=self._dhclient.report(),
            trouble=self._trouble,
        )
        return make_status(guard.memory, guard.observe(), guard.plan, guard.policy, facts)

    def degraded(self) -> tuple[Problem, ...]:
        """Return what is wrong, as the status has it, from the last look."""
        guard = self._guard
        assert guard.seen is not None and guard.plan is not None  # noqa: S101, PT018 -- looked once
        seen = replace(
            guard.seen,
            pod_file=guard.surroundings.known.pod_file,
            pods=guard.surroundings.read_pods_file(),
        )
        return find_degraded(guard.memory, seen, guard.plan, guard.policy, self._trouble)

    @property
    def _trouble(self) -> tuple[Problem, ...]:
        known = (self.trouble, self._guard.file.failure)
        return tuple(problem for problem in known if problem is not None)

    def families(self) -> Families:
        """Return the metrics as they leave the daemon."""
        return [asdict(family) for family in metrics(self.status(), self._guard.counters)]

    def complain(self, peer: Peer, what: str) -> None:
        """Tell of a client of the control socket."""
        means = "a client of the control socket; the daemon goes on"
        who = {"uid": peer.uid, "pid": peer.pid}
        self._tell("client_refused", Level.WARNING, what=what, **who, means=means)

    def _kubelet(self) -> KubeletStatus | None:
        """Return which file new pods get and where that is set, None without a kubelet."""
        kubelet = self._guard.surroundings.known.kubelet
        if kubelet is None:
            return None
        pods = self._guard.surroundings.read_pods_file()
        return KubeletStatus(
            pods_file=kubelet.pods_file,
            set_in=kubelet.resolv_conf.origin,
            needs_restart=kubelet.needs_restart,
            restart=kubelet.restart,
            nameservers=None if pods is None else pods.nameservers,
        )

    def _plan(self) -> PlanReport:
        """Return what a look at this instant would do. Only reads."""
        guard = self._guard
        seen = guard.observe()
        _, plan, later = decide_ahead(guard.memory, seen, guard.policy)
        return describe(guard.paths, seen, plan, later, has_daemon=True)

    def _upstreams(self) -> Mapping[str, tuple[Server, ...]]:
        guard = self._guard
        assert guard.plan is not None  # noqa: S101 -- looked once
        found = list_servers(guard.memory, guard.observe(), guard.plan, guard.policy)
        return {"upstreams": found}

    def _hold(self, request: Data) -> Status:
        """Pin who serves the node, where that can't make a loop."""
        try:
            hold = from_request(request, time.monotonic())
        except ValueError as error:
            raise RefusedError(str(error)) from error
        seen = replace(self._guard.observe(), hold=hold)
        memory, plan = decide(self._guard.memory, seen, self._guard.policy)
        if memory.serves is not hold.serves:
            raise RefusedError(plan.blockers[0].describe())
        self._pin(hold)
        seconds = hold.until - hold.since
        span = {} if seconds == math.inf else {"seconds": f"{seconds:g}"}
        self._tell("hold_set", Level.WARNING, hold=hold.serves, by=hold.by, **span)
        return self.status()

    def _release(self, request: Data) -> Status:
        hold = self._guard.surroundings.known.hold
        if hold is None:
            raise RefusedError("nothing is held")
        self._pin(None)
        self._tell("hold_released", hold=hold.describe(), by=name(request.get("by")))
        return self.status()

    def _forget(self, request: Data) -> Mapping[str, object]:
        """Drop a remembered server, and say who names it all the same."""
        try:
            address = parse_address(str(request.get("address")))
        except ValueError as error:
            raise RefusedError(str(error)) from error
        remembered = [one.address for one in self._guard.memory.remembered]
        if address not in remembered:
            known = ", ".join(map(str, remembered)) or "nobody"
            raise RefusedError(f"{address} is not remembered; remembered: {known}")
        self._guard.forget(address)
        by = name(request.get("by"))
        self._tell("upstream_forgotten", server=str(address), by=by)
        self._look()
        status = self.status()
        told = {one.name: getattr(status, one.name) for one in fields(status)}
        return {**told, "named_by": self._named_by(address)}

    def _named_by(self, address: IPAddress) -> str | None:
        """Return what else names a server."""
        guard = self._guard
        seen = guard.observe()
        exclusions = find_exclusions(guard.memory, seen, guard.policy)
        known = rank(guard.memory, seen, guard.policy, exclusions)
        named = (one.candidate.origin for one in known if one.address == address)
        return next(named, None)

    def _pin(self, hold: Hold | None) -> None:
        try:
            self._guard.surroundings.set_hold(hold)
        except OSError as error:
            raise RefusedError(f"the hold can't be kept: {error}") from error
        self._look()
