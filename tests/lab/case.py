"""A case: a node of somebody's, laid out and run, so that what is right there can be looked for.

:class:`Guarded` is judged by what the real daemon makes of it. :class:`Booted` is about what
dhclient's files make of resolv.conf: the real dhclient boots with them, beside the forecast.
"""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dnsguard.formats import resolvconf
from dnsguard.host import processes
from lab import dhclient, dhcp, dnsmasq
from lab.guard import POISON, TREE, Node
from lab.nameserver import nameserver
from lab.netns import Namespace, cable, namespace
from lab.wait import until

DATA = Path(__file__).parents[1] / "data/cases"
NODE, FIRST, SECOND = "10.1.1.10", "10.1.1.1", "10.1.1.2"
PUBLIC = "203.0.113.80"
"""A web server: what a nameserver says of every name it knows."""
PATIENCE = float(os.environ.get("CASE_PATIENCE", "20"))
_POLICY = "etc/dnsguard/dnsguard.toml"

Right = Mapping[str, object]
"""What is looked at, and what must be seen there: of :data:`_TEXTS`, a part."""
_TEXTS = frozenset(
    [
        "text",
        "plan",
        "forecast",
        "next",
        "degraded",
        "upstreams",
        "kubelet",
        "loops",
        "because",
        "caveats",
        "verdict",
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What all cases have."""

    name: str
    """Up to the first colon, of the directory with its files, too."""
    source: str
    """Where it was reported."""
    files: Mapping[str, str | None] = field(default_factory=dict)
    """In the place of the directory's, or beside them; None: not there."""
    right: Right

    def lay_out(self, root: Path) -> None:
        directory = DATA / self.name.partition(":")[0]
        # By content: of a checkout that a group may write, the modes would convict each file.
        given: dict[str, bytes | None] = {
            str(path.relative_to(directory)): path.read_bytes()
            for path in directory.rglob("*")
            if path.is_file()
        }
        own = {name: None if text is None else text.encode() for name, text in self.files.items()}
        for name, content in {**given, **own}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if content is not None:
                path.write_bytes(content)


def _shows(looks: Mapping[str, Callable[[], object]], right: Right) -> bool:
    """Tell whether everything is as it must be."""
    return all(_is_right(name, expected, looks[name]()) for name, expected in right.items())


def _is_right(name: str, expected: object, found: object) -> bool:
    if name in _TEXTS and isinstance(expected, str) and isinstance(found, str):
        return expected in found
    return expected == found


def _wait_for(looks: Mapping[str, Callable[[], object]], right: Right) -> None:
    """Wait until it is so.

    :raises AssertionError: it is not, in time; with what there is instead.
    """
    try:
        until(lambda: _shows(looks, right), within=PATIENCE)
    except TimeoutError as error:
        found = {name: looks[name]() for name in right}
        raise AssertionError(f"{found}\nis not\n{dict(right)}") from error


# -- what the daemon makes of it ------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded(Case):
    """The daemon runs on it."""

    answers: Mapping[str, str] = field(default_factory=lambda: {FIRST: "answer"})
    """The script of each nameserver (:mod:`lab.nameserver`); at the node's addresses, on it."""
    says: str = PUBLIC
    """The address that each of them has for every name it knows."""
    runs: tuple[str, ...] = ()
    """A process of root's, its title and its arguments."""
    dhcp: str | None = None
    """Whom the DHCP server names when it is asked; None: there is none."""
    before: Right = field(default_factory=dict)
    """What is right before the daemon runs."""
    poisoned: Right | None = None
    """What is right once dhclient has written 169.254.25.10 alone."""

    def play(self, directory: Path) -> None:
        """Lay it out, run the daemon, and look.

        :raises AssertionError: something is not right.
        """
        with ExitStack() as stack:
            node = self._node(directory, stack)
            was = node.file.read_bytes() if node.file.exists() else None
            looks = _looks(node, was)
            _wait_for(looks, self.before)
            stack.enter_context(node.guarded())
            _wait_for(looks, self.right)
            if self.poisoned is not None:
                node.file.write_bytes(POISON)
                _wait_for(looks, self.poisoned)

    def _node(self, directory: Path, stack: ExitStack) -> Node:
        where, outside = stack.enter_context(_joined())
        for number, (address, script) in enumerate(self.answers.items()):
            at = _attach(address, where, outside, number)
            stack.enter_context(nameserver(at, address, script=script, says=self.says))
        node = Node(directory / "node", where, knows=False)
        node.file.unlink()
        self.lay_out(node.root)
        if self.runs:
            stack.enter_context(_process(node.root, self.runs))
        if self.dhcp is not None:
            offer = ("--dhcp-range=10.1.1.50,10.1.1.99,1h", f"--dhcp-option=6,{self.dhcp}")
            server = dnsmasq.Server(outside, directory, offer, link="eth0")
            stack.callback(server.stop)
        return node


@contextmanager
def _joined() -> Iterator[tuple[Namespace, Namespace]]:
    """Join the node to its network, in which 10.1.1.1 is."""
    with namespace() as node, namespace() as outside:
        cable(node, outside)
        node.ip(f"address add {NODE}/24 dev eth0")
        node.ip("address add 2001:db8:1::10/64 dev eth0 nodad")
        outside.ip(f"address add {FIRST}/24 dev eth0")
        yield node, outside


def _attach(address: str, node: Namespace, outside: Namespace, number: int) -> Namespace:
    """Give somebody the address, and return who has it."""
    if address.startswith("169.254."):
        node.bridge(f"nodelocal{number}", address)
        return node
    if address == NODE or address.startswith("127."):
        return node
    if address != FIRST:
        length = "64 dev eth0 nodad" if ":" in address else "24 dev eth0"
        outside.ip(f"address add {address}/{length}")
        if not address.startswith(("10.1.1.", "2001:db8:1:")):
            node.ip(f"route add {address} dev eth0")
    return outside


@contextmanager
def _process(root: Path, command: tuple[str, ...]) -> Iterator[None]:
    """Run a process that calls itself so, and is among the node's."""
    title, *arguments = command
    with subprocess.Popen(
        [title, "-c", "read x", "sh", *arguments], executable="/bin/sh", stdin=subprocess.PIPE
    ) as process:
        try:
            until(lambda: processes.read_process(Path("/proc"), process.pid) is not None)
            (root / "proc").mkdir(exist_ok=True)
            (root / f"proc/{process.pid}").symlink_to(f"/proc/{process.pid}")
            yield
        finally:
            process.kill()


def _looks(node: Node, was: bytes | None) -> dict[str, Callable[[], object]]:
    """Return what can be looked at on a guarded node."""

    def status(*keys: str) -> Any:  # noqa: ANN401 -- JSON
        found: Any = node.status()
        for key in keys:
            found = found[key]
        return found

    def pods() -> list[str]:
        return (node.root / "var/lib/dnsguard/resolv.conf").read_text().splitlines()[1:]

    def kubelet() -> str:
        done = node.run("kubelet")
        return f"{done.returncode} {done.stdout}"

    return {
        "names": node.servers,
        "text": node.file.read_text,
        "is untouched": lambda: node.file.read_bytes() == was,
        "pods": pods,
        "mode": lambda: status("mode"),
        "next": lambda: " ".join(status("next")),
        "degraded": lambda: " ".join(status("degraded")) or None,
        "nodelocal": lambda: status("nodelocal", "state"),
        "upstream": lambda: status("upstream", "state"),
        "first from": lambda: status("upstream", "servers")[0]["source"],
        "usable": lambda: [
            one["address"] for one in status("upstream", "servers") if one["usable"]
        ],
        "upstreams": lambda: node.run("upstreams").stdout,
        "plan": lambda: node.run("plan").stdout,
        "forecast": lambda: node.run("forecast").stdout,
        "kubelet": kubelet,
        "loops": kubelet,
    }


# -- what dhclient makes of it --------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted(Case):
    """The node boots, without dnsguard, as is forecast."""

    offer: tuple[str, ...] = dnsmasq.OFFER

    def play(self, directory: Path) -> None:
        """Have a lease, lay the case out, ask for the forecast, and boot.

        :raises AssertionError: something is not right, or came otherwise than forecast.
        """
        with dhcp.world(directory, offer=self.offer) as lab:
            machine = lab.machine
            self.lay_out(machine.root)
            with _bound(machine):
                pass
            self.lay_out(machine.root)
            node = Node.__new__(Node)
            node.root, node.where, node._code = machine.root, machine.where, TREE
            said = json.loads(node.run("forecast", "--json").stdout)
            (reboot,) = said["reboot"]
            with _bound(machine):
                pass
            content = machine.file.read_bytes()
            looks: dict[str, Callable[[], object]] = {
                "names": lambda: [str(one) for one in resolvconf.read_addresses(content)],
                "foreseen": lambda: reboot["without"]["nameservers"],
                "is as forecast": lambda: reboot["without"]["text"] == content.decode(),
                "verdict": lambda: said.get("verdict"),
                "owner": lambda: said["maker"],
                "because": lambda: json.dumps(reboot["because"]),
                "caveats": lambda: json.dumps(reboot["caveats"]),
                "dangers": lambda: [one["what"] for one in said["hazards"] if not one["defused"]],
            }
            found = {name: looks[name]() for name in self.right}
            assert _shows(looks, self.right), f"{found}\nis not\n{dict(self.right)}"


@contextmanager
def _bound(machine: dhclient.Machine) -> Iterator[None]:
    """Run dhclient until it has its lease."""
    with machine.dhclient() as started:
        until(lambda: "bound to" in started.log(), within=dhclient.PATIENCE)
        yield
