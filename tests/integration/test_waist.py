"""One hint, one decision: what the daemon does for an event, counted in the real one."""

import sys
from collections import Counter
from pathlib import Path

import pytest
from lab.guard import NODELOCAL, POISON, UPSTREAM, Node
from lab.nameserver import nameserver
from lab.wait import until

pytestmark = pytest.mark.integration

COUNTING = """\
import sys, traceback
from pathlib import Path
import dnsguard.file_hints, dnsguard.guard
from dnsguard.cli import main
from dnsguard.host.addresses import Addresses
from dnsguard.host.listeners import Listeners

log = Path(sys.argv[2], "calls").open("a", buffering=1)

def count(place, name):
    function = getattr(place, name)
    def counted(*arguments, **named):
        callers = [frame.name for frame in traceback.extract_stack()]
        print(name, *callers, file=log)
        result = function(*arguments, **named)
        if getattr(result, "is_about_file", False):
            print("hint_about_the_file", *callers, file=log)
        return result
    setattr(place, name, counted)

count(dnsguard.guard, "repair")
count(dnsguard.guard, "follow_up")
count(dnsguard.file_hints.FileHints, "take")
count(Addresses, "find_bound")
count(Listeners, "find_listening")
sys.exit(main(sys.argv[1:]))
"""
"""The daemon as it is; each call of these is a line, with who has called."""


class Counted(Node):
    """A node whose daemon counts."""

    def command(self, *arguments: str) -> list[str]:
        if arguments != ("run",):
            return super().command(*arguments)
        return [sys.executable, "-c", COUNTING, "--root", str(self.root), *arguments]

    @property
    def calls(self) -> Path:
        return self.root / "calls"

    def count(self, handler: str) -> Counter[str]:
        """Return how often what was called on behalf of a handler of hints."""
        lines = [line.split() for line in self.calls.read_text().splitlines()]
        return Counter(line[0] for line in lines if handler in line)


@pytest.fixture
def counted(guard: Node) -> Counted:
    node = Counted.__new__(Counted)
    node.__dict__.update(guard.__dict__)
    return node


@pytest.mark.parametrize("text", [POISON, POISON.replace(b"10\n", b"10 # new\n")])
def test_a_foreign_write_is_decided_once(counted: Counted, text: bytes) -> None:
    """From what lies ready, or anew; and its own rename is no reason to decide again."""
    with counted.guarded():
        counted.wait_for(UPSTREAM)
        counted.file.write_bytes(POISON)
        counted.wait_for(UPSTREAM)
        until(lambda: any(counted.file.parent.glob(".resolv.conf.dnsguard-*")))
        until(lambda: bool(counted.status()["tramples"]["count"]))
        counted.calls.write_text("")
        (counted.root / "new").write_bytes(text)
        (counted.root / "new").rename(counted.file)
        counted.wait_for(UPSTREAM)
        until(lambda: bool(counted.status()["tramples"]["count"] == 2))
        until(lambda: any(counted.file.parent.glob(".resolv.conf.dnsguard-*")))
    made = counted.count("_on_files")
    assert (made["repair"], made["follow_up"]) == (1, 1)
    assert 1 <= made["hint_about_the_file"] <= 2  # the other's rename, and its own


def test_a_removed_address_is_looked_at_twice(counted: Counted) -> None:
    """At once, and when all else has been looked up again; the kernel lists it once for each."""
    counted.where.bridge("nodelocal", NODELOCAL)
    with nameserver(counted.where, NODELOCAL), counted.guarded():
        counted.wait_for(NODELOCAL, UPSTREAM)
        counted.calls.write_text("")
        counted.where.ip(f"address del {NODELOCAL}/32 dev nodelocal")
        counted.wait_for(UPSTREAM)
        until(lambda: bool(counted.count("_look_at_everything")))
        until(lambda: bool(counted.status()["nodelocal"]["state"] == "absent"))
    made = counted.count("_on_addresses")
    # On a busy machine the kernel's messages may be read in two turns: two hints.
    hints = made["find_bound"]
    assert hints in (1, 2)
    assert (made["repair"], made["follow_up"]) == (hints, hints)
    assert made["find_listening"] == hints
