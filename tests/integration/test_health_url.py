"""A health URL, asked of a real HTTP server."""

import asyncio
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address

import pytest
from lab.netns import Namespace, namespace

from dnsguard.core.answers import Answer, Outcome, ProbeKind
from dnsguard.host.health_url import ask

NODELOCAL = ip_address("169.254.25.10")
PORT = 9254


class Pages(BaseHTTPRequestHandler):
    """/200 says 200, /503 says 503; what else there is says it oddly, says no HTTP, or nothing."""

    def do_GET(self) -> None:
        word = self.path.strip("/").partition("?")[0]
        if word.isdigit():
            self.send_response(int(word))
            self.end_headers()
        elif word == "garbage":
            self.wfile.write(b"\x00\xff\r\n" * 100)
        elif word == "pieces":
            for piece in (b"HTT", b"P/1.1 20", b"0 OK\r", b"\n\r\n"):
                self.wfile.write(piece)
                time.sleep(0.02)
        elif word == "endless":
            self.wfile.write(b"HTTP/1.1 200 " + b"x" * 100_000)
        elif word == "silence":
            self.rfile.read(1)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def node() -> Iterator[Namespace]:
    with namespace() as made:
        made.bridge("nodelocaldns", f"{NODELOCAL}/32")
        with made.inside():
            yield made


@pytest.fixture
def _server(node: Namespace) -> Iterator[None]:
    with ThreadingHTTPServer((str(NODELOCAL), PORT), Pages) as server:
        server.daemon_threads, server.block_on_close = True, False
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


def _ask(path: str) -> Answer:
    return asyncio.run(ask(NODELOCAL, f"http://{NODELOCAL}:{PORT}{path}", timeout=0.3))


@pytest.mark.usefixtures("_server")
@pytest.mark.parametrize(
    ("path", "outcome", "detail"),
    [
        ("/200", Outcome.ANSWERED, "says 200"),
        ("/204?deep=1", Outcome.ANSWERED, "says 204"),
        ("/301", Outcome.ANSWERED, "says 301"),
        ("/404", Outcome.FAILED, "says 404"),
        ("/503", Outcome.FAILED, "says 503"),
        ("/garbage", Outcome.MALFORMED, "says no HTTP"),
        ("/nothing", Outcome.MALFORMED, "says no HTTP"),
        ("/pieces", Outcome.ANSWERED, "says 200"),
        ("/endless", Outcome.MALFORMED, "says no HTTP"),
        ("/silence", Outcome.TIMED_OUT, "gives no answer in 0.3 s"),
    ],
)
def test_what_is_said_has_its_outcome(path: str, outcome: Outcome, detail: str) -> None:
    """From 200 to 399 is health, as kubelet has it for its probes."""
    answer = _ask(path)
    assert (answer.outcome, answer.detail) == (outcome, detail)
    assert (answer.address, answer.kind) == (NODELOCAL, ProbeKind.HTTP)
    assert (answer.rtt is not None) is (outcome is Outcome.ANSWERED)


@pytest.mark.usefixtures("node")
def test_nobody_there_is_known_at_once() -> None:
    """The kernel says so."""
    assert _ask("/200").detail == "refused: nothing listens there"
