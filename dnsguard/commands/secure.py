"""Make the file safe and leave: at the stop, after a crash, before the removal.

Knows what is on the disk and asks nobody, so it takes a fraction of a second whatever
the network does.
"""

import argparse
import time

from dnsguard import config, terminal
from dnsguard.core.policy import Policy
from dnsguard.errors import ConfigError
from dnsguard.guard import Guard
from dnsguard.paths import Paths
from dnsguard.reporting.events import Event, Level

_WRITTEN = "resolv_conf_written"
PATIENCE = 1.0
"""Seconds for a file that somebody is just writing, and for systemd-resolved's restart."""
_PEEK = 0.02

SEARCH = 0.1
"""Seconds, at the most, to search the processes for a kubelet that names cluster addresses."""


def run(options: argparse.Namespace) -> int:
    """Never fails a stopping unit for its configuration: the defaults are safe, too."""
    return secure(Paths(options.root), gives_link_back=options.give_link_back)


def secure(paths: Paths, *, gives_link_back: bool = False) -> int:
    """Return 0 when resolv.conf is safe, 1 when it can't be made so; says which and why.

    :param gives_link_back: a manager's link is put back, wherever it leads: dnsguard is removed.
    """
    lines: list[Event] = []
    guard = Guard(paths, _load_policy(paths), lines.append)
    guard.search(SEARCH)
    guard.refresh()
    deadline = time.monotonic() + PATIENCE
    plan = guard.look()
    while not plan.is_settled and time.monotonic() < deadline:
        time.sleep(max(0.0, min(plan.look_at, deadline) - time.monotonic()))
        plan = guard.look()
    guard.apply_deferred()
    cured = None
    if gives_link_back:
        cured = guard.give_link_back()
    else:
        _await_resolved(guard)
    guard.sync()
    guard.sweep()
    if gives_link_back:
        warn(paths, guard.policy, cured)
    _write_events([line for line in lines if line.level is not Level.INFO or line.name == _WRITTEN])
    if not plan.is_settled:
        why = plan.explain("write") or "see dnsguard plan"
        terminal.complain(f"{paths.resolv_conf} is not safe: {why}")
    return 0 if plan.is_settled and guard.file.failure is None else 1


def _await_resolved(guard: Guard) -> None:
    """Wait until systemd-resolved has heard whom to ask: it does not answer while it restarts.

    Only of what it was told just now, by the daemon that ended: with the system it ends, too.
    """
    try:
        age = time.time() - guard.paths.resolved_drop_in.stat().st_mtime
    except OSError:
        return
    deadline = time.monotonic() + PATIENCE - age
    while guard.plan is not None and not guard.plan.is_heard and time.monotonic() < deadline:
        time.sleep(_PEEK)
        guard.look()


def _write_events(events: list[Event]) -> None:
    """Write them to the journal where that reads stderr, so that ``events`` finds them."""
    from dnsguard.host.journal import is_journal  # only now: the file is safe

    if not is_journal():
        for event in events:
            pairs = " ".join(f"{key}={value}" for key, value in event.details)
            terminal.complain(f"{event.name} {pairs}")
        return
    from dnsguard.log import Journal

    journal = Journal(Level.INFO)
    for event in events:
        journal(event)
    journal.close()


def _load_policy(paths: Paths) -> Policy:
    """Return the operator's policy; a broken configuration must not keep the file unsafe."""
    try:
        return config.load(paths.config).policy
    except ConfigError as error:
        terminal.complain(f"{error}; going by the defaults")
        return config.defaults().policy


_MOST = 3


_REMEDY = "take that out before you reboot (Kubespray: resolvconf_mode: none)"


def warn(paths: Paths, policy: Policy, cured: str | None) -> None:
    """Say on stderr what sends the node to cluster addresses from now on, if anything does.

    :param cured: the link that is back, and resolves for the time being.
    """
    from dnsguard.formats import resolvconf  # only now: the file is safe
    from dnsguard.formats.dhclient.hazards import HazardKind, judge
    from dnsguard.host import dhclient, resolvfile

    if cured is not None:
        terminal.complain(
            f"{paths.resolv_conf} is a link to {cured} again. That named no real server, and"
            " does now, until the program that keeps it writes it anew, at the next boot for"
            " one: tell that program a real server"
        )
    file = resolvfile.observe(paths.resolv_conf)
    left = resolvconf.read_addresses(file.content)
    if file.link is not None and left and policy.cluster.issuperset(left):
        named = ", ".join(map(str, left))
        terminal.complain(
            f"{paths.resolv_conf} is a link to {file.link} again, which names cluster addresses"
            f" only ({named}): tell the program that keeps it a real server"
        )
    hazards = judge(dhclient.find_dhclient(paths.root), policy.cluster, hook_is_active=False)
    found = [
        f"{one.path}:{one.line} ({one.what})" for one in hazards if one.kind is HazardKind.POISONS
    ]
    if found:
        more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
        named = ", ".join(found[:_MOST])
        when = "the next boot, or the next start of dhclient,"
        terminal.complain(f"{when} poisons {paths.resolv_conf} again: {named}{more}: {_REMEDY}")
