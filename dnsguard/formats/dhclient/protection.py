"""Whether a hook stands between dhclient and resolv.conf: dnsguard's, or somebody else's.

An enter hook of dhclient-script(8) that puts a make_resolv_conf of its own in the place
of the script's keeps what DHCP says from the file, if it writes nothing of it itself.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dnsguard.formats.dhclient.files import OURS, DhclientFiles, Hook
from dnsguard.formats.dhclient.statements import Conf, find_replaced_script

if TYPE_CHECKING:
    from dnsguard.formats.dhclient.rehearsal.scene import Outcome

MOST_INTERFACES = 64

_DEFUSED = "blocked by dnsguard's enter hook"
_FUNCTION = b"make_resolv_conf"


@dataclass(frozen=True, slots=True)
class Protection:
    """What stands between dhclient and resolv.conf, or that nothing does."""

    is_effective: bool
    why: str


def find_protection(dhclient: DhclientFiles, *, hook_is_active: bool) -> Protection:
    """Return whether a hook keeps dhclient from resolv.conf: ours, or somebody else's."""
    ours = [place for place, hook in enumerate(dhclient.enter) if hook.is_ours]
    after = dhclient.enter[ours[0] + 1 :] if ours else ()
    has_last_word = bool(ours) and hook_is_active
    others = _rehearse_replacements(dhclient, after if has_last_word else dhclient.enter)
    keeper = next(iter(others), None)
    if keeper is not None and all(map(_keeps_out, others)) and keeper.replaced is not None:
        path = keeper.replaced.path
        return Protection(
            True, f"blocked by {path}: its make_resolv_conf takes no nameserver from DHCP"
        )
    if not ours:
        return Protection(False, f"dnsguard's enter hook {OURS} is not there")
    late = _rehearse_replacements(dhclient, after)
    redefining = next((one.replaced for one in late if one.replaced is not None), None)
    if redefining is not None:
        what = f"{redefining.path} redefines make_resolv_conf"
        return Protection(False, f"sourced after dnsguard: {what}")
    if not hook_is_active:
        return Protection(False, "dnsguard's enter hook is at rest: no daemon takes its word")
    return Protection(True, _DEFUSED)


def _rehearse_replacements(dhclient: DhclientFiles, enter: Sequence[Hook]) -> "list[Outcome]":
    """Return what becomes of make_resolv_conf on each interface that is known.

    Nothing where no hook replaces it, as on a plain node: a shell's function is defined by
    its name as it stands, so a text without that name defines none.
    """
    if not any(_FUNCTION in hook.content for hook in enter if not hook.is_ours):
        return []
    # Here, not above: 400 lines of shell that the daemon of a plain node needs not load.
    from dnsguard.formats.dhclient.rehearsal import rehearse_files  # noqa: PLC0415

    alone = replace(dhclient, enter=tuple(enter), exit=())
    names = sorted({lease.interface for _, lease in dhclient.leases if lease.interface})
    told = {"reason": "BOUND", "new_domain_name_servers": "192.0.2.53"}
    scenes = [{**told, "interface": name} for name in names[:MOST_INTERFACES]] or [told]
    return [rehearse_files(alone, values, "", lambda *_: None) for values in scenes]


def _keeps_out(outcome: "Outcome") -> bool:
    is_replaced = outcome.replaced is not None and outcome.is_replacement_certain
    return is_replaced and not outcome.passes and not outcome.unclear


def restrict_to_hooks(
    protection: Protection, parsed: Conf, interfaces: Iterable[str | None]
) -> Protection:
    """Return the protection, none where the hooks are not asked at all."""
    scripts = [find_replaced_script(parsed, interface) for interface in interfaces]
    script = next((one for one in scripts if one is not None), None)
    if script is None or not protection.is_effective:
        return protection
    why = f"{script} is run in the place of dhclient-script, and so without its hooks"
    return Protection(False, why)
