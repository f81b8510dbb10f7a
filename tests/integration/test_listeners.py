"""Who serves DNS and who has stopped, in a network namespace with the real kernel."""

import asyncio
import json
import os
import resource
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from lab.netns import Namespace, namespace
from lab.wait import readable, until

from dnsguard.formats.address import IPAddress
from dnsguard.host.listeners import Listeners
from dnsguard.host.netlink import events

pytestmark = pytest.mark.integration

TREE = Path(__file__).parents[2]
NODELOCAL = IPv4Address("169.254.25.10")
SECOND = IPv4Address("169.254.20.10")
NODELOCAL6 = IPv6Address("fd00::10")
LAST = IPv4Address("127.0.0.99")

Serve = Callable[..., socket.socket]


@pytest.fixture
def link(node: Namespace) -> None:
    """Have the node-local addresses, as NodeLocalDNS sets them up."""
    node.bridge("nl", f"{NODELOCAL}/32", f"{SECOND}/32", f"{NODELOCAL6}/128", "fe80::1/64")


@pytest.fixture
def listeners(link: None) -> Iterator[Listeners]:
    made = Listeners()
    yield made
    made.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a way to bind a UDP socket that lasts no longer than the test."""
    with ExitStack() as stack:

        def serve_it(
            address: IPAddress | str = NODELOCAL, port: int = 53, *, is_shared: bool = False
        ) -> socket.socket:
            family = socket.AF_INET6 if ":" in str(address) else socket.AF_INET
            made = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, is_shared)
            to = socket.getaddrinfo(str(address), port, type=socket.SOCK_DGRAM)[0][4]
            made.bind(to)
            return made

        yield serve_it


SERVER = """if True:
    import socket, sys
    served = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    served.bind((sys.argv[1], 53))
    print("ready", flush=True)
    sys.stdin.read()
"""


def told(listeners: Listeners, serve: Serve) -> list[bytes]:
    """Return what is told before a socket that closes now."""
    got: list[bytes] = []

    def is_the_last_told() -> bool:
        got.extend(events(listeners._events))
        return any(LAST.packed in event for event in got)

    serve(LAST).close()
    until(is_the_last_told)
    return [event for event in got if LAST.packed not in event]


def test_a_killed_server_is_told(node: Namespace, listeners: Listeners) -> None:
    """SIGKILL leaves the address bound; that nobody serves it any more is an event."""
    with node.spawn([sys.executable, "-c", SERVER, str(NODELOCAL)]) as started:
        assert started.stdout
        assert started.stdout.readline() == "ready\n"
        assert listeners.find_listening({NODELOCAL, SECOND}) == frozenset({NODELOCAL})
        assert not listeners.drain()
        started.kill()
        assert readable(listeners)
        assert listeners.drain()
        assert listeners.find_listening({NODELOCAL, SECOND}) == frozenset()


def test_one_of_two_that_share_the_port_closes(listeners: Listeners, serve: Serve) -> None:
    """NodeLocalDNS's second instance (SO_REUSEPORT) serves on: told, and still listening."""
    first, second = serve(is_shared=True), serve(is_shared=True)
    first.close()
    assert readable(listeners)
    assert listeners.drain()
    assert listeners.find_listening([NODELOCAL]) == frozenset({NODELOCAL})
    second.close()
    assert readable(listeners)
    assert listeners.find_listening([NODELOCAL]) == frozenset()


@pytest.mark.parametrize(
    ("where", "served"),
    [
        ("0.0.0.0", {NODELOCAL, SECOND}),
        ("::", {NODELOCAL, SECOND, NODELOCAL6}),
        (f"::ffff:{NODELOCAL}", {NODELOCAL}),
        (NODELOCAL, {NODELOCAL}),
        (NODELOCAL6, {NODELOCAL6}),
    ],
)
def test_a_socket_serves_what_a_packet_finds_it_by(
    listeners: Listeners, serve: Serve, where: IPAddress | str, served: set[IPAddress]
) -> None:
    """All addresses (of IPv6 for IPv4, too), or the one that it has; until it closes."""
    ours = serve(where)
    assert listeners.find_listening([NODELOCAL, SECOND, NODELOCAL6]) == frozenset(served)
    ours.close()
    assert readable(listeners)
    assert listeners.drain()
    assert listeners.find_listening([NODELOCAL, SECOND, NODELOCAL6]) == frozenset()


def test_ipv6_only_serves_no_ipv4(listeners: Listeners) -> None:
    """With IPV6_V6ONLY a socket on all addresses leaves IPv4's to others."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as ours:
        ours.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        ours.bind(("::", 53))
        assert listeners.find_listening([NODELOCAL, NODELOCAL6]) == frozenset({NODELOCAL6})


def test_an_ipv4_address_written_as_ipv6_is_the_same(listeners: Listeners, serve: Serve) -> None:
    """It comes back as it was asked for."""
    mapped = IPv6Address(f"::ffff:{NODELOCAL}")
    serve(NODELOCAL)
    assert listeners.find_listening([mapped]) == frozenset({mapped})


def test_a_link_local_address_counts_on_its_link(
    node: Namespace, listeners: Listeners, serve: Serve
) -> None:
    """By the link's name or number; fe80::1 of another link is another address."""
    node.bridge("other", "fe80::1/64")
    number = socket.if_nametoindex("nl")
    serve("fe80::1%nl")
    zones = ["nl", str(number), "other", "gone", "9" * 20, "a\0b"]
    asked = [IPv6Address("fe80::1"), *(IPv6Address(f"fe80::1%{zone}") for zone in zones)]
    assert listeners.find_listening(asked) == frozenset(asked[1:3])


