"""What programs on the node see of the file: the C library in order, Go when it looks again."""

import subprocess
from pathlib import Path

import pytest
from lab.guard import NODELOCAL, UPSTREAM, Node
from lab.nameserver import nameserver
from lab.wait import until

from dnsguard.core import resolvconf

pytestmark = pytest.mark.integration

ROTATING = (
    f"nameserver {NODELOCAL}\nnameserver {UPSTREAM}\noptions timeout:1 rotate attempts:1\n".encode()
)
TRIES = 30
"""New processes; with ``rotate`` each begins with a server of its own choice."""
_ASK = """
mount --make-rprivate / && mount --bind "$0" /etc && for _ in $(seq "$1"); do
    getent ahostsv4 kubernetes.default.svc.cluster.local. >/dev/null && echo found
done
true
"""


def _found(guard: Node, etc: Path) -> int:
    """Return how many new processes find the cluster's name with glibc and this /etc."""
    command = ["unshare", "--mount", "sh", "-c", _ASK, str(etc), str(TRIES)]
    with guard.where.inside():
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return done.stdout.count("found")


def test_rotate_loses_no_cluster_name_while_nodelocal_shares_the_file(
    guard: Node, tmp_path: Path
) -> None:
    """Handed over, every process finds the cluster; the control is the file with ``rotate``."""
    guard.file.write_bytes(ROTATING)
    control = tmp_path / "control"
    control.mkdir()
    (control / "resolv.conf").write_bytes(ROTATING)
    with guard.guarded():
        guard.where.bridge("nodelocal", NODELOCAL)
        with nameserver(guard.where, NODELOCAL):
            guard.wait_for(NODELOCAL, UPSTREAM)
            until(lambda: not resolvconf.rotates(guard.file.read_bytes()))
            assert b"\noptions timeout:1 attempts:1\n" in guard.file.read_bytes()
            assert _found(guard, guard.root / "etc") == TRIES
            assert _found(guard, control) < TRIES
        guard.wait_for(UPSTREAM)
        assert resolvconf.unguard(guard.file.read_bytes()) == ROTATING
