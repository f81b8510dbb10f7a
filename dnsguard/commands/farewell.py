"""What an operator has to know when dnsguard goes: what will poison the next boot."""

from dnsguard.commands import terminal
from dnsguard.core.model import Policy
from dnsguard.formats.dhclient.hazards import Kind, judge
from dnsguard.host import dhclient
from dnsguard.paths import Paths

_MOST = 3
_REMEDY = "take that out before you reboot (Kubespray: resolvconf_mode: none)"


def warn(paths: Paths, policy: Policy) -> None:
    """Say on stderr which lines send the node to cluster addresses again, if any do."""
    hazards = judge(dhclient.look(paths.root), policy.cluster, hook_is_active=False)
    found = [f"{one.path}:{one.line} ({one.what})" for one in hazards if one.kind is Kind.POISONS]
    if found:
        more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
        named = ", ".join(found[:_MOST])
        when = "the next boot, or the next start of dhclient,"
        terminal.complain(f"{when} poisons {paths.resolv_conf} again: {named}{more}: {_REMEDY}")
