"""Cases that others have had, each with the file it came with, and what is right."""

from pathlib import Path

import pytest
from property import promises

from dnsguard import config
from dnsguard.cycle import Cycle
from dnsguard.paths import Paths


class Case:
    """A node's files, and the guard that has looked at them once."""

    def __init__(self, root: Path, files: dict[str, str]) -> None:
        self.paths = Paths(root)
        for name, text in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self.cycle = Cycle(self.paths, config.defaults().policy, lambda _: None)
        self.cycle.bind(frozenset())
        self.turn()

    def turn(self) -> None:
        self.cycle.refresh()
        self.cycle.look()
        self.cycle.settle()

    @property
    def named(self) -> list[str]:
        return [str(one) for one in promises.used(self.paths.resolv_conf.read_bytes())]

    @property
    def for_pods(self) -> list[str]:
        return self.paths.pod_file.read_text().splitlines()[1:]

    @property
    def known(self) -> list[str]:
        return [f"{one.source} {one.address}" for one in self.cycle.facts.found.candidates]


def test_02_a_global_address_has_no_zone_in_a_pod(tmp_path: Path) -> None:
    """CoreDNS can't dial one (coredns#6635, #3528); the poison is held back."""
    text = "nameserver 169.254.25.10\nnameserver 2001:db8:1::53%eth0\nnameserver fd00:1::53%eth0\n"
    case = Case(tmp_path, {"etc/resolv.conf": text})
    assert case.named == ["2001:db8:1::53", "fd00:1::53"]
    assert case.for_pods == ["nameserver 2001:db8:1::53", "nameserver fd00:1::53"]


@pytest.mark.parametrize("poison", ["", "nameserver 169.254.25.10\n"])
def test_08_pods_keep_the_nodes_options(tmp_path: Path, poison: str) -> None:
    """Those that they had before kubelet was adopted (aws/containers-roadmap#303)."""
    options = "options single-request-reopen use-vc timeout:1 ndots:1"
    text = f"{poison}nameserver 10.1.1.1\n{options}\n"
    case = Case(tmp_path, {"etc/resolv.conf": text})
    assert case.for_pods == ["nameserver 10.1.1.1", options]
