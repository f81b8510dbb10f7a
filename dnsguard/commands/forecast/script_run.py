"""What one run of dhclient-script(8) leaves of resolv.conf.

What dhclient tells its script is one thing, what the file says then another: hooks may
keep the script from it or write it themselves, and it may be immutable.
"""

from collections.abc import Iterator, Mapping, Sequence

from dnsguard.commands.forecast.future import (
    ForecastInput,
    Future,
    Pairs,
    format_servers,
)
from dnsguard.formats import resolvconf
from dnsguard.formats.address import IPAddress, plain
from dnsguard.formats.dhclient import script
from dnsguard.formats.dhclient.files import DhclientFiles
from dnsguard.formats.dhclient.hazards import find_writers
from dnsguard.formats.dhclient.records import DhclientEvent
from dnsguard.formats.dhclient.rehearsal import rehearse_files
from dnsguard.formats.dhclient.rehearsal.scene import Outcome


def run_script(
    node: ForecastInput,
    runs: Sequence[DhclientEvent],
    because: Pairs,
    *,
    script_instead: str | None,
) -> Future:
    """Return what dhclient-script(8) and its hooks leave when it is told this.

    :param runs: the same with each reason that may be given; the worst counts.
    """
    interface = runs[0].interface
    if script_instead is not None:
        because = (*because, ("script", f"{script_instead} is run instead of dhclient-script"))
        return Future(interface=interface, text=None, because=because)
    if node.unwritable is not None and not _can_unlock(node.dhclient):
        because = (*because, ("resolv.conf", f"stays as it is: {node.unwritable}"))
        return Future(interface=interface, text=node.content, because=because)
    outcomes = [(told, _rehearse(node, told)) for told in runs]
    told, outcome = max(outcomes, key=lambda pair: _rate_harm(node, pair[1]))
    because = (*because, *_describe_deeds(node, told, outcome))
    text = None if outcome.text is None else _encode(outcome.text)
    caveats = (*_describe_other_reasons(told, outcome, outcomes), *_find_caveats(node, outcome))
    return Future(interface=interface, text=text, because=because, caveats=caveats)


def _can_unlock(files: DhclientFiles) -> bool:
    return any(b"chattr" in hook.content for hook in (*files.enter, *files.exit))


def _rehearse(node: ForecastInput, told: DhclientEvent) -> Outcome:
    def own(text: str, changed: Mapping[str, str]) -> str | None:
        made = script.make_resolv_conf(script.apply_changes(told, changed), _encode(text))
        return None if made is None else _decode(made)

    current = _decode(node.content)
    return rehearse_files(node.dhclient, script.list_variables(told), current, own)


def _rate_harm(node: ForecastInput, outcome: Outcome) -> int:
    """Return how bad it is: cluster addresses, what nobody knows, all else."""
    if outcome.text is None:
        return 1
    named = resolvconf.read_addresses(_encode(outcome.text))
    return 0 if node.cluster.isdisjoint(map(plain, named)) else 2


def _describe_deeds(
    node: ForecastInput, told: DhclientEvent, outcome: Outcome
) -> Iterator[tuple[str, str]]:
    """Yield who wrote, or did not."""
    replaced = outcome.replaced
    if replaced is not None and outcome.is_replacement_certain and not outcome.unclear:
        is_writer = any(one.path == replaced.path for one in outcome.wrote)
        what = "writes its own file" if is_writer else "leaves resolv.conf alone"
        what = what if is_writer or not outcome.is_own_written else "has its own way"
        yield "make_resolv_conf", f"{replaced.path}:{replaced.line} replaces it and {what}"
    elif replaced is None and script.make_resolv_conf(told, node.content) is None:
        yield "dhclient-script", "has nothing to write: the file stays as it is"
    elif replaced is None and not told.nameservers:
        yield "dhclient-script", "keeps the file's nameservers"
    for place in outcome.wrote:
        yield f"{place.path}:{place.line}", f"writes resolv.conf with {place.how}"
    for reason in outcome.unclear:
        yield "hooks", f"can't be told: {reason}"


def _describe_other_reasons(
    told: DhclientEvent, outcome: Outcome, outcomes: Sequence[tuple[DhclientEvent, Outcome]]
) -> Iterator[str]:
    for other, one in outcomes:
        if _find_nameservers(one) != _find_nameservers(outcome):
            then = (
                "it can't be told"
                if one.text is None
                else format_servers(_find_nameservers(one) or ())
            )
            yield f"dhclient may run its hooks for {other.reason}, not {told.reason}: then {then}"


def _find_nameservers(outcome: Outcome) -> tuple[IPAddress, ...] | None:
    return None if outcome.text is None else tuple(resolvconf.read_addresses(_encode(outcome.text)))


def _decode(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _find_caveats(node: ForecastInput, outcome: Outcome) -> Iterator[str]:
    replaced = outcome.replaced
    if replaced is not None and outcome.is_own_written:
        yield f"{replaced.path} redefines make_resolv_conf: the file may have more or other lines"
    known = {(place.path, place.line) for place in outcome.wrote}
    for hazard in find_writers(node.dhclient):
        if (hazard.path, hazard.line) not in known:
            yield f"{hazard.path}:{hazard.line} may rewrite it: {hazard.what}"
