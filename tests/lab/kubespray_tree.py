"""Trees of files: a Debian node that some release of Kubespray has worked on.

FACTS.md's table, row by row, as the node's files stand before its reboot, after the first
and after the second start of dhclient with what Kubespray left in dhclient.conf; with
/etc/resolv.conf a plain file, resolvconf(8)'s, NetworkManager's or systemd-resolved's.
"""

import os
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from lab.kubespray_releases import CLUSTER_DNS, NODE_LOCAL, REAL, ROUTER, STUB, Release, Row
from lab.kubespray_texts import (
    COMMENT,
    CONFIGMAP,
    COREFILE,
    DHCLIENT_CONF,
    DNS_CONF,
    INTERFACES,
    KUBELET,
    LEASE,
    RESOLVED_CONF,
    TMPFS,
)

EARLIEST = datetime(2026, 3, 2, 9, 14, 51, tzinfo=UTC)
"""Kubespray's first run."""
LATEST = datetime(2026, 6, 18, 16, 2, 7, tzinfo=UTC)
"""Its last one, after the reboots."""


class Stage(StrEnum):
    """How often dhclient has started since Kubespray came."""

    BEFORE = "before the reboot"
    FIRST = "after the first start"
    SECOND = "after the second start"


class Layout(StrEnum):
    """Whose file /etc/resolv.conf is."""

    PLAIN = "plain file"
    RESOLVCONF = "resolvconf"
    NETWORK_MANAGER = "NetworkManager"
    RESOLVED = "systemd-resolved"


def grow(root: Path, row: Row, layout: Layout, stage: Stage, now: datetime) -> None:
    """Make the tree below ``root``; its newest lease holds at ``now``, the others are over."""
    release = row.value
    if layout is Layout.RESOLVED and release.is_in_file:
        # What it takes for the host's nameserver is then the stub.
        release = replace(release, superseded=(NODE_LOCAL, STUB))
    node = _Node(root, release, stage, now)
    node.common()
    match layout:
        case Layout.PLAIN:
            node.dhclient()
            node.plain()
        case Layout.RESOLVCONF:
            node.dhclient()
            node.resolvconf()
        case Layout.NETWORK_MANAGER:
            node.network_manager()
        case Layout.RESOLVED:
            node.dhclient()
            node.resolved()


_HEALTHY = f"domain lab.test\nsearch lab.test\nnameserver {REAL}\n"


def _lines(servers: tuple[str, ...]) -> str:
    return "".join(f"nameserver {server}\n" for server in servers)


