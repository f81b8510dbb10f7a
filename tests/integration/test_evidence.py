"""What counts as a real upstream: the real daemon before servers that are, seem, or are not."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from lab import gobin
from lab.guard import NODELOCAL, POISON, UPSTREAM, Node
from lab.nameserver import Nameserver, nameserver
from lab.netns import Namespace, cable, namespace
from lab.wait import until

from dnsguard.core import resolvconf

pytestmark = pytest.mark.integration

OWN = "192.0.2.1"
UNTOLD = "192.0.2.54"
"""A service address of cluster DNS that nobody has told of, and no network gives away."""
SERVICE = "10.233.10.10"
"""One among Kubespray's services, untold as well."""
KUBERNETES, WEB = "10.233.0.1", "203.0.113.80"
STUB = "127.0.0.53"
STUB_LIST = "run/systemd/resolve/stub-resolv.conf"


@pytest.fixture
def outside(node: Namespace) -> Iterator[Namespace]:
    """Return the network that the node is in; nobody answers there yet."""
    with namespace() as made:
        cable(node, made)
        node.ip(f"address add {OWN}/24 dev eth0")
        for address in (UPSTREAM, UNTOLD, SERVICE):
            made.ip(f"address add {address}/24 dev eth0")
        node.ip(f"route add {SERVICE} dev eth0")
        yield made


@pytest.fixture
def guard(tmp_path: Path, node: Namespace, outside: Namespace) -> Node:
    """Return a poisoned node that knows nobody."""
    assert outside
    return Node(tmp_path, node, knows=False)


def _remember(guard: Node, address: str, *, answered: float | None = 1.7e9) -> None:
    state = guard.root / "var/lib/dnsguard/state.json"
    state.parent.mkdir(parents=True, exist_ok=True)
    entry = {"address": address, "source": "dhcp", "origin": "earlier", "seen": 1.7e9}
    known = {"version": 2, "remembered": [entry | {"interface": None, "answered": answered}]}
    state.write_text(json.dumps(known))


def _kept(guard: Node) -> dict[str, Any]:
    state: dict[str, Any] = json.loads((guard.root / "var/lib/dnsguard/state.json").read_text())
    return state


def _for_pods(guard: Node) -> list[str]:
    content = (guard.root / "var/lib/dnsguard/resolv.conf").read_bytes()
    return [str(server.address) for server in resolvconf.nameservers(content)]


def _of(guard: Node, address: str) -> dict[str, Any]:
    """Return what the daemon knows of one server."""
    entries = json.loads(guard.run("upstreams", "--json").stdout)["upstreams"]
    found: dict[str, Any] = next(one for one in entries if one["address"] == address)
    return found


def _state(guard: Node) -> str:
    state: str = guard.status()["upstream"]["state"]
    return state


def _asked(server: Nameserver, name: str, times: int = 1) -> bool:
    return sum(one.name.endswith(name) for one in server.asked()) >= times


@pytest.mark.parametrize("address", [SERVICE, UNTOLD])
def test_the_cluster_dns_of_a_poisoned_lease_is_never_written(
    guard: Node, outside: Namespace, address: str
) -> None:
    """The boot: all are silent, then cluster DNS is up at an address that nobody told of.

    Silence doesn't clear it. The remembered server is in both files all the while, and at
    the next boot it is refused before it was asked.
    """
    _remember(guard, UPSTREAM)
    guard.file.write_bytes(POISON + f"nameserver {address}\n".encode())
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        until(lambda: str(_of(guard, UPSTREAM)["detail"]).startswith("gives no answer"))
        with nameserver(outside, address, script="cluster", says=KUBERNETES):
            until(lambda: bool(_kept(guard).get("cluster_dns")))
            assert _of(guard, address)["refused"]
            assert (guard.servers(), _for_pods(guard)) == ([UPSTREAM], [UPSTREAM])
    guard.file.write_bytes(f"nameserver {address}\n".encode())
    pods = guard.root / "var/lib/dnsguard/resolv.conf"
    pods.write_text(f"nameserver {address}\n")
    guard.run("secure")
    assert (guard.servers(), _for_pods(guard)) == ([UPSTREAM], [UPSTREAM])


