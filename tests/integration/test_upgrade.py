"""A daemon of today on what an earlier release has left, asked by that release's commands."""

import json
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from lab.guard import NODELOCAL, POISON, UPSTREAM, Node, upstream
from lab.netns import Namespace

from dnsguard.formats.guarded_resolvconf import unguard

pytestmark = pytest.mark.integration

RELEASES = sorted((Path(__file__).parents[1] / "data/releases").iterdir())
each = pytest.mark.parametrize("release", RELEASES, ids=lambda path: str(path.name))


@pytest.fixture
def node_of(release: Path, tmp_path: Path, node: Namespace) -> Node:
    """Return a node on which nothing but that release's memory names the upstream."""
    made = Node(tmp_path, node, knows=False)
    kept = made.root / "var/lib/dnsguard"
    kept.mkdir(parents=True)
    shutil.copy(release / "state.json", kept)
    shutil.copy(release / "resolv.conf.foreign", kept)
    made.file.write_bytes(POISON)
    return made


def _ask(node: Node, line: str) -> dict[str, Any]:
    """Say a line to the daemon as that release's command did, and return what it says."""
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(10)
        asked.connect(str(node.root / "run/dnsguard/root.sock"))
        asked.sendall(line.encode() + b"\n")
        with asked.makefile() as reply:
            said: dict[str, Any] = json.loads(reply.readline())
    return said


@each
def test_it_remembers_what_that_one_did(release: Path, node_of: Node) -> None:
    """The poisoned node of the incident resolves after the upgrade by what was learned before."""
    with upstream(node_of.where), node_of.guarded():
        node_of.wait_for(UPSTREAM)
        assert "state_unreadable" not in node_of.log.read_text()
    assert release.is_dir()


@each
def test_its_guarded_file_is_taken_over(release: Path, node_of: Node) -> None:
    """As it stands, byte for byte, with what it holds back; nothing is written."""
    shutil.copy(release / "resolv.conf", node_of.file)
    before = node_of.file.stat().st_ino
    with upstream(node_of.where), node_of.guarded():
        node_of.wait_for(UPSTREAM)
        assert node_of.status()["resolv_conf"]["held_back"] == [NODELOCAL]
    assert node_of.file.stat().st_ino == before
    assert node_of.file.read_bytes() == (release / "resolv.conf").read_bytes()
    assert unguard(node_of.file.read_bytes()) == POISON


@each
def test_its_requests_are_served(release: Path, node_of: Node) -> None:
    """Each of them; and the answers to a request for a status have its keys."""
    required = json.loads((release / "status.schema.json").read_text())["required"]
    with upstream(node_of.where), node_of.guarded():
        node_of.wait_for(UPSTREAM)
        for line in (release / "requests").read_text().splitlines():
            said = _ask(node_of, line)
            assert (said["version"], said["ok"]) == (1, True), (line, said)
            if json.loads(line)["request"] in ("status", "hold", "release", "forget"):
                assert set(required) <= said["answer"].keys()
