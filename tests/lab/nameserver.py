"""A small real nameserver in a process of its own, over UDP and TCP, that misbehaves on demand.

A script says what one question brings, step by step: ``"answer"``, or
``"wrong-id answer"`` for a forged datagram with the true one behind it. In tests::

    with nameserver(node, "169.254.25.10") as server:
        server.play("servfail")
        ...
        assert server.asked()
        server.process.kill()
"""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from dnsguard.formats import resolvconf
from lab.container import NO_CONTAINER, Container
from lab.netns import Namespace

CLUSTER = dns.name.from_text("cluster.local.")
KUBERNETES = dns.name.from_text("kubernetes.default.svc.cluster.local.")
ROOT = (dns.name.root, dns.rdatatype.NS)
LOCAL = dns.name.from_text("local.")
NODELOCAL = "169.254.25.10"
TTL = 5
LATE = 0.2
"""Seconds that ``late`` waits."""
PATIENCE = 0.2
"""Seconds that a forwarded question may take."""
DENYING = frozenset({"answer", "cluster", "rootless", "tcp-only"})
"""Scripts that know the cluster's names only on the node-local address."""
FLOOD = 20_000
"""Datagrams of a ``flood``."""


@dataclass(frozen=True)
class Asked:
    """One question, as the server got it."""

    name: str
    rdtype: str
    id: int
    source: str
    port: int
    transport: str
    edns: bool


class Nameserver:
    """The server as its test sees it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def play(self, script: str) -> None:
        """Behave like this from the next question on."""
        self._tell(f"play {script}")

    def asked(self) -> list[Asked]:
        """Return the questions so far."""
        return [Asked(**one) for one in json.loads(self._tell("asked"))]

    def _tell(self, command: str) -> str:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.wait()

    def wait(self) -> str:
        """Return its next word.

        :raises RuntimeError: it is dead; stderr says why.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        if not line:
            raise RuntimeError(f"the nameserver ended with {self.process.wait()}")
        return line


@contextmanager
def nameserver(  # noqa: PLR0913 -- each a trait of the server
    where: Namespace,
    address: str,
    *,
    script: str = "answer",
    says: str = "192.0.2.1",
    port: int = 53,
    box: Container = NO_CONTAINER,
) -> Iterator[Nameserver]:
    """Run a nameserver; when this returns it listens.

    On the node-local address it is cluster DNS; anywhere else it denies the cluster's names,
    as every real resolver does, unless its script is one of these:

    - ``"everything"``: a wildcard, or a rewriter of NXDOMAIN;
    - ``"cluster"``: cluster DNS, which knows ``kubernetes.default.svc`` and no nonsense;
    - ``"unsynced"``: CoreDNS while it waits for its API server;
    - ``"picky"``: it refuses any name below ``local.``, and resolves the rest;
    - ``"rootless"``: names outside, and no NS of the root, as small forwarders do;
    - ``"stub"``: systemd-resolved with no server behind it;
    - ``"tcp-only"``: it answers over TCP alone;
    - ``"mute"``: it reads all questions and answers none, nor does it hang up;
    - ``"tcp-mute"``, ``"tcp-unread"``, ``"tcp-unaccepted"``: over UDP alone; of a connection it
      reads the question, not even that, or does not take it at all, and hangs.

    :param says: the A record of every name, so that tests can tell servers apart.
    :param box: the container that it is in.
    """
    with _run(where, address, str(port), says, script, box=box) as server:
        yield server


@contextmanager
def nodelocal(
    where: Namespace, address: str, *, says: str, resolv_conf: Path
) -> Iterator[Nameserver]:
    """Run a NodeLocalDNS: it answers for the cluster's names alone, whatever its address.

    :param resolv_conf: whose first nameserver is asked for all other names, as
        ``forward . /etc/resolv.conf`` does in a pod.
    """
    with _run(where, address, "53", says, "answer", str(resolv_conf)) as server:
        yield server


@contextmanager
def _run(where: Namespace, *arguments: str, box: Container = NO_CONTAINER) -> Iterator[Nameserver]:
    command = [*box.enter(), sys.executable, "-m", "lab.nameserver", *arguments]
    places = (str(Path(__file__).parents[above]) for above in (1, 2))
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(places)}
    with where.spawn(command, environ=environ) as process:
        try:
            server = Nameserver(process)
            server.wait()
            yield server
        finally:
            process.kill()


