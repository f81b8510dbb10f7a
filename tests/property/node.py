"""A node in small: a file, a network, a clock, and the guard deciding about them."""

from dataclasses import dataclass, field, replace
from ipaddress import ip_address

from hypothesis import strategies as st

from dnsguard.core import links
from dnsguard.core.answers import NOERROR, NXDOMAIN, Answer, Outcome, ProbeKind, ProbeTarget
from dnsguard.core.decide import decide
from dnsguard.core.health import ONE_TIME, list_targets
from dnsguard.core.hold import Hold
from dnsguard.core.memory import Memory
from dnsguard.core.model import Candidate, Found, HookRecord, Source, Stub
from dnsguard.core.observation import (
    FileObservation,
    Identity,
    Observation,
    PodsFile,
    Resolved,
    Trouble,
)
from dnsguard.core.plan import (
    CureResolved,
    EndHold,
    Plan,
    PreparedRepair,
    ReplaceFile,
    ReplacePodFile,
    RestoreLink,
)
from dnsguard.core.policy import HandoverMode, Policy
from dnsguard.formats import guarded_resolvconf
from dnsguard.formats.address import IPAddress
from dnsguard.formats.resolved import read_configuration
from property import promises
from property.text import ADDRESSES, CLUSTER, NODELOCAL, NODELOCAL6, STUBS, UPSTREAMS, foreign_files

START = 1000.0
EPOCH = 1_700_000_000.0
SERVICE = ip_address("10.233.0.1")
"""What cluster DNS says the cluster's own name is."""
OUTSIDE = tuple(
    ProbeTarget(a)
    for a in (
        ProbeKind.CLUSTER,
        ProbeKind.NONSENSE,
        ProbeKind.UPSTREAM,
        ProbeKind.ONE_TIME,
        ProbeKind.CONTROL,
    )
)
"""The questions to an upstream."""
TRIES = 3
"""Looks in a row at a file that changes under the guard's hands, as in dnsguard.guard."""

policies: st.SearchStrategy[Policy] = st.builds(
    Policy,
    servers=st.just(()),
    nodelocal=st.sampled_from([(NODELOCAL,), (NODELOCAL6, NODELOCAL)]),
    cluster=st.just(CLUSTER),
    handover=st.sampled_from(list(HandoverMode)),
    successes=st.integers(1, 3),
    failures=st.integers(1, 3),
    fast=st.sampled_from([0.05, 0.2]),
    slow=st.sampled_from([0.2, 5.0]),
)

troubles: st.SearchStrategy[Trouble] = st.sampled_from(Trouble)
outcomes = st.sampled_from([*Outcome, Outcome.ANSWERED, Outcome.ANSWERED])
STUB: IPAddress = ip_address("127.0.0.53")
_OURS, _RESOLVED = "/var/lib/dnsguard/resolv.conf", "/run/systemd/resolve/resolv.conf"
_REAL = ip_address("198.51.100.77")
pods_files = st.sampled_from(
    [
        None,
        PodsFile(path=promises.RESOLV_CONF, nameservers=(_REAL,), follows=True),
        PodsFile(path=_OURS, nameservers=(_REAL,)),
        PodsFile(path=_RESOLVED, nameservers=(_REAL,), follows=True),
        PodsFile(path=_RESOLVED, nameservers=(_REAL, NODELOCAL)),
        PodsFile(path=_RESOLVED, nameservers=(ip_address("127.0.0.53"),)),
        PodsFile(path=_RESOLVED),
        PodsFile(path=_RESOLVED, nameservers=None),
    ]
)
bound = st.sampled_from(
    [
        None,
        frozenset[IPAddress](),
        frozenset[IPAddress]({NODELOCAL}),
        frozenset[IPAddress]({NODELOCAL, NODELOCAL6, STUBS[0]}),
    ]
)
steps = st.sampled_from([0.0, 0.0005, 0.002, 0.05, 0.3, 1.0, 6.0, 40.0])


@st.composite
def candidates(draw: st.DrawFn) -> tuple[Candidate, ...]:
    """Return what the configuration, leases and backups name."""
    sources = st.sampled_from([Source.CONFIG, Source.LEASE, Source.BACKUP])
    one = st.builds(
        Candidate,
        address=st.sampled_from(ADDRESSES),
        source=sources,
        origin=st.just("somewhere"),
        seen=st.floats(EPOCH - 1e6, EPOCH + 1e6),
        is_in_force=st.booleans(),
    )
    return tuple(draw(st.lists(one, max_size=4)))