@dataclass(frozen=True, slots=True)
class _Node:
    root: Path
    release: Release
    stage: Stage
    now: datetime

    def common(self) -> None:
        """Write what every node of a Kubespray cluster has."""
        corefile = COREFILE.format(node_local=NODE_LOCAL, cluster_dns=CLUSTER_DNS)
        indented = "".join(f"    {line}\n" for line in corefile.splitlines())
        self._write("etc/kubernetes/kubelet-config.yaml", KUBELET)
        self._write("etc/kubernetes/nodelocaldns-config.yml", CONFIGMAP + indented)
        uid = "0f6c6d0a-3f6e-4a5b-9c1e-2b7f8f0d4c11"
        volume = f"var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~configmap/config-volume"
        (self.root / f"var/log/pods/kube-system_nodelocaldns-x7k2p_{uid}").mkdir(parents=True)
        # As kubelet does it: the data is in a directory with a date, behind two links.
        self._write(f"{volume}/..2026_03_02_09_20_33.184467440/Corefile", corefile)
        (self.root / volume / "..data").symlink_to("..2026_03_02_09_20_33.184467440")
        (self.root / volume / "Corefile").symlink_to("..data/Corefile")

    def dhclient(self) -> None:
        """Write ifupdown's and dhclient's files."""
        self._write("etc/network/interfaces", INTERFACES)
        (self.root / "etc/network/interfaces.d").mkdir()
        block = "".join(f"{line}\n" for line in self.release.statements)
        block = f"# Ansible entries BEGIN\n{block}# Ansible entries END\n"
        self._write("etc/dhcp/dhclient.conf", block + DHCLIENT_CONF)
        self._write("etc/dhcp/dhclient-exit-hooks.d/zdnsupdate", "#!/bin/sh\n")
        honest, poisoned = ((REAL,), "lab.test"), (self.release.effective, "cluster.local")
        leases = {
            Stage.BEFORE: (honest, honest),
            Stage.FIRST: (honest, honest, poisoned),
            # dhclient starts its file afresh, with the one lease that it knows.
            Stage.SECOND: (poisoned, poisoned),
        }[self.stage]
        blocks = [
            self._lease(servers, domain, self.now - timedelta(hours=2 * age))
            for age, (servers, domain) in zip(range(len(leases))[::-1], leases, strict=True)
        ]
        self._write("var/lib/dhcp/dhclient.eth0.leases", "".join(blocks), at=self.now)

    def _lease(self, servers: tuple[str, ...], domain: str, at: datetime) -> str:
        return LEASE.format(
            router=ROUTER,
            servers=",".join(servers),
            domain=domain,
            renew=at + timedelta(minutes=30),
            rebind=at + timedelta(minutes=52),
            expire=at + timedelta(minutes=60),
        )

    def plain(self) -> None:
        """Write resolv.conf and what Kubespray keeps of it at each of its steps."""
        self._write("etc/resolv.conf", self._resolv_conf())
        early, late = self._block((REAL,)), self._block(self._entries())
        steps = [
            (COMMENT + _HEALTHY, 7113, timedelta(0)),
            (early + COMMENT + _HEALTHY, 7140, timedelta(seconds=2)),
            (early + COMMENT, 24680, timedelta(minutes=21)),
            (late + COMMENT, 24702, timedelta(minutes=21, seconds=2)),
        ]
        for text, pid, after in steps:
            self._backup(text, pid, EARLIEST + after)
        if self.release.is_rerun:
            self._backup(self._whole(), 991, LATEST)

    def resolvconf(self) -> None:
        """Write the files of Debian's package: no backups, for resolv.conf is a link."""
        (self.root / "etc/resolv.conf").symlink_to("../run/resolvconf/resolv.conf")
        self._write("run/resolvconf/resolv.conf", TMPFS + self._resolv_conf())
        self._write("run/resolvconf/interface/eth0.dhclient", self._whole())
        self._write("etc/resolvconf/resolv.conf.d/original", _HEALTHY)
        self._write("etc/resolvconf/resolv.conf.d/base", "")
        self._write("etc/resolvconf/resolv.conf.d/head", TMPFS)

    def network_manager(self) -> None:
        """Write NetworkManager's files: its own DHCP client keeps no nameserver on disk."""
        servers = self.release.effective
        self._write("etc/NetworkManager/NetworkManager.conf", "[main]\nplugins=ifupdown,keyfile\n")
        if self.release.superseded:
            # The list of resolv.conf's entries; ini_file(1) puts blanks around the sign.
            text = DNS_CONF.format(servers=",".join(servers))
            self._write("etc/NetworkManager/conf.d/dns.conf", text)
        self._write(
            "etc/NetworkManager/system-connections/eth0.nmconnection",
            "[connection]\nid=eth0\ntype=ethernet\ninterface-name=eth0\n\n[ipv4]\nmethod=auto\n",
        )
        self._write(
            "var/lib/NetworkManager/internal-7d1b3f0e-8f4e-4f53-9a9c-0d5f0c1f9a10-eth0.lease",
            "# This is private data. Do not parse.\nADDRESS=10.99.0.58\n",
        )
        servers = (REAL,) if self.stage is Stage.BEFORE else servers
        text = f"# Generated by NetworkManager\nsearch lab.test\n{_lines(servers)}"
        for path in ("run/NetworkManager/no-stub-resolv.conf", "run/NetworkManager/resolv.conf"):
            self._write(path, text)
        self._write("etc/resolv.conf", text)

    def resolved(self) -> None:
        """Write systemd-resolved's files: the stub is nobody's upstream but its own."""
        (self.root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
        own = (NODE_LOCAL,) if self.release.superseded else ()
        if own:
            text = RESOLVED_CONF.format(servers=" ".join(own))
            self._write("etc/systemd/resolved.conf.d/kubespray.conf", text)
        link = (REAL,) if self.stage is Stage.BEFORE else self.release.effective
        # It never lists itself.
        servers = tuple(dict.fromkeys(one for one in (*own, *link) if one != STUB))
        self._write("run/systemd/resolve/resolv.conf", f"{_lines(servers)}search lab.test\n")
        stub = f"nameserver {STUB}\noptions edns0 trust-ad\nsearch lab.test\n"
        self._write("run/systemd/resolve/stub-resolv.conf", stub)

    def _entries(self) -> tuple[str, ...]:
        """Return what Kubespray writes into resolv.conf: the host's own servers stay."""
        return tuple(dict.fromkeys((*self.release.superseded, REAL)))

    def _resolv_conf(self) -> str:
        if self.stage is not Stage.BEFORE:
            return self._whole()
        return self._block(self._entries()) + COMMENT

    def _block(self, servers: tuple[str, ...]) -> str:
        return (
            "# Ansible entries BEGIN\n"
            "domain cluster.local\n"
            "search default.svc.cluster.local svc.cluster.local\n"
            f"{_lines(servers)}"
            "options ndots:2 timeout:2 attempts:2\n"
            "# Ansible entries END\n"
        )

    def _whole(self) -> str:
        """Return the file as dhclient-script(8) writes it."""
        if self.stage is Stage.BEFORE:
            return _HEALTHY
        search = "cluster.local default.svc.cluster.local. svc.cluster.local."
        return f"domain cluster.local\nsearch {search}\n{_lines(self.release.effective)}"

    def _backup(self, text: str, pid: int, at: datetime) -> None:
        # Ansible's names are in local time, and so must the test's be.
        local = at.astimezone()
        self._write(f"etc/resolv.conf.{pid}.{local:%Y-%m-%d@%H:%M:%S}~", text, at=at)

    def _write(self, path: str, text: str, *, at: datetime = EARLIEST) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        os.utime(file, (at.timestamp(), at.timestamp()))
