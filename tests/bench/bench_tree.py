"""A directory tree in which one tool guards its resolv.conf, and what every bench knows."""

from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
PYTHON = "/usr/bin/python3"
UPSTREAM = "192.0.2.53"
NODE_LOCAL = "169.254.25.10"
# What Kubespray's host_resolvconf mode leaves after a reboot (DESIGN.md, section 1).
KUBESPRAY = f"""\
domain cluster.local
search cluster.local default.svc.cluster.local. svc.cluster.local.
nameserver {NODE_LOCAL}
"""
HEALTHY = KUBESPRAY.replace(NODE_LOCAL, UPSTREAM)
DEADLINE_S = 20.0


class CannotMeasureError(Exception):
    """Raised when there is no figure to be had: a tool is missing, a process didn't start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """A root directory in which one tool guards ``etc/resolv.conf``."""

    root: Path

    @property
    def resolv_conf(self) -> Path:
        return self.root / "etc/resolv.conf"

    @property
    def nameservers(self) -> list[str]:
        lines = self.resolv_conf.read_text("utf-8").splitlines()
        return [line.split()[1] for line in lines if line.startswith("nameserver ")]

    @property
    def is_poisoned(self) -> bool:
        return NODE_LOCAL in self.nameservers

    def replace(self, text: str) -> None:
        temporary = self.root / "new"
        temporary.write_text(text, "utf-8")
        temporary.replace(self.resolv_conf)


def make_tree(root: Path) -> Tree:
    for directory in ("etc/dnsguard", "etc/dhcp", "run/dnsguard", "var/lib/dnsguard"):
        (root / directory).mkdir(parents=True)
    config = root / "etc/dnsguard/dnsguard.toml"
    config.write_text(f'[upstream]\nservers = ["{UPSTREAM}"]\n', "utf-8")
    tree = Tree(root=root)
    tree.replace(HEALTHY)
    return tree
