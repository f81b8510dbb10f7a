"""Metrics for Prometheus: the file for node-exporter, and the listener where one is wanted."""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnsguard.host import atomic
from dnsguard.host.listener import Client, Listener
from dnsguard.host.listener_terms import Terms
from dnsguard.host.path_walk import ForeignPlaceError

FILE = "dnsguard.prom"
PERIOD = 15.0
"""Seconds between two versions of the file; Prometheus scrapes no more often by default."""
MOST_HEADER = 8192
"""Bytes of a request's head."""
MOST_CLIENTS = 16
PATIENCE = 5.0
"""Seconds that a request may take."""
_END = b"\r\n\r\n"
_TERMS = Terms(
    end=_END, longest=MOST_HEADER, patience=PATIENCE, share=MOST_CLIENTS, most=MOST_CLIENTS
)
_OPENMETRICS = "application/openmetrics-text"
FRESH = 50
"""Times as long as it took to make them, the metrics are served to all who ask, and"""
STALE = 1.0
"""seconds at most: no number of scrapes takes more than a little of a CPU."""

Families = list[dict[str, Any]]
Tell = Callable[[str, str], None]
"""Is told what can't be done, and why."""


@dataclass(frozen=True, slots=True)
class Destinations:
    """What the configuration asks for."""

    directory: Path | None
    """node-exporter's; the file is written where it exists."""
    listen: tuple[str, int] | None
    """Address and TCP port."""


