"""The control socket: one JSON line in, one JSON line out; anyone may ask, root may command.

Bounded in every direction: the length of a line, the time a client may take and the
number of clients. Who has not said anything makes room for who comes new, so that no
number of idle connections keeps an operator from the status.
"""

import asyncio
import json
import socket
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dnsguard import PROTOCOL
from dnsguard.errors import AlreadyRunningError, RefusedError

MAX_LINE = 4096
"""Bytes of a request; the longest valid one has about 150."""
MAX_CLIENTS = 32
PATIENCE = 2.0
"""Seconds a client has to say and to hear everything."""
FRESH = 0.02
"""Seconds for which one answer serves all who ask."""
MOST_COMPLAINTS = 64
"""Different complaints that are told; the daemon's log is nobody's to fill."""

Data = Mapping[str, object]
Answer = Callable[[], dict[str, object]]
Command = Callable[[Data], dict[str, object]]
"""Does what root asks for and says what came of it; RefusedError: why not."""
_UCRED = struct.Struct("3i")
"""struct ucred of unix(7): pid, uid, gid."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end, as the kernel says (SO_PEERCRED, unix(7))."""

    pid: int
    uid: int

    @property
    def is_root(self) -> bool:
        return self.uid == 0


class Control:
    """The listening socket and the requests it answers."""

    def __init__(
        self,
        path: Path,
        answers: Mapping[str, Answer],
        commands: Mapping[str, Command] | None = None,
        complain: Callable[[Peer, str], None] = lambda _, __: None,
    ) -> None:
        self._path = path
        self._answers = answers
        self._commands = commands or {}
        self._complain = complain
        self._complaints: set[tuple[int, str]] = set()
        self._clients = 0
        self._idle: dict[asyncio.StreamWriter, None] = {}
        self._made: dict[str, tuple[float, dict[str, object]]] = {}
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Listen. A socket that a dead daemon left is replaced.

        :raises AlreadyRunningError: somebody listens there.
        :raises OSError: the directory can't be made or the path can't be bound.
        """
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        if _is_answered(self._path):
            raise AlreadyRunningError(f"another dnsguard listens on {self._path}: stop that first")
        with suppress(FileNotFoundError):
            self._path.unlink()
        self._server = await asyncio.start_unix_server(
            self._serve, path=str(self._path), limit=MAX_LINE
        )
        self._path.chmod(0o666)

    def close(self) -> None:
        if self._server is not None:
            self._server.close()
            with suppress(OSError):
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _peer(writer)
        self._clients += 1
        self._idle[writer] = None
        if self._clients > MAX_CLIENTS:
            self._make_room(peer)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._answer(reader, writer, peer)
        except TimeoutError:
            self._note(peer, f"said no whole line within {PATIENCE:g} s")
        except ConnectionError:
            pass  # a client that is gone is its own trouble
        finally:
            self._clients -= 1
            self._idle.pop(writer, None)
            writer.close()

    def _make_room(self, peer: Peer) -> None:
        """Hang up on who has waited longest without a word."""
        longest = next(iter(self._idle))
        del self._idle[longest]
        longest.transport.abort()
        self._note(peer, f"has more than {MAX_CLIENTS} connections open")

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer
    ) -> None:
        try:
            line = await reader.readline()
        except ValueError:  # longer than MAX_LINE
            line = b"#"
        self._idle.pop(writer, None)
        if not line:
            return
        writer.write(json.dumps(self._reply(line, peer)).encode() + b"\n")
        await writer.drain()

    def _reply(self, line: bytes, peer: Peer) -> dict[str, object]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            self._note(peer, "said what is no request")
            return _refusal(f"send one line of JSON, an object, of at most {MAX_LINE} bytes")
        if request.get("version") != PROTOCOL:
            return _refusal(f"this daemon speaks version {PROTOCOL}")
        name = str(request.get("request"))
        if name in self._commands:
            return self._obey(self._commands[name], request, peer)
        if name in self._answers:
            return _reply(self._fresh(name, self._answers[name]))
        known = sorted((*self._answers, *self._commands))
        return _refusal("unknown request; known: " + ", ".join(known))

    def _obey(self, command: Command, request: Data, peer: Peer) -> dict[str, object]:
        if not peer.is_root:
            self._note(peer, f"may not {request['request']}: only root may")
            return _refusal("only root may: use sudo", needs_root=True)
        try:
            done = command(request)
        except RefusedError as error:
            return _refusal(str(error))
        self._made.clear()  # what was true before the command is old
        return _reply(done)

    def _fresh(self, name: str, answer: Answer) -> dict[str, object]:
        """Answer anew at most every FRESH seconds: no number of clients slows a repair."""
        made_at, made = self._made.get(name, (float("-inf"), {}))
        now = time.monotonic()
        if now - made_at >= FRESH:
            made_at, made = now, answer()
            self._made[name] = made_at, made
        return made

    def _note(self, peer: Peer, what: str) -> None:
        """Tell of a strange client, once for each user and kind."""
        complaint = (peer.uid, what)
        if complaint not in self._complaints and len(self._complaints) < MOST_COMPLAINTS:
            self._complaints.add(complaint)
            self._complain(peer, what)


def _peer(writer: asyncio.StreamWriter) -> Peer:
    connection = writer.get_extra_info("socket")
    said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(said)
    return Peer(pid=pid, uid=uid)


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _reply(answer: dict[str, object]) -> dict[str, object]:
    return {"version": PROTOCOL, "ok": True, "answer": answer}


def _refusal(reason: str, *, needs_root: bool = False) -> dict[str, object]:
    return {"version": PROTOCOL, "ok": False, "error": reason, "needs_root": needs_root}