@dataclass
class Node:
    """The world around ``decide``, and what it did to it."""

    policy: Policy
    memory: Memory = field(default_factory=Memory, repr=False)
    now: float = START
    file: FileObservation = field(default_factory=lambda: FileObservation(trouble=Trouble.MISSING))
    pod_file: bytes | None = None
    found: tuple[Candidate, ...] = ()
    impostors: frozenset[IPAddress] = frozenset()
    """Cluster DNS at addresses that nobody has configured."""
    unsynced: frozenset[IPAddress] = frozenset()
    """Those of them whose API server has not answered yet: SERVFAIL for their own zone."""
    stubs: tuple[Stub, ...] = ()
    resolved: Resolved | None = None
    records: tuple[HookRecord, ...] = ()
    bound: frozenset[IPAddress] | None = None
    pods: PodsFile | None = None
    pods_doubt: str | None = None
    behind: FileObservation | None = None
    hold: Hold | None = None
    can_write: bool = True
    rivals: list[bytes] = field(default_factory=list)
    """What somebody writes between a look and its replacement."""
    foreign: bytes | None = None
    """What somebody else wrote last, as far as the guard has seen it."""
    plan: Plan | None = field(default=None, repr=False)
    prepared: PreparedRepair | None = None
    """What lies ready, of some plan before (dnsguard.host.prepared_file)."""
    answers: list[Answer] = field(default_factory=list)
    written_at: list[float] = field(default_factory=list)
    versions: int = 0

    def write(
        self, content: bytes, *, being_written: bool = False, link: str | None = None
    ) -> None:
        """Let someone write the file, or make it a link to one that says this."""
        self.file = FileObservation(
            content=content,
            identity=self._identity(content),
            being_written=being_written,
            link=link,
        )

    def link(self, content: bytes | None, to: str = "../run/NetworkManager/resolv.conf") -> None:
        """Let resolv.conf be a link into a manager's place, that says this; None: it dangles."""
        if content is None:
            self.file = FileObservation(trouble=Trouble.MISSING, link=to, leads_away=True)
        else:
            identity = self._identity(content)
            self.file = FileObservation(
                content=content, identity=identity, link=to, leads_away=True
            )

    def manage(self, content: bytes) -> None:
        """Let the manager say this, whether its link is in place or ours has taken it."""
        if self.file.leads_away:
            self.link(content)
        elif self.behind is not None:
            self.behind = replace(
                self.behind, content=content, trouble=None, identity=self._identity(content)
            )

    def spoil(self, trouble: Trouble) -> None:
        """Let the file be none that can be read."""
        identity = None if trouble is Trouble.MISSING else self._identity(b"")
        self.file = FileObservation(trouble=trouble, detail="as told", identity=identity)

    def _identity(self, content: bytes) -> Identity:
        self.versions += 1
        stamp = int((EPOCH + self.now) * 1e9) + self.versions
        return Identity(1, self.versions, len(content), stamp, stamp)

    def answer(
        self,
        address: IPAddress,
        outcome: Outcome,
        rtt: float = 0.001,
        rcode: int | None = None,
    ) -> None:
        """Let a nameserver answer, or not, and say with which code; the next look hears of it."""
        told = rtt if outcome is Outcome.ANSWERED else None
        is_inside = address in self.policy.cluster
        for ask, tcp in (*list_targets(self.policy), ONE_TIME) if is_inside else OUTSIDE:
            is_name = ask is ProbeKind.CLUSTER and address in self.impostors
            if is_name and address in self.unsynced:
                outcome = Outcome.FAILED
            is_found = outcome is Outcome.ANSWERED and (is_name or ask is ProbeKind.UPSTREAM)
            self.answers.append(
                Answer(
                    address=address,
                    outcome=outcome,
                    rtt=told,
                    detail=f"says {outcome}",
                    at=self.now,
                    kind=ask,
                    tcp=tcp,
                    rcode=(NOERROR if is_found else NXDOMAIN) if told is not None else rcode,
                    has_records=is_found,
                    records=frozenset({SERVICE} if is_found and is_name else ()),
                )
            )
            outcome = Outcome.ANSWERED if told is not None else outcome

    def observe(self) -> Observation:
        """Return everything there is to see now; each answer once."""
        heard, self.answers = tuple(self.answers), []
        return Observation(
            now=self.now,
            wall=EPOCH + self.now,
            file=self.file,
            pod_file=self.pod_file,
            found=Found(candidates=self.found, stubs=self.stubs),
            records=self.records,
            bound=self.bound,
            answers=heard,
            link_target=self.behind if links.replaced_link(self.file) else None,
            pods=self.pods,
            pods_doubt=self.pods_doubt,
            resolved=self.resolved,
            hold=self.hold,
        )

    def prepare(self) -> None:
        """Lay ready what the last plan said; the daemon comes to it sooner or later."""
        self.prepared = None if self.plan is None else self.plan.prepared

    def look(self) -> Plan:
        """Look, decide and apply, as the daemon does it, and check every promise."""
        self._apply_prepared()
        for _ in range(TRIES):
            plan, has_changed = self._turn()
            if not has_changed:
                break
        return plan

    def _apply_prepared(self) -> None:
        found = self.file
        if self.prepared is None or found.trouble is not None:
            return
        if self.plan is None or self.prepared != self.plan.prepared:
            return  # it is no longer what should lie ready
        ready = self.prepared.content_for(found.content)
        if ready is None or found.being_written or not self.can_write:
            return
        self.prepared = None
        self.write(ready)
        self.written_at.append(self.now)
        self._decide(replace(self.observe(), file=found, repaired=ready))

    def _turn(self) -> tuple[Plan, bool]:
        seen = self.observe()
        plan = self._decide(seen)
        has_changed = False
        for action in plan.actions:
            if isinstance(action, ReplacePodFile):
                self.pod_file = action.content
            if isinstance(action, EndHold):
                self.hold = None
            if isinstance(action, CureResolved):
                assert self.resolved is not None
                self.resolved = replace(self.resolved, drop_in=action.content)
            if isinstance(action, RestoreLink) and self.can_write:
                assert self.behind is not None
                self.file, self.behind = self.behind, None
            if isinstance(action, ReplaceFile):
                if self.rivals:
                    self.write(self.rivals.pop(0))
                    has_changed = True
                elif self.can_write:
                    self.behind = self.file if self.file.leads_away else self.behind
                    self.write(action.content)
                    self.written_at.append(self.now)
                    self._check_settled()
        return plan, has_changed

    def _decide(self, seen: Observation) -> Plan:
        file = seen.file
        behind = links.content_of(seen.link_target)
        if behind is not None:
            self.foreign = behind
        elif file.trouble is None and (file.content or self.foreign is None):
            self.foreign = guarded_resolvconf.unguard(file.content)
        before = self.memory
        kept = repr(before)  # deepcopy(IPv6Address) loses the zone, in Python 3.11 at least
        after, plan = decide(before, seen, self.policy)
        assert repr(before) == kept, "a decision changed the memory it was given"
        assert decide(before, seen, self.policy) == (after, plan), "decided twice, differently"
        promises.check(before, seen, self.policy, after, plan)
        self.memory, self.plan = after, plan
        return plan

    def _check_settled(self) -> None:
        """See that the guard has nothing to add to what it has just written."""
        seen = replace(self.observe(), now=self.now + 0.0001)
        _, plan = decide(self.memory, seen, self.policy)
        assert not [action for action in plan.actions if isinstance(action, ReplaceFile)]
        assert plan.is_settled

    def restart_resolved(self) -> None:
        """Let systemd-resolved read its configuration, ours included, and write down whom it asks."""
        own = self.resolved
        assert own is not None
        ours = read_configuration([own.drop_in or b""]).servers
        first = own.configured.servers if own.drop_in is None else ours
        asks = (*first, *own.links) or own.configured.fallback
        self.resolved = replace(own, asks=tuple(dict.fromkeys(asks)))
        self.stubs = (Stub(addresses=frozenset({STUB}), asks=self.resolved.asks or (), origin="R"),)

    def quiet(self, *, within: float) -> Plan:
        """Let nobody else do or say anything until the guard is done; return its last plan."""
        until = self.now + within
        plan = self.look()
        while not plan.is_settled:
            for address, _ in plan.questions:
                if address in self.policy.cluster:
                    self.answer(address, Outcome.TIMED_OUT)
            if not self.answers:
                assert plan.look_at <= until, "the guard is not done in time"
                self.now = plan.look_at
            plan = self.look()
        return plan

    def restart(self) -> None:
        """Let the daemon be killed and start again with what it kept on the disk."""
        self.plan, self.prepared = None, None
        self.memory = Memory(
            remembered=self.memory.remembered,
            cluster_resolvers=self.memory.cluster_resolvers,
            kubernetes=self.memory.kubernetes,
            deleted=self.memory.deleted,
            foreign=self.memory.foreign,
        )


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    """Return a node at the guard's start."""
    node = Node(policy=draw(policies), found=draw(candidates()), pods=draw(pods_files))
    if node.pods is None:
        node.pods_doubt = draw(st.sampled_from([None, "nobody understands its kubelet"]))
    remembered = draw(st.lists(st.sampled_from(UPSTREAMS), max_size=3, unique=True))
    node.memory = Memory(
        remembered=tuple(
            Candidate(
                address=address,
                source=Source.LEASE,
                origin="earlier",
                seen=EPOCH,
                answered=draw(st.sampled_from([None, EPOCH])),
            )
            for address in remembered
        )
    )
    node.pod_file = draw(
        st.sampled_from([None, b"", b"nameserver 10.0.0.2\n", b"nameserver 169.254.25.10\n"])
    )
    if draw(st.booleans()):
        node.write(draw(foreign_files()))
    return node