def test_the_control_a_real_server_at_that_address_is_used(guard: Node, outside: Namespace) -> None:
    """It is what the server says that counts: with the remembered one silent, it is written."""
    _remember(guard, UPSTREAM)
    guard.file.write_bytes(POISON + f"nameserver {SERVICE}\n".encode())
    with nameserver(outside, SERVICE), guard.guarded():
        guard.wait_for(SERVICE)
        assert _state(guard) == "verified"


def test_who_was_found_out_is_cleared_when_it_is_cluster_dns_no_longer(
    guard: Node, outside: Namespace
) -> None:
    """The conviction is no life sentence: it does not know the name, and resolves."""
    _remember(guard, UPSTREAM, answered=None)
    state = _kept(guard) | {"version": 3, "kubernetes": []}
    state["cluster_dns"] = [{"address": UPSTREAM, "seen": 1.7e9}]
    (guard.root / "var/lib/dnsguard/state.json").write_text(json.dumps(state))
    guard.run("secure")
    assert UPSTREAM not in guard.servers()
    guard.file.write_bytes(POISON + f"nameserver {UPSTREAM}\n".encode())
    with nameserver(outside, UPSTREAM), guard.guarded():
        guard.wait_for(UPSTREAM)
        until(lambda: not _kept(guard)["cluster_dns"])


def test_cluster_dns_found_out_leaves_the_file_for_pods(guard: Node, outside: Namespace) -> None:
    """Also where nobody else is known: every CoreDNS would inherit the loop."""
    guard.file.write_text(f"nameserver {UNTOLD}\n")
    pods = guard.root / "var/lib/dnsguard/resolv.conf"
    with guard.guarded():
        until(pods.exists)
        assert _for_pods(guard) == [UNTOLD]  # promise 5: the best candidate that is known
        with nameserver(outside, UNTOLD, script="cluster", says=KUBERNETES):
            until(lambda: _for_pods(guard) == [])
            assert guard.status()["degraded"]


def test_a_server_that_answers_but_shows_nothing_is_not_verified(
    guard: Node, outside: Namespace
) -> None:
    """It is named where all else is silent, gives way to one that is cleared, and stays known."""
    (guard.root / "etc/resolv.conf.bak").write_text(f"nameserver {UNTOLD}\n")
    with nameserver(outside, UNTOLD, script="unsynced") as unsynced, guard.guarded():
        guard.wait_for(UNTOLD)
        until(lambda: _asked(unsynced, ".local.", times=3))
        assert _state(guard) == "unverified"
        guard.file.write_bytes(POISON + f"nameserver {UPSTREAM}\n".encode())
        with nameserver(outside, UPSTREAM):
            guard.wait_for(UPSTREAM)
            until(lambda: _state(guard) == "verified")
            until(lambda: _for_pods(guard) == [UPSTREAM])


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
        until(lambda: _asked(server, ".", times=4))
        until(lambda: _state(guard) == state)
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
        until(lambda: "answers" in str(_of(guard, STUB)["detail"]))
        until(lambda: _state(guard) == state)


def test_a_stub_that_echoes_our_own_file_is_no_upstream(guard: Node, outside: Namespace) -> None:
    """resolv.conf is no link to resolved's: what resolved asks is what we wrote."""
    _remember(guard, UPSTREAM)
    _resolved(guard, UNTOLD, is_linked=False)
    with nameserver(outside, UPSTREAM), nameserver(guard.where, STUB), guard.guarded():
        guard.wait_for(UPSTREAM)
        assert _of(guard, STUB)["refused"]
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
        until(lambda: str(_of(guard, UPSTREAM)["detail"]) != "not asked yet")
        until(lambda: _state(guard) == state)
        assert guard.file.read_text() == text
        assert bool(guard.status()["degraded"]) is (state == "unverified")
        listed = guard.run("upstreams")
        assert listed.returncode == (0 if state == "verified" else 2)
        assert ("in the file, but over UDP it gives no answer" in listed.stdout) is (
            state == "unverified"
        )
        assert guard.run("upstreams", "--json").returncode == listed.returncode