class Exporter:
    """Writes and serves what it is given; loads prometheus-client when that is due."""

    def __init__(self, collect: Callable[[], Families], complain: Tell, own: Path) -> None:
        """Take what is needed.

        :param own: the file that is written where the one in node-exporter's directory can't be.
        """
        self._collect = collect
        self._complain = complain
        self._own = own
        self._complained: dict[str, str] = {}
        self._wish = Destinations(None, None)
        self._door: Listener | None = None
        self._made: dict[bool, tuple[float, bytes, str]] = {}
        self._making: set[asyncio.Task[None]] = set()
        self._waiting: dict[bool, list[tuple[Client, bool]]] = {}
        self._due = 0.0

    def configure(self, wish: Destinations) -> None:
        """Do as the configuration says from now on."""
        if wish.directory != self._wish.directory:
            self._remove()
            if wish.directory is not None:
                atomic.sweep((wish.directory / FILE,))
        if wish.listen != self._wish.listen or self._door is None:
            self._listen(wish.listen)
        self._wish, self._due = wish, 0.0

    def is_due(self, now: float) -> bool:
        """Tell whether the file is to be written now."""
        return self._wish.directory is not None and now >= self._due

    def write_soon(self) -> None:
        """Have the file written at the next opportunity."""
        self._due = 0.0

    async def write(self) -> None:
        """Write the file, if there is a place for it. Never raises OSError."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + PERIOD
        directory = self._wish.directory
        if directory is None or not _is_there(directory):
            return
        families = self._collect()
        try:
            why = await loop.run_in_executor(None, self._put, directory, families)
        except (OSError, ImportError) as error:
            why = f"{directory / FILE}: {error}"
        if why is not None:
            self._fail("textfile", why)
        else:
            self._complained.pop("textfile", None)

    def _put(self, directory: Path, families: Families) -> str | None:
        """Write the file; where another user could turn it into any other, one of our own."""
        from dnsguard.host.exposition import text

        try:
            atomic.write(directory / FILE, text(families))
        except ForeignPlaceError as error:
            atomic.write(self._own, text(families))
            return (
                f"{error.strerror}, who could have root write anywhere; it is {self._own} instead:"
                f" ln -s {self._own} {directory}/"
            )
        return None

    def close(self) -> None:
        """Take the file away, for what it says is no longer so, and stop listening."""
        self._remove()
        self._listen(None)
        for task in self._making:
            task.cancel()

    def _remove(self) -> None:
        if self._wish.directory is not None:
            atomic.remove(self._wish.directory / FILE)
            atomic.remove(self._own)

    def _listen(self, listen: tuple[str, int] | None) -> None:
        """Listen there from now on, in one step: what is awaited can overtake itself."""
        if self._door is not None:
            self._door.close()
            self._door = None
        if listen is None:
            return
        host, port = listen
        try:
            self._door = Listener(
                _bind(host, port),
                _TERMS,
                peer=lambda _: 0,  # TCP doesn't tell who it is
                serve=self._serve,
                refuse=lambda _, why: _response("503 Service Unavailable", f"{why}\n".encode()),
            )
        except OSError as error:
            strerror = (error.strerror or str(error)).lower()
            self._fail("listener", f"{host}:{port}: {strerror}")
        else:
            self._complained.pop("listener", None)

    def _serve(self, client: Client) -> bytes | None:
        head, end, _ = bytes(client.heard).partition(_END)
        if not end or len(head) + len(end) > MOST_HEADER:
            return _response("400 Bad Request", b"an HTTP request, please\n")
        request, *headers = head.decode("latin-1").split("\r\n")
        method, _, rest = request.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method not in ("GET", "HEAD"):
            return _response("405 Method Not Allowed", b"GET only\n", "Allow: GET, HEAD\r\n")
        if path not in ("/", "/metrics"):
            return _response("404 Not Found", b"see /metrics\n")
        if path == "/":
            page = b"dnsguard: metrics are at /metrics, see dnsguard-metrics(7)\n"
            return _response("200 OK", page if method == "GET" else b"")
        return self._metrics(client, is_head=method == "HEAD", is_open=_wants_open(headers))

    def _metrics(self, client: Client, *, is_head: bool, is_open: bool) -> bytes | None:
        """Answer with what was made just now, or have it made for all who ask meanwhile."""
        until, body, kind = self._made.get(is_open, (0.0, b"", ""))
        if time.monotonic() < until:
            return _response("200 OK", b"" if is_head else body, kind=kind)
        waiting = self._waiting.setdefault(is_open, [])
        waiting.append((client, is_head))
        if len(waiting) == 1:
            task = asyncio.get_running_loop().create_task(self._make(is_open=is_open))
            self._making.add(task)
            task.add_done_callback(self._making.discard)
        return None

    async def _make(self, *, is_open: bool) -> None:
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        accept = f"{_OPENMETRICS}; version=1.0.0" if is_open else ""
        status, body, kind = "500 Internal Server Error", b"see the journal\n", "text/plain"
        try:
            body, kind = await loop.run_in_executor(None, _negotiate, self._collect(), accept)
        except ImportError as error:
            self._fail("listener", str(error))
        else:
            status, ended = "200 OK", time.monotonic()
            self._made[is_open] = ended + min(STALE, FRESH * (ended - began)), body, kind
        finally:
            waiting = self._waiting.pop(is_open)
        for client, is_head in waiting:
            if self._door is not None:
                answer = _response(status, b"" if is_head else body, kind=kind)
                self._door.say(client, answer)

    def _fail(self, what: str, why: str) -> None:
        """Say once what can't be done; again when the reason is another."""
        if self._complained.get(what) != why:
            self._complained[what] = why
            self._complain(what, why)


def _bind(host: str, port: int) -> socket.socket:
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if bound.family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as asyncio did
        bound.bind((host, port))
        bound.listen()
    except OSError:
        bound.close()
        raise
    return bound


def _wants_open(headers: list[str]) -> bool:
    """Tell whether OpenMetrics is accepted, as prometheus-client reads the header."""
    accepted = ",".join(h.partition(":")[2] for h in headers if h.lower().startswith("accept:"))
    return any(one.partition(";")[0].strip() == _OPENMETRICS for one in accepted.split(","))


def _is_there(directory: Path) -> bool:
    return os.path.isdir(directory)  # noqa: PTH112 -- Path.is_dir() raises where there is no way in


def _negotiate(families: Families, accept: str) -> tuple[bytes, str]:
    from dnsguard.host.exposition import negotiate

    return negotiate(families, accept)


def _response(
    status: str, body: bytes, more: str = "", *, kind: str = "text/plain; charset=utf-8"
) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{more}Connection: close\r\n\r\n".encode("latin-1") + body
