"""Cluster DNS at an address that nobody told of: the real daemon finds it out."""

import json
import subprocess
from pathlib import Path

import pytest
from lab import gobin
from lab.guard import POISON, UPSTREAM, Node
from lab.nameserver import nameserver
from lab.netns import Namespace
from lab.wait import until

from integration.evidence.known import (
    KUBERNETES,
    SERVICE,
    UNTOLD,
    ask_of,
    ask_state,
    list_for_pods,
    read_kept,
    remember,
    was_asked,
)

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("address", [SERVICE, UNTOLD])
def test_the_cluster_dns_of_a_poisoned_lease_is_never_written(
    guard: Node, outside: Namespace, address: str
) -> None:
    """The boot: all are silent, then cluster DNS is up at an address that nobody told of.

    Silence doesn't clear it. The remembered server is in both files all the while, and at
    the next boot it is refused before it was asked.
    """
    remember(guard, UPSTREAM)
    guard.file.write_bytes(POISON + f"nameserver {address}\n".encode())
    with guard.guarded():
        guard.wait_for(UPSTREAM)
        until(lambda: str(ask_of(guard, UPSTREAM)["detail"]).startswith("gives no answer"))
        with nameserver(outside, address, script="cluster", says=KUBERNETES):
            until(lambda: bool(read_kept(guard).get("cluster_dns")))
            assert ask_of(guard, address)["refused"]
            assert (guard.servers(), list_for_pods(guard)) == ([UPSTREAM], [UPSTREAM])
    guard.file.write_bytes(f"nameserver {address}\n".encode())
    pods = guard.root / "var/lib/dnsguard/resolv.conf"
    pods.write_text(f"nameserver {address}\n")
    guard.run("secure")
    assert (guard.servers(), list_for_pods(guard)) == ([UPSTREAM], [UPSTREAM])


def test_the_control_a_real_server_at_that_address_is_used(guard: Node, outside: Namespace) -> None:
    """It is what the server says that counts: with the remembered one silent, it is written."""
    remember(guard, UPSTREAM)
    guard.file.write_bytes(POISON + f"nameserver {SERVICE}\n".encode())
    with nameserver(outside, SERVICE), guard.guarded():
        guard.wait_for(SERVICE)
        assert ask_state(guard) == "verified"


def test_who_was_found_out_is_cleared_when_it_is_cluster_dns_no_longer(
    guard: Node, outside: Namespace
) -> None:
    """The conviction is no life sentence: it does not know the name, and resolves."""
    remember(guard, UPSTREAM, answered=None)
    state = read_kept(guard) | {"version": 3, "kubernetes": []}
    state["cluster_dns"] = [{"address": UPSTREAM, "seen": 1.7e9}]
    (guard.root / "var/lib/dnsguard/state.json").write_text(json.dumps(state))
    guard.run("secure")
    assert UPSTREAM not in guard.servers()
    guard.file.write_bytes(POISON + f"nameserver {UPSTREAM}\n".encode())
    with nameserver(outside, UPSTREAM), guard.guarded():
        guard.wait_for(UPSTREAM)
        until(lambda: not read_kept(guard)["cluster_dns"])


def test_cluster_dns_found_out_leaves_the_file_for_pods(guard: Node, outside: Namespace) -> None:
    """Also where nobody else is known: every CoreDNS would inherit the loop."""
    guard.file.write_text(f"nameserver {UNTOLD}\n")
    pods = guard.root / "var/lib/dnsguard/resolv.conf"
    with guard.guarded():
        until(pods.exists)
        assert list_for_pods(guard) == [UNTOLD]  # promise 5: the best candidate that is known
        with nameserver(outside, UNTOLD, script="cluster", says=KUBERNETES):
            until(lambda: list_for_pods(guard) == [])
            assert guard.status()["degraded"]


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
            until(lambda: was_asked(upstream, ".local.", times=3), within=30.0)
            assert ask_state(guard) == "unverified"
            assert ask_of(guard, UNTOLD)["udp_ms"] is not None
            guard.file.write_bytes(POISON + f"nameserver {UPSTREAM}\n".encode())
            guard.wait_for(UPSTREAM)
            until(lambda: list_for_pods(guard) == [UPSTREAM])
    finally:
        process.kill()
        process.wait()
