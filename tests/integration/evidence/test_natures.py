"""What the real daemon takes a server for, by what it answers."""

import pytest
from lab.guard import POISON, UPSTREAM, Node
from lab.nameserver import nameserver
from lab.netns import Namespace
from lab.wait import until

from integration.evidence.known import (
    KUBERNETES,
    UNTOLD,
    WEB,
    ask_of,
    ask_state,
    list_for_pods,
    remember,
    was_asked,
)

pytestmark = pytest.mark.integration


STUB = "127.0.0.53"
STUB_LIST = "run/systemd/resolve/stub-resolv.conf"


def test_a_server_that_answers_but_shows_nothing_is_not_verified(
    guard: Node, outside: Namespace
) -> None:
    """It is named where all else is silent, gives way to one that is cleared, and stays known."""
    (guard.root / "etc/resolv.conf.bak").write_text(f"nameserver {UNTOLD}\n")
    with nameserver(outside, UNTOLD, script="unsynced") as unsynced, guard.guarded():
        guard.wait_for(UNTOLD)
        until(lambda: was_asked(unsynced, ".local.", times=3))
        assert ask_state(guard) == "unverified"
        guard.file.write_bytes(POISON + f"nameserver {UPSTREAM}\n".encode())
        with nameserver(outside, UPSTREAM):
            guard.wait_for(UPSTREAM)
            until(lambda: ask_state(guard) == "verified")
            until(lambda: list_for_pods(guard) == [UPSTREAM])


NATURES = [
    pytest.param("answer", "verified", id="the control"),
    pytest.param("everything", "verified", id="wildcard"),
    pytest.param("rootless", "verified", id="knows no NS of the root"),
    pytest.param("cluster", "none", id="cluster DNS"),
    pytest.param("unsynced", "unverified", id="cluster DNS, not synced"),
    pytest.param("picky", "unverified", id="refuses such names"),
    pytest.param("nxdomain", "unverified", id="denies the root itself"),
    pytest.param("stub", "unverified", id="empty of its own authority"),
    pytest.param("refused", "unverified", id="refuses the root"),
]


@pytest.mark.parametrize(("script", "state"), NATURES)
def test_what_a_server_is_taken_for(
    guard: Node, outside: Namespace, script: str, state: str
) -> None:
    """Named by a backup, the file poisoned: whoever is no cluster DNS is named all the same."""
    (guard.root / "etc/resolv.conf.bak").write_text(f"nameserver {UPSTREAM}\n")
    says = KUBERNETES if script == "cluster" else WEB
    with nameserver(outside, UPSTREAM, script=script, says=says) as server, guard.guarded():
        until(lambda: was_asked(server, ".", times=4))
        until(lambda: ask_state(guard) == state)
        guard.file.write_bytes(POISON)
        guard.wait_for(*([] if state == "none" else [UPSTREAM]))


def _resolved(guard: Node, asks: str, *, is_linked: bool) -> None:
    """Set up resolved's files, with or without the link to one of them."""
    directory = guard.root / "run/systemd/resolve"
    directory.mkdir(parents=True)
    (directory / "resolv.conf").write_text(f"nameserver {asks}\n")
    (directory / "stub-resolv.conf").write_text(f"nameserver {STUB}\n")
    guard.file.write_text(f"nameserver {STUB}\n")
    if is_linked:
        guard.file.unlink()
        guard.file.symlink_to("../" + STUB_LIST)


@pytest.mark.parametrize(("script", "state"), [("stub", "unverified"), ("answer", "verified")])
def test_a_stub_with_nobody_behind_it_is_not_believed(guard: Node, script: str, state: str) -> None:
    """It answers for the root itself; the name that it can't know tells. The control answers."""
    _resolved(guard, UPSTREAM, is_linked=True)
    with nameserver(guard.where, STUB, script=script), guard.guarded():
        until(lambda: "answers" in str(ask_of(guard, STUB)["detail"]))
        until(lambda: ask_state(guard) == state)


def test_a_stub_that_echoes_our_own_file_is_no_upstream(guard: Node, outside: Namespace) -> None:
    """resolv.conf is no link to resolved's: what resolved asks is what we wrote."""
    remember(guard, UPSTREAM)
    _resolved(guard, UNTOLD, is_linked=False)
    with nameserver(outside, UPSTREAM), nameserver(guard.where, STUB), guard.guarded():
        guard.wait_for(UPSTREAM)
        assert ask_of(guard, STUB)["refused"]
        known = [one["address"] for one in guard.status()["upstream"]["servers"]]
        assert UNTOLD not in known


@pytest.mark.parametrize(("options", "state"), [("use-vc", "verified"), ("ndots:2", "unverified")])
def test_an_upstream_over_tcp_alone_counts_where_the_file_says_so(
    guard: Node, outside: Namespace, options: str, state: str
) -> None:
    """Glibc asks it over TCP by use-vc (case 67); without that no program has it: the control."""
    text = f"nameserver {UPSTREAM}\noptions {options}\n"
    guard.file.write_text(text)
    with nameserver(outside, UPSTREAM, script="tcp-only"), guard.guarded():
        until(lambda: str(ask_of(guard, UPSTREAM)["detail"]) != "not asked yet")
        until(lambda: ask_state(guard) == state)
        assert guard.file.read_text() == text
        assert bool(guard.status()["degraded"]) is (state == "unverified")
        listed = guard.run("upstreams")
        assert listed.returncode == (0 if state == "verified" else 2)
        assert ("in the file, but over UDP: gives no answer" in listed.stdout) is (
            state == "unverified"
        )
        assert guard.run("upstreams", "--json").returncode == listed.returncode


def test_who_refuses_the_question_brings_the_hint(guard: Node, outside: Namespace) -> None:
    """Case 62: status says who it is, what it says, whom the file names, and what helps."""
    (guard.root / "etc/resolv.conf.bak").write_text(f"nameserver {UPSTREAM}\n")
    with nameserver(outside, UPSTREAM, script="refused"), guard.guarded():
        until(lambda: "REFUSED" in guard.run("status").stdout)
        said = guard.run("status").stdout.splitlines()[0]
        assert f"{UPSTREAM} answers REFUSED; if it serves other names: upstream.question" in said
        assert "the best known one is used: dnsguard upstreams" in said
