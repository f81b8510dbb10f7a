"""A lab: one node of a set-up in its outside world, and the proof that nothing is left behind."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from boot.lab import told_on_failure, untouched_host

from managers import machine, trees
from managers.node import ManagedNode
from managers.outside import Outside
from managers.overlay import Overlay
from managers.setup import Setup


@dataclass(frozen=True, slots=True)
class Lab:
    """One node, without power at first and without dnsguard, plugged into its outside world."""

    setup: Setup
    outside: Outside
    node: ManagedNode


@contextmanager
def open_lab(setup: Setup, directory: Path, programs: dict[str, Path]) -> Iterator[Lab]:
    """Give a lab of a healthy node in ``directory``, an empty one.

    :param programs: what the node needs to ask and to be asked, by name.
    """
    lower = trees.unpacked(setup.tree)
    directory.mkdir(parents=True, exist_ok=True)
    with untouched_host(directory), ExitStack() as stack:
        outside = Outside(directory, families=setup.families)
        stack.callback(outside.close)
        node = ManagedNode(setup, Overlay(lower, directory), directory / "console.log", outside)
        stack.callback(node.close)
        machine.add_programs(node.tree, programs)
        with told_on_failure(node):
            yield Lab(setup, outside, node)