def test_thousands_of_queries_wake_nobody(listeners: Listeners, serve: Serve) -> None:
    """Each query is asked from a socket of its own, which closes after it."""
    for _ in range(3000):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.connect((str(NODELOCAL), 53))
    for port in (52, 54, 53 << 8):
        serve(NODELOCAL, port).close()
        serve(NODELOCAL6, port).close()
    assert told(listeners, serve) == []


def test_another_port_is_another_question(listeners: Listeners, serve: Serve) -> None:
    """Who serves 5353 doesn't serve 53."""
    serve(NODELOCAL, 5353)
    assert listeners.find_listening([NODELOCAL]) == frozenset()
    assert listeners.find_listening([NODELOCAL], 5353) == frozenset({NODELOCAL})


def test_tcp_alone_is_not_listening(listeners: Listeners, serve: Serve) -> None:
    """A query goes over UDP first."""
    with socket.create_server((str(NODELOCAL), 53)):
        assert listeners.find_listening([NODELOCAL]) == frozenset()
    assert told(listeners, serve) == []


def test_nothing_new_is_no_hint(listeners: Listeners) -> None:
    """drain() on a quiet socket returns at once, and says so."""
    assert not listeners.drain()
    assert not readable(listeners, within=0)


def test_no_address_is_no_question(listeners: Listeners) -> None:
    """Nobody listens on none: the kernel can say that."""
    assert listeners.find_listening([]) == frozenset()


def test_another_namespace_has_its_own(listeners: Listeners, serve: Serve) -> None:
    """Pods have servers on port 53, too; they are neither found nor told of."""
    with namespace() as pod:
        with pod.inside():
            theirs = serve("0.0.0.0")
        assert listeners.find_listening([NODELOCAL]) == frozenset()
        theirs.close()
        assert told(listeners, serve) == []


def test_lost_events_are_a_hint(listeners: Listeners, serve: Serve) -> None:
    """When the kernel drops events (ENOBUFS) any socket may be gone, and it goes on."""
    listeners._events.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    with closing(Listeners()) as second:
        for _ in range(50):
            serve().close()
        sent = told(second, serve)
    lost, *kept = events(listeners._events)
    assert lost == b""
    assert len(kept) < len(sent)
    assert told(listeners, serve) == []


def test_it_works_inside_a_running_loop(listeners: Listeners, serve: Serve) -> None:
    """As the daemon uses it."""

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        hint = asyncio.Event()
        loop.add_reader(listeners, hint.set)
        serve().close()
        async with asyncio.timeout(2):
            await hint.wait()
        loop.remove_reader(listeners)

    asyncio.run(watch())


def test_no_descriptor_left_is_no_answer(listeners: Listeners, serve: Serve) -> None:
    """What can't be asked is None: not that nobody listens."""
    serve()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        assert listeners.find_listening([NODELOCAL]) is None
        with pytest.raises(OSError, match="Too many open files"):
            Listeners()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


UNPRIVILEGED = """if True:
    import json, re, select, sys
    from ipaddress import ip_address
    from pathlib import Path
    from dnsguard.host.listeners import Listeners
    listeners = Listeners()
    here = ip_address(sys.argv[1])
    before = listeners.find_listening([here]) == frozenset({here})
    print("ready", flush=True)
    told = select.select([listeners], [], [], 5)[0] != [] and listeners.drain()
    masks = re.findall(r"Cap(?:Eff|Prm|Bnd):\\s*(\\w+)", Path("/proc/self/status").read_text())
    print(json.dumps([before, told, listeners.find_listening([here]) == frozenset(), *masks]))
"""


@pytest.mark.parametrize("user", [0, 65534])
def test_no_capability_is_needed(
    node: Namespace, link: None, serve: Serve, user: int, readable_tree: Path
) -> None:
    """Root of the unit's sandbox or nobody at all: another user's socket is seen and told."""
    ours = serve()
    drop = ["--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    who = [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    command = ["setpriv", *who, *drop, sys.executable, "-c", UNPRIVILEGED, str(NODELOCAL)]
    with node.spawn(command, environ={**os.environ, "PYTHONPATH": str(readable_tree)}) as started:
        assert started.stdout
        assert started.stdout.readline() == "ready\n"
        ours.close()
        *claims, effective, permitted, bounding = json.loads(started.stdout.readline())
    assert claims == [True, True, True]
    assert {int(mask, 16) for mask in (effective, permitted, bounding)} == {0}
