"""The story, chapter by chapter. Every wait is for a condition, every time is measured."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from demo import lookup
from demo.lookup import Lookup, look_up
from demo.net import Net
from demo.node import BACKUP, Node, UnexpectedError
from demo.screen import Screen
from demo.setting import PRIVATE, Setting

WORLD = "registry.k8s.io"
CLUSTER = "kubernetes.default.svc.cluster.local"
WRITES = 3
"""Too few to count as a fight, or for the log to collapse their lines."""
COMPILED = 60.0
"""Seconds that a slow machine may take to compile dnsguard."""
DEATH = 15.0
"""Seconds until a dead NodeLocalDNS is noticed at the latest: ``health.slow`` and some."""


@dataclass(slots=True)
class Times:
    """What was measured, in seconds."""

    start: float = 0.0
    repairs: list[float] = field(default_factory=list)
    handover: float = 0.0
    death: float = 0.0
    lookups: int = 0
    removal: float = 0.0


class Story:
    """The chapters share a node and what was measured on it."""

    def __init__(self, made: Node, setting: Setting, net: Net | None, screen: Screen) -> None:
        """Prepare to tell it.

        :param net: the node's network, where it has one of its own.
        """
        self.screen = screen
        self._node = made
        self._setting = setting
        self._net = net
        self._times = Times()

    def tell(self) -> None:
        self.screen.title(
            "dnsguard's demo: a Kubespray node after an unplanned reboot", self._about()
        )
        self._node.start_upstream()
        self._without()
        self._node.until(self._node.is_installed, "dnsguard to be compiled", within=COMPILED)
        self._starts()
        self._is_trampled()
        kill = self._hands_over()
        self._nodelocal_dies(kill)
        if self._net is not None:
            self._address_goes(self._net)
        self._daemon_dies()
        self._sum_up()

    def _about(self) -> str:
        lookups = (
            f" Lookups go as glibc's do, but with a timeout of {lookup.TIMEOUT:g} s instead of 5 s."
        )
        if self._setting.is_private:
            return (
                "The daemon, inotify, netlink and DNS are real; network, processes and files are"
                " private to this demo, and nothing of this machine is touched." + lookups
            )
        return (
            "This machine gives no namespaces (a container?), so the story is told in a scratch"
            " directory. The daemon, inotify and DNS are real, and nothing of this machine is"
            f" changed. What is different: NodeLocalDNS is {self._setting.nodelocal} instead of"
            f" {PRIVATE.nodelocal} and the upstream {self._setting.upstream}, loopback addresses"
            " both; so the upstream stands in dnsguard.toml, there is no file for pods, and the"
            " chapter in which NodeLocalDNS takes its address away is left out." + lookups
        )

    def _without(self) -> None:
        self.screen.chapter("Without dnsguard: the file that dhclient wrote at boot")
        self._show_file()
        result = look_up(WORLD, self._node.paths.resolv_conf)
        if result.answer is not None:
            raise UnexpectedError(f"demo: expected no answer without dnsguard, got {result.answer}")
        self.screen.bad(
            f"{WORLD}: nothing answers on {self._setting.nodelocal}, asked {lookup.ATTEMPTS} times in"
            f" {_time(result.seconds)}. No image can be pulled, so NodeLocalDNS can't start."
        )

    def _starts(self) -> None:
        self.screen.chapter("dnsguard starts")
        started = time.monotonic()
        self._node.start_daemon()
        expected = "a file without the dead nameserver"
        self._times.start = self._node.until(self._is_guarding, expected) - started
        self.screen.good(f"repaired {_time(self._times.start)} after the process was started")
        self._show_file()
        if self._setting.is_private:
            self.screen.say(f"Kubespray's backup knew it: /{BACKUP}")
        self._await_status("upstream", "verified")
        self._must_resolve(WORLD)
        self._show_log()

    def _is_trampled(self) -> None:
        self.screen.chapter("dhclient renews its lease and writes the poison again")
        for _ in range(WRITES):
            began = time.monotonic()
            self._node.poison()
            repaired = self._node.until(self._is_guarding, "the foreign write to be repaired")
            self._times.repairs.append(repaired - began)
        times = ", ".join(_time(seconds) for seconds in self._times.repairs)
        self.screen.good(
            f"{WRITES} writes, each repaired; from the beginning of the write: {times}"
        )
        self._must_resolve(WORLD)
        self._show_log()

    def _hands_over(self) -> Callable[[], None]:
        self.screen.chapter(f"NodeLocalDNS comes up on {self._setting.nodelocal}")
        self._bind()
        self._await_status("nodelocal", "silent")
        self._must_guard()
        self.screen.say("Its address is there, nothing answers yet: the file stays as it is.")
        kill = self._node.start_nodelocal()
        self._times.handover = self._await_handover()
        self.screen.good(
            f"handed over {_time(self._times.handover)} after it began to listen, and only"
            " after three answers in a row"
        )
        self._show_file()
        self._must_resolve(CLUSTER)
        self._must_resolve(WORLD)
        if self._setting.is_private:
            self._show_pod_file()
        self._show_log()
        return kill

    def _nodelocal_dies(self, kill: Callable[[], None]) -> None:
        self.screen.chapter("NodeLocalDNS dies (kill -9), its address stays bound")
        self.screen.say("Programs go on looking names up all the while.")
        died = time.monotonic()
        kill()
        failed: list[Lookup] = []

        def is_back() -> bool:
            result = look_up(WORLD, self._node.paths.resolv_conf)
            self._times.lookups += 1
            if result.answer is None:
                failed.append(result)
            return self._is_guarding()

        back = self._node.until(is_back, "the upstream back in the file", within=DEATH)
        self._times.death = back - died
        self.screen.good(f"back to the upstream {_time(self._times.death)} after its death")
        if failed:
            raise UnexpectedError(f"demo: expected no lookup to fail; {len(failed)} did")
        self.screen.good(
            f"{self._times.lookups} lookups until then, none failed: behind NodeLocalDNS the"
            " file names the upstream as well"
        )
        self._show_log()

    def _bind(self) -> None:
        if self._net is not None:
            self._net.bind()

    def _address_goes(self, net: Net) -> None:
        self.screen.chapter("NodeLocalDNS is back, then stops and takes its address away")
        kill = self._node.start_nodelocal()
        again = self._await_handover()
        self.screen.say(f"Handed over again, {_time(again)} after it began to listen.")
        removed = time.monotonic()
        net.unbind()
        expected = "the upstream back in the file"
        self._times.removal = self._node.until(self._is_guarding, expected) - removed
        kill()
        self.screen.good(
            f"back to the upstream {_time(self._times.removal)} after the address was removed"
        )
        self._must_resolve(WORLD)
        self._show_log()

    def _daemon_dies(self) -> None:
        self.screen.chapter("The worst moment: handed over, and dnsguard is killed with -9")
        self._bind()
        kill = self._node.start_nodelocal()
        self._await_handover()
        self._node.kill_daemon()
        kill()
        self.screen.say("NodeLocalDNS dies as well, and nobody is there to see it.")
        self._must_resolve(WORLD)
        self._node.secure()
        self._must_guard()
        self.screen.good("the unit's ExecStopPost, dnsguard secure, leaves this file behind:")
        self._show_file()
        self._must_resolve(WORLD)

    def _sum_up(self) -> None:
        times = self._times
        went = f", and {_time(times.removal)} after its address went" if self._net else ""
        self.screen.end(
            "Measured",
            f"From the start of the process to a safe file: {_time(times.start)}. A foreign"
            f" write repaired: {_time(median(times.repairs))} (median). Handed over to NodeLocalDNS:"
            f" {_time(times.handover)} after it came up. Back to the upstream:"
            f" {_time(times.death)} after its death, with 0 of {times.lookups} lookups failed"
            f" meanwhile{went}.",
        )
        self.screen.end(
            "What to do next",
            "On a node: install the package (sudo packaging/install), look at dnsguard status,"
            " then set resolvConf: /var/lib/dnsguard/resolv.conf in kubelet's configuration,"
            " so that no pod inherits the loop. dnsguard(8) tells the rest.",
        )

    def _is_guarding(self) -> bool:
        return self._node.servers() == [self._setting.upstream]

    def _await_handover(self) -> float:
        """Return the seconds until NodeLocalDNS stands first, the upstream behind it."""
        listening = time.monotonic()
        wanted = [self._setting.nodelocal, self._setting.upstream]
        expected = f"nameservers {self._setting.nodelocal}, {self._setting.upstream} in the file"
        return self._node.until(lambda: self._node.servers() == wanted, expected) - listening

    def _await_status(self, part: str, state: str) -> None:
        def is_so() -> bool:
            found = self._node.status().get(part)
            return isinstance(found, dict) and found.get("state") == state

        self._node.until(is_so, f"{part} {state} in dnsguard status")

    def _must_guard(self) -> None:
        servers = self._node.servers()
        if servers != [self._setting.upstream]:
            found = ", ".join(servers) or "none"
            raise UnexpectedError(
                f"demo: expected {self._setting.upstream} alone in the file, found {found}"
            )

    def _must_resolve(self, name: str) -> None:
        result = look_up(name, self._node.paths.resolv_conf)
        if result.answer is None:
            raise UnexpectedError(f"demo: expected an answer for {name}; nobody gave one")
        passed = "".join(f"{address} fails, " for address in result.failed)
        self.screen.good(
            f"{name}: {passed}{result.server} answers {result.answer} ({_time(result.seconds)})"
        )

    def _show_file(self) -> None:
        self._show("/etc/resolv.conf", self._node.paths.resolv_conf)

    def _show_pod_file(self) -> None:
        self._show("/var/lib/dnsguard/resolv.conf, for kubelet:", self._node.paths.pod_file)

    def _show(self, name: str, path: Path) -> None:
        self.screen.quote(name, path.read_text("utf-8").splitlines())

    def _show_log(self) -> None:
        self.screen.log(self._node.told())


def _time(seconds: float) -> str:
    """Return a duration as a person reads it."""
    milliseconds = seconds * 1000
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
