"""What an operator has to know when dnsguard goes: what is poisoned now, and at the next boot."""

from dnsguard import page
from dnsguard.core import resolvconf
from dnsguard.core.hazards import Kind, judge
from dnsguard.core.model import Policy
from dnsguard.host import dhclient, resolvfile
from dnsguard.paths import Paths

_MOST = 3
_REMEDY = "take that out before you reboot (Kubespray: resolvconf_mode: none)"


def bid(paths: Paths, policy: Policy) -> None:
    """Say on stderr what sends the node to cluster addresses from now on, if anything does."""
    file = resolvfile.observe(paths.resolv_conf)
    left = resolvconf.addresses(file.content)
    if file.link is not None and left and policy.cluster.issuperset(left):
        named = ", ".join(map(str, left))
        page.complain(
            f"{paths.resolv_conf} is a link to {file.link} again, which names cluster addresses"
            f" only ({named}): tell the program that keeps it a real server"
        )
    hazards = judge(dhclient.look(paths.root), policy.cluster, hook_is_active=False)
    found = [f"{one.path}:{one.line} ({one.what})" for one in hazards if one.kind is Kind.POISONS]
    if found:
        more = f" and {len(found) - _MOST} more" if len(found) > _MOST else ""
        named = ", ".join(found[:_MOST])
        when = "the next boot, or the next start of dhclient,"
        page.complain(f"{when} poisons {paths.resolv_conf} again: {named}{more}: {_REMEDY}")
