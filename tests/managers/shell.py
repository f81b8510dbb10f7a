"""A shell in one booted node, to look around or to try a cure by hand.

``python3 -m managers.shell [--poison] [--deb DEB] SETUP [SCRIPT...]``, in ``tests``, as root: a
script for sh(1) in the node, else bash. Each SCRIPT runs in a boot of its own. The node is gone
afterwards.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from lab import gobin

from managers import asking, setups, tables
from managers.lab import open_lab
from managers.node import ManagedNode


def main() -> int:
    """Boot, let the caller in, and tell who resolves."""
    options = _parse()
    setup = next(one for one in setups.ALL if one.name == options.setup)
    with tempfile.TemporaryDirectory() as place:
        programs = {**asking.programs(Path(place)), "coredns": gobin.coredns()}
        with open_lab(setup, Path(place, "lab"), programs) as lab:
            node = lab.node
            if options.poison:
                node.poison()
            if options.deb:
                node.install(options.deb.resolve())
            for number, script in enumerate(options.script or ["exec bash"], 1):
                if node.is_running:
                    node.shut_down()
                node.start()
                _tell(node, f"boot {number}")
                subprocess.run(node.inside("sh", "-c", script), check=False)
    return 0


def _tell(node: ManagedNode, moment: str) -> None:
    cells = {str(way): str(answer) for way, answer in node.ask().items()}
    print(*tables.lay_out([(str(node.setup), moment, cells)]), sep="\n", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="managers.shell")
    parser.add_argument("--poison", action="store_true", help="as Kubespray leaves it")
    parser.add_argument("--deb", type=Path, help="install this package first")
    parser.add_argument("setup", choices=[one.name for one in setups.ALL])
    parser.add_argument("script", nargs="*")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
