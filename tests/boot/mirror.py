"""Debian's archive for a node: an HTTP server in the lab's outside world.

The lab has no way out. What the node asks for, this machine's own apt fetches.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from lab import netns

from boot import tree
from boot.net import Namespace
from boot.outside import UPSTREAM

_FETCH = ("/usr/lib/apt/apt-helper", "-o", "APT::Sandbox::User=root", "download-file")


class _Archive(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    base = ""

    def do_GET(self) -> None:
        with tempfile.TemporaryDirectory() as place:
            path = Path(place, "file")
            uri = f"{self.base}{self.path}"
            done = subprocess.run([*_FETCH, uri, path], capture_output=True, check=False)
            found = done.returncode == 0 and path.exists()
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(path.stat().st_size if found else 0))
            self.end_headers()
            if found:
                with path.open("rb") as content:
                    shutil.copyfileobj(content, self.wfile)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def mirror(outside: Namespace) -> Iterator[None]:
    """Serve ``http://MIRROR/`` out there: what lies below this machine's archive."""
    _Archive.base = tree.archive()
    descriptor = os.open(outside.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with netns.Namespace(descriptor).inside():  # the socket is there, the threads are here
            server = ThreadingHTTPServer((UPSTREAM, 80), _Archive)
    finally:
        os.close(descriptor)
    serving = Thread(target=server.serve_forever)
    serving.start()
    try:
        yield
    finally:
        server.shutdown()
        serving.join()
        server.server_close()
