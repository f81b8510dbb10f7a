"""What NetworkManager writes of its devices, read by the real daemon as soon as it is there."""

import time

import pytest
from lab.guard import POISON, UPSTREAM, Node
from lab.wait import until

pytestmark = pytest.mark.integration

DEAD = "192.0.2.77"


def test_while_nobody_answers_each_new_file_is_read_at_once(guard: Node) -> None:
    """In a directory that was not there. The second one came 20 ms behind the first, and waited."""
    (guard.root / "etc/resolv.conf.bak").unlink()  # nobody is known
    guard.file.write_bytes(POISON)
    device = guard.root / "run/NetworkManager/devices/2"
    with guard.guarded():
        until(lambda: bool(guard.status()["mode"] == "guarding"))
        device.parent.mkdir(parents=True)
        for server in (DEAD, UPSTREAM):
            device.write_text(f"[dhcp4]\ndhcp4.domain_name_servers={server}\n")
            since = time.monotonic()
            until(lambda server=server: server in guard.servers())  # type: ignore[misc]
            took = time.monotonic() - since
        origins = [one["origin"] for one in guard.status()["upstream"]["servers"]]
    print(f"followed after {1e3 * took:.0f} ms")
    assert took < 0.4, "half a second is what a node with an upstream waits"
    assert any("NetworkManager/devices/2" in one for one in origins)
