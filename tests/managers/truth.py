"""What the guard says of a node, beside what the node then does."""

from dataclasses import dataclass
from ipaddress import ip_address

from boot.kubespray import CLUSTER_ADDRESSES
from boot.machine import nameservers

from managers import asking
from managers.asking import Answer, Way
from managers.node import ManagedNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """A moment of a node: the verdicts, and what is so."""

    answers: dict[Way, Answer]
    pods: tuple[str, ...]
    """Whom the file that kubelet gives to pods names."""
    check: tuple[int, str]
    status: int

    @property
    def wrong(self) -> list[str]:
        """What does not work, in sentences."""
        found = [
            f"{way} does not resolve: {said}" for way, said in asking.dead(self.answers).items()
        ]
        if not self.pods:
            found.append("pods get a file that names nobody")
        return found + [f"pods get {one}" for one in self.pods if is_dead_end(one)]

    @property
    def lies(self) -> list[str]:
        """Where the verdicts and the node part."""
        found = []
        if (self.check[0] == 0) != (not self.wrong):
            found.append(f"check: {self.check[1]!r}, yet wrong is {self.wrong}")
        if (self.status == 0) != (self.check[0] == 0):
            found.append(f"status exits {self.status}, check {self.check[0]}")
        return found


def is_dead_end(address: str) -> bool:
    """Tell whether a pod that asks this one asks itself, nobody, or the cluster."""
    plain = address.partition("%")[0]
    return plain in CLUSTER_ADDRESSES or ip_address(plain).is_loopback


def look(node: ManagedNode) -> Truth:
    """Ask the guard, then the node."""
    done = node.try_("dnsguard", "check")
    return Truth(
        check=(done.returncode, done.stdout.strip()),
        status=node.try_("dnsguard", "status").returncode,
        answers=node.ask(),
        pods=tuple(nameservers(node.pods_file())),
    )
