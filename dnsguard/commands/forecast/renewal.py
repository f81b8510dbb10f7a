"""resolv.conf after the next renewal of each dhclient that runs.

A running dhclient has the configuration of its start, so a renewal brings what its newest
lease holds.
"""

from datetime import UTC, datetime

from dnsguard.commands.forecast.future import (
    ForecastInput,
    Future,
    Pairs,
    find_newest_lease,
    format_servers,
    leave_unchanged,
)
from dnsguard.commands.forecast.script_run import run_script
from dnsguard.formats.dhclient.files import CONF
from dnsguard.formats.dhclient.records import Reason, from_lease
from dnsguard.formats.dhclient.statements import find_replaced_script
from dnsguard.host.dhclient_processes import DhclientProcess


def foresee_renewals(node: ForecastInput) -> tuple[Future, ...]:
    """Return what the next renewal of each running dhclient brings, at least one future."""
    if not node.running:
        return (leave_unchanged(node, "no dhclient runs, so none renews a lease"),)
    return tuple(_foresee_renewal(node, running) for running in node.running)


def _foresee_renewal(node: ForecastInput, running: DhclientProcess) -> Future:
    lease = find_newest_lease(node, running.interface, running.version)
    interface = running.interface or (lease and lease[1].interface) or None
    changed = node.dhclient.changed
    later = "; it was changed after that" if changed and changed > running.started else ""
    since = (
        "dhclient",
        f"process {running.pid} has the {CONF} of its start, {_format_date(running.started)}{later}",
    )
    if lease is None and running.version == 4:
        missing = (since, ("lease", "none of it is found"))
        return Future(interface=interface, text=None, because=missing)
    other = running.script or find_replaced_script(node.dhclient.parse_conf(), interface)
    because: Pairs = (since,)
    if lease is not None:
        says = format_servers(lease[1].nameservers)
        because = (since, ("lease", f"the newest in {lease[0]} says {says}"))
    if lease is None or running.version == 6:
        # dhclient-script writes for RENEW6 only if the server says something new.
        because = (*because, ("dhclient-script", "writes when it is new, so the file stays"))
        return Future(interface=interface, text=node.content, because=because)
    told = from_lease(lease[1], reason=Reason.RENEW)
    return run_script(node, (told,), because, script_instead=other)


def _format_date(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
