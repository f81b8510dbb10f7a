"""How a bench with the real chain begins: NodeLocalDNS is built, and the network left behind."""

import sys
from collections.abc import Callable

from bench_tree import CannotMeasureError
from bench_world import enter_namespaces
from lab import gobin, gobuild


def measure_beside_nodelocal(measure: Callable[[str], int]) -> int:
    """Return the exit status of ``measure``, which is told what NodeLocalDNS is.

    It is built out here, where there is a network, and measured in private namespaces.
    """
    if not gobin.is_had():
        print("skipped: no Go >= 1.21 to build CoreDNS with", file=sys.stderr)
        return 0
    try:
        program = str(gobin.nodelocal())
        enter_namespaces()
        return measure(program)
    except (CannotMeasureError, gobuild.MissingError, AssertionError, OSError) as problem:
        sys.exit(f"cannot measure: {problem}")
