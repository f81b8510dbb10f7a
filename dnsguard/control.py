"""The control sockets: one JSON line in, one JSON line out; anyone may ask, root may command.

There are two. At ``control.sock`` everyone may ask, and each user has a share of it. At
``root.sock``, whose mode lets nobody else in, root is heard whatever goes on at the other:
the kernel's queue of a socket is anyone's to fill who may connect.
"""

import json
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dnsguard import PROTOCOL, ROOT_SOCKET
from dnsguard.errors import RefusedError
from dnsguard.host.listener import Client, Listener
from dnsguard.host.listener_terms import Terms
from dnsguard.reporting.encoding import to_json

MAX_LINE = 4096
"""Bytes of a request; the longest valid one has about 150."""
SHARE = 8
"""Connections of one user at a time."""
MAX_CLIENTS = 32
"""Connections of all users but root at a time."""
ROOTS_SHARE = 64
PATIENCE = 2.0
"""Seconds a client has to say and to hear everything."""
FRESH = 0.02
"""Seconds for which one answer serves all who ask."""
MOST_COMPLAINTS = 64
"""Different complaints that are told; the daemon's log is nobody's to fill."""

_TERMS = Terms(
    end=b"\n",
    longest=MAX_LINE,
    patience=PATIENCE,
    share=SHARE,
    most=MAX_CLIENTS,
    trusted={0: ROOTS_SHARE},
)
_ROOTS_TERMS = replace(_TERMS, rest=0.0)
Data = Mapping[str, object]
Answer = Callable[[], object]
"""Returns a value of ``reporting``: here, and nowhere before, it becomes JSON."""
Command = Callable[[Data], object]
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
    """The listening sockets and the requests they answer."""

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
        self._made: dict[str, tuple[float, bytes]] = {}
        self._listeners: list[Listener] = []

    def open(self) -> None:
        """Listen. Sockets that a dead daemon left are replaced; no other one runs.

        :raises OSError: the directory can't be made or a path can't be bound.
        """
        self._path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        self._listen(self._path.with_name(ROOT_SOCKET), 0o600, _ROOTS_TERMS)
        self._listen(self._path, 0o666, _TERMS)

    def _listen(self, path: Path, mode: int, terms: Terms) -> None:
        listener = Listener(
            _bind(path, mode),
            terms,
            peer=lambda connection: _read_peer(connection).uid,
            serve=self._serve,
            refuse=self._refuse,
        )
        self._listeners.append(listener)

    def close(self) -> None:
        for listener in self._listeners:
            listener.close()
        if self._listeners:
            for path in (self._path, self._path.with_name(ROOT_SOCKET)):
                with suppress(OSError):
                    path.unlink()
        self._listeners.clear()

    def _serve(self, client: Client) -> bytes:
        line = bytes(client.heard) if len(client.heard) <= MAX_LINE else b"#"
        return self._reply(line, _read_peer(client.connection))

    def _refuse(self, client: Client, why: str) -> bytes:
        self._note(_read_peer(client.connection), why)
        return _make_refusal(why)

    def _reply(self, line: bytes, peer: Peer) -> bytes:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            self._note(peer, "said what is no request")
            return _make_refusal(f"send one line of JSON, an object, of at most {MAX_LINE} bytes")
        if request.get("version") != PROTOCOL:
            return _make_refusal(f"this daemon speaks version {PROTOCOL}")
        name = str(request.get("request"))
        if name in self._commands:
            return self._obey(self._commands[name], request, peer)
        if name in self._answers:
            return self._fresh(name, self._answers[name])
        known = sorted((*self._answers, *self._commands))
        return _make_refusal("unknown request; known: " + ", ".join(known))

    def _obey(self, command: Command, request: Data, peer: Peer) -> bytes:
        if not peer.is_root:
            self._note(peer, f"may not {request['request']}: only root may")
            return _make_refusal("only root may: use sudo", needs_root=True)
        try:
            done = command(request)
        except RefusedError as error:
            return _make_refusal(str(error))
        self._made.clear()  # what was true before the command is old
        return _make_answer(done)

    def _fresh(self, name: str, answer: Answer) -> bytes:
        """Answer anew at most every FRESH seconds: no number of clients slows a repair."""
        made_at, made = self._made.get(name, (float("-inf"), b""))
        now = time.monotonic()
        if now - made_at >= FRESH:
            made_at, made = now, _make_answer(answer())
            self._made[name] = made_at, made
        return made

    def _note(self, peer: Peer, what: str) -> None:
        """Tell of a strange client, once for each user and kind."""
        complaint = (peer.uid, what)
        if complaint not in self._complaints and len(self._complaints) < MOST_COMPLAINTS:
            self._complaints.add(complaint)
            self._complain(peer, what)


def _bind(path: Path, mode: int) -> socket.socket:
    """Return a socket at this path. One with a narrower mode never had a wider one."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        with suppress(FileNotFoundError):
            path.unlink()
        os.fchmod(bound.fileno(), mode)  # bind(2) makes the name with it, less the umask
        bound.bind(str(path))
        path.chmod(mode)
    except OSError:
        bound.close()
        raise
    return bound


def _read_peer(connection: socket.socket) -> Peer:
    said = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    pid, uid, _ = _UCRED.unpack(said)
    return Peer(pid=pid, uid=uid)


def _make_answer(answer: object) -> bytes:
    return _dump_line({"version": PROTOCOL, "ok": True, "answer": to_json(answer)})


def _make_refusal(reason: str, *, needs_root: bool = False) -> bytes:
    return _dump_line({"version": PROTOCOL, "ok": False, "error": reason, "needs_root": needs_root})


def _dump_line(said: dict[str, object]) -> bytes:
    return json.dumps(said).encode() + b"\n"
