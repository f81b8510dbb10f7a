"""The control socket: one JSON line in, one JSON line out; anyone may ask.

Bounded in every direction: the length of a line, the time a client may take and the
number of clients. Nothing that arrives here can change anything.
"""

import asyncio
import json
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from dnsguard import PROTOCOL
from dnsguard.errors import AlreadyRunningError

MAX_LINE = 4096
"""Bytes of a request; the longest valid one has about 40."""
MAX_CLIENTS = 32
PATIENCE = 2.0
"""Seconds a client has to say and to hear everything."""

FRESH = 0.02
"""Seconds for which one answer serves all who ask."""

Answer = Callable[[], dict[str, object]]


class Control:
    """The listening socket and the requests it answers."""

    def __init__(self, path: Path, answers: Mapping[str, Answer]) -> None:
        self._path = path
        self._answers = answers
        self._clients = 0
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
        self._clients += 1
        try:
            if self._clients <= MAX_CLIENTS:
                async with asyncio.timeout(PATIENCE):
                    await self._answer(reader, writer)
        except (TimeoutError, ConnectionError):
            pass  # a client that is slow or gone is its own trouble
        finally:
            self._clients -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await reader.readline()
        except ValueError:  # longer than MAX_LINE
            line = b""
        writer.write(json.dumps(self._reply(line)).encode() + b"\n")
        await writer.drain()

    def _reply(self, line: bytes) -> dict[str, object]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if not isinstance(request, dict):
            return _refusal("send one line of JSON, an object, of at most 4096 bytes")
        if request.get("version") != PROTOCOL:
            return _refusal(f"this daemon speaks version {PROTOCOL}")
        name = request.get("request")
        answer = self._answers.get(name) if isinstance(name, str) else None
        if answer is None:
            return _refusal("unknown request; known: " + ", ".join(sorted(self._answers)))
        return {"version": PROTOCOL, "ok": True, "answer": self._fresh(str(name), answer)}

    def _fresh(self, name: str, answer: Answer) -> dict[str, object]:
        """Answer anew at most every FRESH seconds: no number of clients slows a repair."""
        made_at, made = self._made.get(name, (float("-inf"), {}))
        now = time.monotonic()
        if now - made_at >= FRESH:
            made_at, made = now, answer()
            self._made[name] = made_at, made
        return made


def _is_answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(0.1)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _refusal(reason: str) -> dict[str, object]:
    return {"version": PROTOCOL, "ok": False, "error": reason}
