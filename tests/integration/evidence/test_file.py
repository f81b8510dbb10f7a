"""What the evidence makes of the file: its order, what is left, what reaches nobody."""

from contextlib import ExitStack

import pytest
from lab.guard import NODELOCAL, POISON, UPSTREAM, Node
from lab.nameserver import nameserver
from lab.netns import Namespace
from lab.wait import until

from integration.evidence.known import UNTOLD, ask_of, ask_state, list_for_pods, remember, was_asked

pytestmark = pytest.mark.integration


def test_silence_of_all_changes_nothing(guard: Node, outside: Namespace) -> None:
    """The remembered one is as dead as the one in the file, which stays as it is."""
    remember(guard, UNTOLD)
    text = f"nameserver {UPSTREAM}\n"
    guard.file.write_text(text)
    with nameserver(outside, UPSTREAM) as used, nameserver(outside, UNTOLD) as other:
        with guard.guarded():
            until(lambda: ask_state(guard) == "verified")
            other.play("silent")
            used.play("silent")
            until(lambda: ask_state(guard) == "unverified", within=40)
            until(lambda: was_asked(other, ".", times=3), within=20)
            assert guard.file.read_text() == text
            assert f"{UPSTREAM} gives no answer" in guard.run("status").stdout.splitlines()[0]
            used.play("answer")
            until(lambda: ask_state(guard) == "verified", within=40)
            assert guard.file.read_text() == text
        assert guard.file.read_text() == text


def test_a_poison_that_is_left_is_not_called_the_best_one(guard: Node, outside: Namespace) -> None:
    """Only a router that nobody named is known, and NodeLocalDNS may come up: that is said."""
    assert outside
    leases = guard.root / "var/lib/dhcp/dhclient.eth0.leases"
    leases.parent.mkdir(parents=True)
    leases.write_text(
        'lease {\n interface "eth0";\n option routers 192.0.2.53;\n'
        f" option domain-name-servers {NODELOCAL};\n expire never;\n}}\n"
    )
    guard.where.bridge("nodelocal", NODELOCAL)
    with nameserver(guard.where, NODELOCAL), guard.guarded():
        until(lambda: ask_state(guard) == "unverified")
        guard.wait_for_line("upstream_changed", "unverified", "NodeLocalDNS may answer")
        said = guard.run("status").stdout.splitlines()[0]
        assert "left as it is: no upstream is known, and NodeLocalDNS may answer" in said
        assert "best known" not in said + guard.log.read_text()


def test_the_same_servers_come_in_the_same_order(guard: Node, outside: Namespace) -> None:
    """Whoever is the fastest: after each poisoning, each start, and for pods."""
    ordered = [UNTOLD, UPSTREAM, "192.0.2.52"]
    outside.ip(f"address add {ordered[2]}/24 dev eth0")
    listed = "".join(f"nameserver {one}\n" for one in ordered)
    (guard.root / "etc/resolv.conf.bak").write_text(listed)
    with ExitStack() as stack:
        servers = [stack.enter_context(nameserver(outside, one)) for one in ordered]
        for slow in servers:
            for one in servers:
                one.play("late answer" if one is slow else "answer")
            with guard.guarded():
                until(lambda: all(ask_of(guard, one)["usable"] for one in ordered))
                guard.file.write_bytes(POISON)
                guard.wait_for(*ordered)
                until(lambda: list_for_pods(guard) == ordered)


def test_a_zone_of_a_global_address_reaches_nobody(guard: Node, outside: Namespace) -> None:
    """RA clients write one, glibc drops it, CoreDNS can't dial it (case 02)."""
    real, cluster = "2001:db8:1::53", "2001:db8:1::10"
    outside.ip(f"address add {real}/64 dev eth0 nodad")
    guard.where.ip("address add 2001:db8:1::1/64 dev eth0 nodad")
    (guard.root / "etc/dnsguard/dnsguard.toml").write_text(
        f'[cluster]\ndns = ["10.233.0.3", "{cluster}"]\n'
    )
    lines = f"nameserver {NODELOCAL}\nnameserver {cluster}%eth0\nnameserver {real}%eth0\n"
    guard.file.write_text(lines)
    with nameserver(outside, real), guard.guarded():
        guard.wait_for(real)
        until(lambda: ask_state(guard) == "verified")
        assert f"\nnameserver {real}%eth0\n" in guard.file.read_text()
        assert list_for_pods(guard) == [real]
        assert "%" not in (guard.root / "var/lib/dnsguard/resolv.conf").read_text()
