"""What Kubespray writes, by manager: the texts are ours, their effect is the same (FACTS.md)."""

import textwrap

from boot.kubespray import EXIT_HOOK, NODE_LOCAL, dhclient_conf

from managers.outside import DOMAIN, FIRST
from managers.setup import File

_BLOCK = f"""\
# Ansible entries BEGIN
domain cluster.local
search cluster.local default.svc.cluster.local svc.cluster.local
nameserver {NODE_LOCAL}
options ndots:2 timeout:2 attempts:2
# Ansible entries END
"""


def dhclient(*servers: str) -> tuple[File, ...]:
    """Return dhclient's part: what it obeys from its next start on."""
    return (
        File("/etc/dhcp/dhclient.conf", dhclient_conf(*(servers or (NODE_LOCAL,)))),
        File("/etc/dhcp/dhclient-exit-hooks.d/zdnsupdate", EXIT_HOOK, mode=0o755),
    )


def resolved(path: str = "/etc/systemd/resolved.conf.d/kubespray.conf") -> tuple[File, ...]:
    """Return what is written where systemd-resolved is enabled; up to 2.23 it was resolved.conf."""
    text = f"""\
        [Resolve]
        DNS={NODE_LOCAL}
        FallbackDNS=
        Domains=default.svc.cluster.local svc.cluster.local
        DNSSEC=no
        Cache=no-negative
        """
    return (File(path, textwrap.dedent(text)),)


def network_manager(*servers: str) -> tuple[File, ...]:
    """Return NetworkManager's part; up to 2.23 a rerun leaves the node-local address alone."""
    text = f"""\
        [global-dns-domain-*]
        servers = {",".join(servers or (NODE_LOCAL,))}
        [global-dns]
        searches = default.svc.cluster.local,svc.cluster.local
        options = ndots:2,timeout:2,attempts:2
        """
    return (File("/etc/NetworkManager/conf.d/dns.conf", textwrap.dedent(text), mode=0o600),)


def resolv_conf(original: str) -> tuple[File, ...]:
    """Return the file with the block at its top, and the backup of what was there before."""
    comments = [line for line in original.splitlines() if line.startswith("#")]
    return (
        File("/etc/resolv.conf", "\n".join([*_BLOCK.splitlines(), *comments]) + "\n"),
        File("/etc/resolv.conf.7113.2026-03-02@09:14:51~", original),
    )


HEALTHY = f"domain {DOMAIN}\nsearch {DOMAIN}\nnameserver {FIRST}\n"