class Stage:
    """The server as it is inside its process."""

    def __init__(
        self, script: str, says: str, *, is_cluster: bool, resolv_conf: Path | None
    ) -> None:
        self.script = script.split()
        self._says = says
        self._is_cluster = is_cluster
        self._resolv_conf = resolv_conf
        self._asked: list[Asked] = []
        self.refrain: Callable[[], None] = lambda: None
        """Accepts no connection from then on."""

    def command(self, line: str) -> str:
        word, _, rest = line.partition(" ")
        if word == "play":
            self.script = rest.split()
            if self.script == ["tcp-unaccepted"]:
                self.refrain()
            return "ok"
        return json.dumps([asdict(one) for one in self._asked])

    async def perform(
        self, wire: bytes, peer: tuple[str, int], send: Callable[[bytes], None], transport: str
    ) -> None:
        query = dns.message.from_wire(wire)
        self._note(query, peer, transport)
        if self._resolv_conf and not query.question[0].name.is_subdomain(CLUSTER):
            send(await _forward(wire, self._resolv_conf))
            return
        for step in () if self.script == ["tcp-only"] and transport == "udp" else self.script:
            if step == "late" or (step == "late-inside" and _is_inside(query)):
                await asyncio.sleep(LATE)
            for _ in range(FLOOD if step == "flood" else 1):
                if reply := self._reply(step, query, transport):
                    send(reply)

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.script == ["tcp-unread"]:
            cast("asyncio.Transport", writer.transport).pause_reading()
            await asyncio.Event().wait()

        def send(wire: bytes) -> None:
            writer.write(len(wire).to_bytes(2, "big") + wire)

        peer = writer.get_extra_info("peername")
        with suppress(asyncio.IncompleteReadError):  # who asked has been killed
            length = int.from_bytes(await reader.readexactly(2), "big")
            if self.script in (["mute"], ["tcp-mute"]):
                await reader.readexactly(length)
                await asyncio.Event().wait()
            await self.perform(await reader.readexactly(length), peer, send, "tcp")
            await writer.drain()
        writer.close()

    def _note(self, query: dns.message.Message, peer: tuple[str, int], transport: str) -> None:
        asked = query.question[0]
        self._asked.append(
            Asked(
                name=str(asked.name),
                rdtype=dns.rdatatype.to_text(asked.rdtype),
                id=query.id,
                source=peer[0],
                port=peer[1],
                transport=transport,
                edns=query.edns >= 0,
            )
        )

    def _reply(self, step: str, query: dns.message.Message, transport: str) -> bytes | None:
        reply = dns.message.make_response(query)
        asked = query.question[0]
        rcode = _refusal(step, asked.name)
        if rcode is not None:
            reply.set_rcode(rcode)
            return reply.to_wire()
        match step:
            case "silent" | "mute" | "late" | "late-inside" | "cut" if (
                step != "cut" or transport == "tcp"
            ):
                return None
            case "garbage" | "flood":
                return b"\xff" * 100
            case "no-edns" if query.edns >= 0:
                # As servers from before EDNS do it: the header and nothing else.
                return reply.to_wire()[:2] + b"\x81\x81" + bytes(8)
            case "truncated" | "cut" if transport == "udp":
                reply.flags |= dns.flags.TC
                return reply.to_wire()
            case "wrong-id":
                reply.id ^= 1
            case "wrong-question":
                reply = dns.message.make_response(dns.message.make_query("other.test.", "A"))
                reply.id = query.id
        self._answer(step, asked, reply)
        return reply.to_wire()

    def _answer(self, step: str, asked: dns.rrset.RRset, reply: dns.message.Message) -> None:
        """Put into the reply what this server knows of the name."""
        is_denied = step in DENYING and not self._is_cluster and asked.name.is_subdomain(CLUSTER)
        if is_denied and not (step == "cluster" and asked.name == KUBERNETES):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        elif asked.rdtype == dns.rdatatype.A:
            reply.answer.append(dns.rrset.from_text(asked.name, TTL, "IN", "A", self._says))
        elif step == "stub":
            reply.flags |= dns.flags.AA
        elif (asked.name, asked.rdtype) == ROOT and step != "rootless":
            root = dns.rrset.from_text(".", TTL, "IN", "NS", "a.root-servers.net.")
            reply.answer.append(root)


def _is_inside(query: dns.message.Message) -> bool:
    return query.question[0].name.is_subdomain(LOCAL)


async def _forward(wire: bytes, resolv_conf: Path) -> bytes:
    upstream = _first_nameserver(resolv_conf)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as onward:
        onward.setblocking(False)
        onward.connect((upstream, 53))
        onward.send(wire)
        try:
            async with asyncio.timeout(PATIENCE):
                return await asyncio.get_running_loop().sock_recv(onward, 4096)
        except OSError:
            reply = dns.message.make_response(dns.message.from_wire(wire))
            reply.set_rcode(dns.rcode.SERVFAIL)
            return reply.to_wire()


def _first_nameserver(resolv_conf: Path) -> str:
    return str(resolvconf.read_nameservers(resolv_conf.read_bytes())[0].address)


def _refusal(step: str, name: dns.name.Name) -> dns.rcode.Rcode | None:
    """Return the code of a server that doesn't say what it knows of a name."""
    match step:
        case "nxdomain" | "servfail" | "refused" | "notimp":
            return dns.rcode.from_text(step.upper())
        case "unsynced" if name.is_subdomain(CLUSTER):
            return dns.rcode.SERVFAIL
        case "stub" if name != dns.name.root:
            return dns.rcode.SERVFAIL
        case "picky" if name.is_subdomain(LOCAL):
            return dns.rcode.REFUSED
    return None


class Udp(asyncio.DatagramProtocol):
    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._tasks: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own UDP transport is none by inheritance in Python 3.11.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        def send(wire: bytes) -> None:
            self._transport.sendto(wire, addr)

        task = asyncio.ensure_future(self._stage.perform(data, addr, send, "udp"))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def serve(
    *, address: str, port: int, says: str, script: str, resolv_conf: Path | None
) -> None:
    """Serve until stdin ends, which it does when the test is gone."""
    is_cluster = address == NODELOCAL or resolv_conf is not None
    stage = Stage(script, says, is_cluster=is_cluster, resolv_conf=resolv_conf)
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: Udp(stage), (address, port))
    listener = await asyncio.start_server(stage.serve_tcp, address, port)

    def refrain() -> None:
        for one in listener.sockets:
            loop.remove_reader(one.fileno())

    stage.refrain = refrain
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    print("ready", flush=True)
    async for line in commands:
        print(stage.command(line.decode().strip()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("says")
    parser.add_argument("script")
    parser.add_argument("resolv_conf", type=Path, nargs="?")
    asyncio.run(serve(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