def test_silence_of_all_changes_nothing(guard: Node, outside: Namespace) -> None:
    """The remembered one is as dead as the one in the file, which stays as it is."""
    _remember(guard, UNTOLD)
    text = f"nameserver {UPSTREAM}\n"
    guard.file.write_text(text)
    with nameserver(outside, UPSTREAM) as used, nameserver(outside, UNTOLD) as other:
        with guard.guarded():
            until(lambda: _state(guard) == "verified")
            other.play("silent")
            used.play("silent")
            until(lambda: _state(guard) == "unverified", within=40)
            until(lambda: _asked(other, ".", times=3), within=20)
            assert guard.file.read_text() == text
            assert f"{UPSTREAM} gives no answer" in guard.run("status").stdout.splitlines()[0]
            used.play("answer")
            until(lambda: _state(guard) == "verified", within=40)
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
        until(lambda: _state(guard) == "unverified")
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
                until(lambda: all(_of(guard, one)["usable"] for one in ordered))
                guard.file.write_bytes(POISON)
                guard.wait_for(*ordered)
                until(lambda: _for_pods(guard) == ordered)


def test_who_refuses_the_question_brings_the_hint(guard: Node, outside: Namespace) -> None:
    """Case 62: status says who it is, what it says, whom the file names, and what helps."""
    (guard.root / "etc/resolv.conf.bak").write_text(f"nameserver {UPSTREAM}\n")
    with nameserver(outside, UPSTREAM, script="refused"), guard.guarded():
        until(lambda: "REFUSED" in guard.run("status").stdout)
        said = guard.run("status").stdout.splitlines()[0]
        assert f"{UPSTREAM} answers REFUSED; if it serves other names: upstream.question" in said
        assert "the best known one is used: dnsguard upstreams" in said


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
        until(lambda: _state(guard) == "verified")
        assert f"\nnameserver {real}%eth0\n" in guard.file.read_text()
        assert _for_pods(guard) == [real]
        assert "%" not in (guard.root / "var/lib/dnsguard/resolv.conf").read_text()


_UNSYNCED = f"""
.:53 {{
    errors
    kubernetes cluster.local {{
        endpoint http://192.0.2.99:8080
    }}
    forward . {UPSTREAM}
    cache 30
    bind {UNTOLD}
}}
"""


def test_coredns_without_its_api_server_is_not_verified(
    guard: Node, outside: Namespace, tmp_path: Path
) -> None:
    """The real kubernetes plugin: it resolves names outside, and says SERVFAIL for its own zone.

    The upstream behind it is the control: it is verified, and takes its place.
    """
    if not gobin.is_had():
        pytest.skip("no Go toolchain, and no CoreDNS in the cache")
    corefile = tmp_path / "Corefile"
    corefile.write_text(_UNSYNCED)
    (guard.root / "etc/resolv.conf.bak").write_text(f"nameserver {UNTOLD}\n")
    command = [str(gobin.coredns()), "-conf", str(corefile)]
    with nameserver(outside, UPSTREAM) as upstream, outside.inside():
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with nameserver(outside, UPSTREAM) as upstream, guard.guarded():
            until(lambda: _asked(upstream, ".local.", times=3), within=30.0)
            assert _state(guard) == "unverified"
            assert _of(guard, UNTOLD)["udp_ms"] is not None
            guard.file.write_bytes(POISON + f"nameserver {UPSTREAM}\n".encode())
            guard.wait_for(UPSTREAM)
            until(lambda: _for_pods(guard) == [UPSTREAM])
    finally:
        process.kill()
        process.wait()
