"""Metrics for Prometheus: the file for node-exporter, and the listener where one is wanted."""

import asyncio
import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnsguard.formats import prometheus
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
_PAGE = b"dnsguard: metrics are at /metrics, see dnsguard-metrics(7)\n", "text/plain; charset=utf-8"
_TERMS = Terms(
    end=_END, longest=MOST_HEADER, patience=PATIENCE, share=MOST_CLIENTS, most=MOST_CLIENTS
)
_FREEBIND = 15
"""IP_FREEBIND (ip(7)), which counts for IPv6 as well; Python has no name for it."""
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
    """Writes and serves what it is given."""

    def __init__(self, collect: Callable[[], Families], complain: Tell, own: Path) -> None:
        """Take what is needed.

        :param own: the file that is written where the one in node-exporter's directory can't be.
        """
        self._collect = collect
        self._complain = complain
        self._own = own
        self._complained: dict[str, str] = {}
        self._wanted = Destinations(None, None)
        self._listener: Listener | None = None
        self._made: dict[bool, tuple[float, bytes, str]] = {}
        self._due = 0.0

    def configure(self, wanted: Destinations) -> None:
        """Do as the configuration says from now on."""
        before, self._wanted, self._due = self._wanted, wanted, 0.0
        if wanted.directory != before.directory:
            if before.directory is not None:
                self._remove(before.directory)
            if wanted.directory is not None:
                atomic.sweep((wanted.directory / FILE,))
        if wanted.listen != before.listen or self._listener is None:
            self._listen(wanted.listen)

    def is_due(self, now: float) -> bool:
        """Tell whether the file is to be written now."""
        return self._wanted.directory is not None and now >= self._due

    def write_soon(self) -> None:
        """Have the file written at the next opportunity."""
        self._due = 0.0

    async def write(self) -> None:
        """Write the file, if there is a place for it. Never raises OSError."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + PERIOD
        directory = self._wanted.directory
        if directory is None or not _is_there(directory):
            return
        families = self._collect()
        try:
            why = await loop.run_in_executor(None, self._write_if_wanted, directory, families)
        except OSError as error:
            why = f"{directory / FILE}: {error}"
        if why is not None:
            self._fail("textfile", why)
        else:
            self._complained.pop("textfile", None)

    def _write_if_wanted(self, directory: Path, families: Families) -> str | None:
        """In a thread, which the end and a reload overtake: then nothing is to be left behind."""
        try:
            return self._write_file(directory, families)
        finally:
            if directory != self._wanted.directory:
                self._remove(directory)

    def _write_file(self, directory: Path, families: Families) -> str | None:
        """Write the file; where another user could turn it into any other, one of our own."""
        text = prometheus.write_text(families)
        try:
            atomic.write(directory / FILE, text)
        except ForeignPlaceError as error:
            atomic.write(self._own, text)
            return (
                f"{error.strerror}, who could have root write anywhere; it is {self._own} instead:"
                f" ln -s {self._own} {directory}/"
            )
        return None

    def close(self) -> None:
        """Take the file away, for what it says is no longer so, and stop listening."""
        self.configure(Destinations(None, None))

    def _remove(self, directory: Path) -> None:
        for path in (directory / FILE, self._own):
            with suppress(OSError):
                atomic.remove(path)

    def _listen(self, listen: tuple[str, int] | None) -> None:
        """Listen there from now on, in one step: what is awaited can overtake itself."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if listen is None:
            return
        host, port = listen
        try:
            self._listener = Listener(
                _bind(host, port),
                _TERMS,
                peer=lambda _: 0,  # TCP doesn't tell who it is
                serve=self._serve,
                refuse=lambda _, why: _make_response(
                    "503 Service Unavailable", f"{why}\n".encode()
                ),
            )
        except OSError as error:
            strerror = (error.strerror or str(error)).lower()
            self._fail("listener", f"{host}:{port}: {strerror}")
        else:
            self._complained.pop("listener", None)

    def _serve(self, client: Client) -> bytes:
        head, end, _ = bytes(client.heard).partition(_END)
        if not end or len(head) + len(end) > MOST_HEADER:
            return _make_response("400 Bad Request", b"an HTTP request, please\n")
        request, *headers = head.decode("latin-1").split("\r\n")
        method, _, rest = request.partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        if method not in ("GET", "HEAD"):
            return _make_response("405 Method Not Allowed", b"GET only\n", "Allow: GET, HEAD\r\n")
        if path not in ("/", "/metrics"):
            return _make_response("404 Not Found", b"see /metrics\n")
        body, kind = self._find_metrics(_wants_open(headers)) if path == "/metrics" else _PAGE
        response = _make_response("200 OK", body, kind=kind)
        return response if method == "GET" else response.removesuffix(body)

    def _find_metrics(self, is_open: bool) -> tuple[bytes, str]:  # noqa: FBT001 -- which of two
        """Return the metrics, those made just now to all who ask in quick succession."""
        began = time.monotonic()
        until, body, kind = self._made.get(is_open, (0.0, b"", ""))
        if began >= until:
            write = prometheus.write_openmetrics if is_open else prometheus.write_text
            body = write(self._collect())
            kind = prometheus.OPENMETRICS_TYPE if is_open else prometheus.TEXT_TYPE
            ended = time.monotonic()
            self._made[is_open] = ended + min(STALE, FRESH * (ended - began)), body, kind
        return body, kind

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
        # The daemon is there before the network is: the address may come later.
        bound.setsockopt(socket.IPPROTO_IP, _FREEBIND, 1)
        bound.bind((host, port))
        bound.listen()
    except OSError:
        bound.close()
        raise
    return bound


def _wants_open(headers: list[str]) -> bool:
    """Tell whether OpenMetrics is accepted, whatever its version and weight."""
    accepted = ",".join(h.partition(":")[2] for h in headers if h.lower().startswith("accept:"))
    return any(
        one.partition(";")[0].strip() == prometheus.OPENMETRICS for one in accepted.split(",")
    )


def _is_there(directory: Path) -> bool:
    return os.path.isdir(directory)  # noqa: PTH112 -- Path.is_dir() raises where there is no way in


def _make_response(
    status: str, body: bytes, more: str = "", *, kind: str = "text/plain; charset=utf-8"
) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{more}Connection: close\r\n\r\n".encode("latin-1") + body
