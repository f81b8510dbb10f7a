"""Metrics for Prometheus: the file for node-exporter, and the listener where one is wanted."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dnsguard.host import atomic
from dnsguard.host.ways import ForeignPlaceError

FILE = "dnsguard.prom"
PERIOD = 15.0
"""Seconds between two versions of the file; Prometheus scrapes no more often by default."""
MOST_HEADER = 8192
"""Bytes of a request's head."""
MOST_CLIENTS = 16
PATIENCE = 5.0
"""Seconds that a request may take."""

Families = list[dict[str, Any]]
Tell = Callable[[str, str], None]
"""Is told what can't be done, and why."""


@dataclass(frozen=True, slots=True)
class Wish:
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
        self._wish = Wish(None, None)
        self._server: asyncio.Server | None = None
        self._clients = 0
        self._due = 0.0

    async def take(self, wish: Wish) -> None:
        """Do as the configuration says from now on."""
        if wish.directory != self._wish.directory:
            self._remove()
            if wish.directory is not None:
                atomic.sweep((wish.directory / FILE,))
        if wish.listen != self._wish.listen or self._server is None:
            await self._listen(wish.listen)
        self._wish, self._due = wish, 0.0

    def is_due(self, now: float) -> bool:
        """Tell whether the file is to be written now."""
        return self._wish.directory is not None and now >= self._due

    def hurry(self) -> None:
        """Have the file written at the next opportunity."""
        self._due = 0.0

    async def write(self) -> None:
        """Write the file, if there is a place for it. Never raises OSError."""
        loop = asyncio.get_running_loop()
        self._due = loop.time() + PERIOD
        directory = self._wish.directory
        if directory is None or not directory.is_dir():
            return
        families = self._collect()
        try:
            why = await loop.run_in_executor(None, self._put, directory, families)
        except (OSError, ImportError) as error:
            why = f"{directory / FILE}: {error}"
        if why is not None:
            self._failed("textfile", why)
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
        if self._server is not None:
            self._server.close()
            self._server = None

    def _remove(self) -> None:
        if self._wish.directory is not None:
            atomic.remove(self._wish.directory / FILE)
            atomic.remove(self._own)

    async def _listen(self, listen: tuple[str, int] | None) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        if listen is None:
            return
        host, port = listen
        try:
            self._server = await asyncio.start_server(self._serve, host, port, limit=MOST_HEADER)
        except OSError as error:
            self._failed("listener", f"{host}:{port}: {error.strerror or error}")
        else:
            self._complained.pop("listener", None)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            if self._clients <= MOST_CLIENTS:
                async with asyncio.timeout(PATIENCE):
                    writer.write(await self._answer(await reader.readuntil(b"\r\n\r\n")))
                    await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.write(_response("400 Bad Request", b"an HTTP request, please\n"))
        except (TimeoutError, ConnectionError):
            pass  # a client that is slow or gone is its own trouble
        finally:
            self._clients -= 1
            writer.close()

    async def _answer(self, head: bytes) -> bytes:
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
        accept = next((h[7:].strip() for h in headers if h.lower().startswith("accept:")), "")
        loop = asyncio.get_running_loop()
        body, kind = await loop.run_in_executor(None, _negotiated, self._collect(), accept)
        return _response("200 OK", body if method == "GET" else b"", kind=kind)

    def _failed(self, what: str, why: str) -> None:
        """Say once what can't be done; again when the reason is another."""
        if self._complained.get(what) != why:
            self._complained[what] = why
            self._complain(what, why)


def _negotiated(families: Families, accept: str) -> tuple[bytes, str]:
    from dnsguard.host.exposition import negotiated

    return negotiated(families, accept)


def _response(
    status: str, body: bytes, more: str = "", *, kind: str = "text/plain; charset=utf-8"
) -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{more}Connection: close\r\n\r\n".encode("latin-1") + body
