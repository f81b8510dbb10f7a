"""A listening socket at which everyone may ask, and nobody can crowd out the others.

A client says one thing, hears one thing and is hung up on. Theory of operation:

- Each peer (a user id) has a share of the connections. Who wants more makes room among
  its own: the longest silent one goes. All who aren't trusted have a number together;
  beyond it whoever has the most connections makes room.
- Nobody is hung up on before what it has said is read, nor without a line that says why.
- All descriptors of a listener are in one epoll set of its own, and the loop watches that
  set. So one place bounds what clients can cause, whatever they do (connect, trickle,
  ask, hang up): it works for ``SLICE`` and then rests ``rest`` times as long, while the
  kernel's queue fills and the loop has the repairs to itself.

The kernel's queue is what a crowd can still fill, and nobody can be told apart in it.
Who must never wait (root) needs a socket that no one else can open: its file's mode.
"""

import asyncio
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from dnsguard.host.listener_terms import Terms, find_crowder

BACKLOG = 128
SLICE = 0.0005
"""Seconds of work at a time; a repair that comes meanwhile waits no longer."""
_ACCEPTED = 8
"""Connections at a time; then those who are in have their turn."""
_NO_DESCRIPTORS = 0.1
"""Seconds until accept(2) is tried again where it fails for good (EMFILE)."""


@dataclass(eq=False, slots=True)
class Client:
    """A connection, from accept(2) to close(2)."""

    connection: socket.socket
    peer: int
    until: float
    heard: bytearray = field(default_factory=bytearray)
    has_asked: bool = False
    unsaid: bytes | memoryview = b""


