"""What a person edits by hand, with the real daemon: it stays, or the journal says why not."""

import json
from collections.abc import Iterator

import pytest
from lab.guard import NODELOCAL, UPSTREAM, Node
from lab.nameserver import nameserver
from lab.netns import Namespace, cable, namespace
from lab.wait import until

pytestmark = pytest.mark.integration

OTHER, SILENT = "192.0.2.54", "192.0.2.55"


@pytest.fixture
def guard(tmp_path_factory: pytest.TempPathFactory, node: Namespace) -> Iterator[Node]:
    """Return a poisoned node, two upstreams that answer and one that doesn't."""
    with namespace() as outside:
        cable(node, outside)
        node.ip("address add 192.0.2.1/24 dev eth0")
        for address in (UPSTREAM, OTHER, SILENT):
            outside.ip(f"address add {address}/24 dev eth0")
        with nameserver(outside, UPSTREAM), nameserver(outside, OTHER):
            yield Node(tmp_path_factory.mktemp("node"), node)


def _append(guard: Node, server: str) -> None:
    with guard.file.open("a", encoding="ascii") as file:
        file.write(f"nameserver {server}\n")


def _is_usable(guard: Node, server: str) -> bool:
    listed = json.loads(guard.run("upstreams", "--json").stdout)["upstreams"]
    return any(one["address"] == server and one["usable"] for one in listed)


def _is_known_usable(guard: Node, *servers: str) -> None:
    until(lambda: all(_is_usable(guard, server) for server in servers))


def test_an_added_server_removes_nobody(guard: Node) -> None:
    """``echo nameserver >> resolv.conf``: both stay, also after a restart and for pods."""
    pods = guard.root / "var/lib/dnsguard/resolv.conf"
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        _is_known_usable(guard, UPSTREAM)
        _append(guard, OTHER)
        _is_known_usable(guard, UPSTREAM, OTHER)
        guard.wait_for(UPSTREAM, OTHER)
        until(lambda: OTHER in pods.read_text() and UPSTREAM in pods.read_text())
    with guard.guarded():
        _is_known_usable(guard, UPSTREAM, OTHER)
        guard.wait_for(UPSTREAM, OTHER)


def test_what_is_edited_while_handed_over_is_kept_too(guard: Node) -> None:
    """Behind NodeLocalDNS, and in the file for pods; in the person's order."""
    pods = guard.root / "var/lib/dnsguard/resolv.conf"
    guard.where.bridge("nodelocal", NODELOCAL)
    with nameserver(guard.where, NODELOCAL) as nodelocaldns, guard.guarded():
        guard.wait_for(NODELOCAL, UPSTREAM)
        _append(guard, OTHER)
        guard.wait_for(NODELOCAL, UPSTREAM, OTHER)
        until(lambda: pods.read_text().endswith(f"nameserver {UPSTREAM}\nnameserver {OTHER}\n"))
        guard.file.write_text(f"nameserver {OTHER}\nnameserver {UPSTREAM}\n")
        guard.wait_for(NODELOCAL, OTHER, UPSTREAM)
        until(lambda: pods.read_text().endswith(f"nameserver {OTHER}\nnameserver {UPSTREAM}\n"))
        nodelocaldns.process.kill()
        guard.wait_for(OTHER, UPSTREAM)


def test_an_added_server_that_is_silent_is_held_back_with_a_word(guard: Node) -> None:
    """The one that works stays, and the log says why the other is not used."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        _is_known_usable(guard, UPSTREAM)
        _append(guard, SILENT)
        guard.wait_for_line("nameserver_unused", SILENT, "upstream.servers")
        guard.wait_for(UPSTREAM)
        guard.wait_for_line("nameserver_unused", NODELOCAL, "dnsguard hold nodelocal")


def test_a_deleted_server_stays_away_and_can_be_forgotten(guard: Node) -> None:
    """Across a restart, though a backup names it; root alone has it forgotten."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        _is_known_usable(guard, UPSTREAM)
        text = guard.file.read_text().replace(f"\nnameserver {UPSTREAM}", f"\nnameserver {OTHER}")
        guard.file.write_text(text)
        guard.wait_for_line("nameserver_unused", UPSTREAM, f"dnsguard forget {UPSTREAM}")
        guard.wait_for(OTHER)
        _is_known_usable(guard, OTHER)
    with guard.guarded():
        _is_known_usable(guard, OTHER)
        guard.wait_for(OTHER)
        done = guard.run("forget", UPSTREAM)
        assert f"forgotten: {UPSTREAM}, but deleted by hand" in done.stdout, done.stderr
        guard.wait_for_line("upstream_forgotten", UPSTREAM)
        state = (guard.root / "var/lib/dnsguard/state.json").read_text()
        assert UPSTREAM not in state.partition('"deleted"')[0]
        refused = guard.run("forget", SILENT)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert f"{SILENT} is not remembered" in refused.stderr


def test_who_is_forgotten_and_named_all_the_same_is_no_alarm(guard: Node) -> None:
    """It is asked anew, and nobody has been silent: the command says who names it, and ends well."""
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        _is_known_usable(guard, UPSTREAM)
        done = guard.run("forget", UPSTREAM)
        assert f"forgotten: {UPSTREAM}, but " in done.stdout
        assert (done.returncode, "DEGRADED" in done.stdout) == (0, False)
