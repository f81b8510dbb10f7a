"""What the guard says of a node, beside what the node then does."""

import json
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from boot.kubespray import CLUSTER_ADDRESSES
from boot.machine import nameservers

from managers import asking
from managers.asking import Answer, Way
from managers.node import ManagedNode
from managers.setup import RESOLV_CONF, STUB, UPLINK


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """A moment of a node: the verdicts, and what is so."""

    answers: dict[Way, Answer]
    pods: tuple[str, ...]
    """Whom the file that kubelet gives to pods names."""
    check: tuple[int, str]
    status: int
    doctor: tuple[int, str]

    @property
    def wrong(self) -> list[str]:
        """What does not work, in sentences."""
        dead = asking.dead(self.answers).items()
        return [f"{way} does not resolve: {said}" for way, said in dead] + self.wrong_for_pods

    @property
    def wrong_for_pods(self) -> list[str]:
        """What is wrong with the file that they get."""
        if not self.pods:
            return ["pods get a file that names nobody"]
        return [f"pods get {one}" for one in self.pods if is_dead_end(one)]

    @property
    def lies(self) -> list[str]:
        """Where the verdicts and the node part."""
        found = []
        if (self.check[0] == 0) != (not self.wrong):
            found.append(f"check: {self.check[1]!r}, yet wrong is {self.wrong}")
        if (self.status == 0) != (self.check[0] == 0):
            found.append(f"status exits {self.status}, check {self.check[0]}")
        if (self.doctor[0] == 0) != (not self.wrong_for_pods):
            found.append(f"doctor: {self.doctor}, yet wrong is {self.wrong_for_pods}")
        return found


@dataclass(frozen=True, slots=True)
class Forecast:
    """What ``dnsguard forecast`` says of the next boot, with dnsguard or without: any of these."""

    futures: tuple[dict[str, Any], ...]

    def find_lies(self, named: list[str]) -> list[str]:
        """Return where it parts from whom the node came to ask; nothing is said, no lie."""
        is_poisoned = not named or any(one in CLUSTER_ADDRESSES for one in named)
        told = [one for one in self.futures if one["poisoned"] is not None]
        if told != list(self.futures) or any(
            one["poisoned"] == is_poisoned and (one["text"] is None or one["nameservers"] == named)
            for one in told
        ):
            return []
        return [f"forecast: {one['nameservers']}, yet it is {named}" for one in told]


def whom_it_asks(node: ManagedNode) -> list[str]:
    """Return whom the running node's resolv.conf names; for a stub, whom that asks."""
    asked = list[str]()
    for one in node.named_by(RESOLV_CONF):
        asked += node.named_by(UPLINK) if one == STUB else [one]
    return list(dict.fromkeys(asked))


def foresee(node: ManagedNode, key: str) -> Forecast:
    """Ask what the next boot brings "with" dnsguard, or "without"."""
    done = node.try_("dnsguard", "forecast", "--json")
    assert done.returncode in (0, 2), done.stdout
    return Forecast(tuple(one[key] for one in json.loads(done.stdout)["reboot"]))


def is_dead_end(address: str) -> bool:
    """Tell whether a pod that asks this one asks itself, nobody, or the cluster."""
    plain = address.partition("%")[0]
    return plain in CLUSTER_ADDRESSES or ip_address(plain).is_loopback


def look(node: ManagedNode) -> Truth:
    """Ask the guard, then the node."""
    done = node.try_("dnsguard", "check")
    doctor = node.try_("dnsguard", "doctor")
    return Truth(
        doctor=(doctor.returncode, doctor.stdout.strip()),
        check=(done.returncode, done.stdout.strip()),
        status=node.try_("dnsguard", "status").returncode,
        answers=node.ask(),
        pods=tuple(nameservers(node.pods_file())),
    )