class Listener:
    """The listening socket and those who have come in."""

    def __init__(
        self,
        listener: socket.socket,
        terms: Terms,
        *,
        peer: Callable[[socket.socket], int],
        serve: Callable[[Client], bytes | None],
        refuse: Callable[[Client, str], bytes],
    ) -> None:
        """Let clients in from now on.

        :param serve: answers ``client.heard``; with None it calls :meth:`say` later.
        :param refuse: is told who is hung up on and why, and returns what the client hears.
        """
        self._listener = listener
        self._terms = terms
        self._peer = peer
        self._serve = serve
        self._refuse = refuse
        self._loop = asyncio.get_running_loop()
        self._clients: dict[int, Client] = {}
        self._counts: Counter[int] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._ready = select.epoll()
        listener.setblocking(False)
        listener.listen(BACKLOG)
        self._ready.register(listener, select.EPOLLIN)
        self._loop.add_reader(self._ready.fileno(), self._step)

    def __len__(self) -> int:
        return len(self._clients)

    def close(self) -> None:
        """Hang up on everyone and listen no longer."""
        if self._ready.closed:
            return
        self._loop.remove_reader(self._ready.fileno())
        for timer in (self._timer, self._pause):
            if timer is not None:
                timer.cancel()
        for client in [*self._clients.values()]:
            self._hang_up(client)
        self._listener.close()
        self._ready.close()

    def say(self, client: Client, said: bytes) -> None:
        """Say this and hang up, as soon as the client has taken it."""
        if self._is_admitted(client):
            client.unsaid = memoryview(said)
            self._send(client)

    # --- the turn

    def _step(self) -> None:
        """Deal with who is ready, one after the other: nobody is ready twice before all."""
        began = time.monotonic()
        ended = began
        while ended - began < SLICE and (found := self._ready.poll(0, 1)):
            self._deal_with(found[0][0])
            ended = time.monotonic()
        self._rest((ended - began) * self._terms.rest)

    def _rest(self, seconds: float) -> None:
        if seconds and self._pause is None and not self._ready.closed:
            self._loop.remove_reader(self._ready.fileno())
            self._pause = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._ready.fileno(), self._step)

    def _deal_with(self, descriptor: int) -> None:
        client = self._clients.get(descriptor)
        if client is None:
            self._accept()
        elif client.has_asked:
            self._send(client)
        else:
            self._receive(client)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED):
            try:
                connection, _ = self._listener.accept()
            except (BlockingIOError, ConnectionError):
                return
            except OSError:  # no descriptor is left; those who are in go on having theirs
                self._ready.modify(self._listener, 0)
                self._loop.call_later(_NO_DESCRIPTORS, self._accept_again)
                return
            self._admit(connection)

    def _accept_again(self) -> None:
        if not self._ready.closed:
            self._ready.modify(self._listener, select.EPOLLIN)

    def _admit(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            peer = self._peer(connection)
        except OSError:  # gone already
            connection.close()
            return
        client = Client(connection, peer, self._loop.time() + self._terms.patience)
        crowded = find_crowder(self._counts, peer, self._terms)
        self._clients[connection.fileno()] = client
        self._counts[peer] += 1
        self._ready.register(connection, select.EPOLLIN)
        self._receive(client)  # most have asked by now
        if crowded is not None and self._is_admitted(client):
            self._make_room(crowded, client)
        self._arm_timer()

    # --- one client

    def _is_admitted(self, client: Client) -> bool:
        return self._clients.get(client.connection.fileno()) is client

    def _receive(self, client: Client) -> None:
        wanted = self._terms.longest + 1 - len(client.heard)
        try:
            piece = client.connection.recv(wanted)
        except BlockingIOError:
            return
        except OSError:
            self._hang_up(client)
            return
        client.heard += piece
        is_whole = not piece or len(piece) == wanted or self._terms.end in client.heard
        if not client.heard:
            self._hang_up(client)
        elif is_whole:
            client.has_asked = True
            self._ready.unregister(client.connection)  # its hanging up is no question
            answer = self._serve(client)
            if answer is not None:
                self.say(client, answer)

    def _send(self, client: Client) -> None:
        try:
            sent = client.connection.send(client.unsaid)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._hang_up(client)
            return
        client.unsaid = client.unsaid[sent:]
        if not client.unsaid:
            self._hang_up(client)
        else:
            with suppress(FileExistsError):
                self._ready.register(client.connection, select.EPOLLOUT)

    def _hang_up(self, client: Client) -> None:
        """Close; the kernel takes a closed descriptor out of the epoll set."""
        del self._clients[client.connection.fileno()]
        self._counts[client.peer] -= 1
        if not self._counts[client.peer]:
            del self._counts[client.peer]
        client.connection.close()

    def _reject(self, client: Client, why: str) -> None:
        """Say why, as far as the client takes it at once, and hang up."""
        said = self._refuse(client, why)
        if not client.unsaid:  # else it would stand in the middle of an answer
            with suppress(OSError):
                client.connection.send(said)
        self._hang_up(client)

    # --- too many, too long

    def _make_room(self, peer: int, newcomer: Client) -> None:
        """Send away this peer's longest silent client, or its slowest reader."""
        clients = self._clients.values()
        theirs = [one for one in clients if one.peer == peer and one is not newcomer]
        for client in theirs:
            if not client.has_asked:
                self._receive(client)  # it may have asked since
                if not self._is_admitted(client):
                    return
        silent = [one for one in theirs if not one.has_asked]
        reading = [one for one in theirs if one.unsaid]
        longest = (*silent, *reading, newcomer)[0]
        share = self._terms.trusted.get(peer, self._terms.share)
        number = share if self._counts[peer] > share else self._terms.most
        self._reject(longest, f"more than {number} connections at a time")

    def _arm_timer(self) -> None:
        """Have the next one whose time is over sent away; they stand in that order."""
        if self._timer is None and self._clients:
            until = next(iter(self._clients.values())).until
            self._timer = self._loop.call_at(until, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        for client in [one for one in self._clients.values() if one.until <= now]:
            what = "the answer was not read" if client.has_asked else "no whole line was said"
            self._reject(client, f"{what} within {self._terms.patience:g} s")
        self._arm_timer()
