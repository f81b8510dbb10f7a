"""The Debians of the nodes: one tree for managers that can be installed together.

``python3 -m managers.trees [NAME...]``, in ``tests``, makes what is missing and says how long
that took: tests/run does so before the ring's time begins.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from boot import tree
from boot.tree import Recipe

_DHCLIENT = ("ifupdown", "isc-dhcp-client")

DHCLIENT = tree.NODE
RESOLVED = Recipe(
    name="bookworm-resolved", packages=(*_DHCLIENT, "systemd-resolved", "libnss-resolve")
)
"""networkd is in systemd itself."""
NETWORK_MANAGER = Recipe(name="bookworm-nm", packages=("network-manager",))
NETWORK_MANAGER_RESOLVED = Recipe(
    name="bookworm-nm-resolved",
    packages=("network-manager", "systemd-resolved", "libnss-resolve"),
)
RESOLVCONF = Recipe(name="bookworm-resolvconf", packages=(*_DHCLIENT, "resolvconf"))
OPENRESOLV = Recipe(name="bookworm-openresolv", packages=(*_DHCLIENT, "openresolv"))
DHCPCD = Recipe(name="bookworm-dhcpcd", packages=("dhcpcd",))
STATIC = Recipe(name="bookworm-static", packages=("ifupdown",))
TRIXIE = Recipe(name="trixie", release="trixie", packages=("ifupdown", "dhcpcd-base"))
TRIXIE_DHCLIENT = Recipe(name="trixie-dhclient", release="trixie", packages=_DHCLIENT)
TRIXIE_RESOLVED = Recipe(
    name="trixie-resolved",
    release="trixie",
    packages=(*_DHCLIENT, "systemd-resolved", "libnss-resolve"),
)
TRIXIE_BUILD = Recipe(
    name="trixie-build",
    release="trixie",
    packages=(
        "build-essential",
        "debhelper",
        "dh-python",
        "pybuild-plugin-pyproject",
        "python3-setuptools",
    ),
)

ALL = (
    DHCLIENT,
    RESOLVED,
    NETWORK_MANAGER,
    RESOLVCONF,
    OPENRESOLV,
    DHCPCD,
    STATIC,
    NETWORK_MANAGER_RESOLVED,
    TRIXIE,
    TRIXIE_DHCLIENT,
    TRIXIE_RESOLVED,
    TRIXIE_BUILD,
)


def unpacked(recipe: Recipe) -> Path:
    """Return the tree itself, unpacked in the cache: the lower part of every node's overlay."""
    return tree.unpacked(tree.base_tar(recipe))


@dataclass(frozen=True, slots=True)
class _Made:
    recipe: Recipe
    seconds: float

    def __str__(self) -> str:
        return f"{self.recipe.name}: {unpacked(self.recipe)}, {self.seconds:.1f} s"


def main(names: list[str]) -> int:
    """Make the named trees, or all."""
    for recipe in ALL:
        if not names or recipe.name in names:
            start = time.monotonic()
            unpacked(recipe)
            print(_Made(recipe, time.monotonic() - start), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
