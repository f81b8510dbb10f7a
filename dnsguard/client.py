"""Ask the running daemon. Imports nothing heavy: ``status`` is typed in a hurry."""

import json
import os
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path
from typing import cast

from dnsguard import PROTOCOL, ROOT_SOCKET
from dnsguard.errors import (
    NoDaemonError,
    NotPermittedError,
    ProtocolError,
    RefusedError,
    SilentDaemonError,
)
from dnsguard.reporting.wire import StatusJson

_TIMEOUT = 3.0
_MAX_REPLY = 1 << 20
_TIMEVAL = struct.pack("ll", int(_TIMEOUT), 0)


def ask(path: Path, request: str, **arguments: object) -> dict[str, object]:
    """Return the daemon's answer; ``arguments`` are those of a command.

    :raises NoDaemonError: nobody listens.
    :raises RefusedError: the daemon has a reason not to do it.
    :raises SilentDaemonError: no reply.
    :raises ProtocolError: none of ours, or of another version.
    """
    line = json.dumps({"version": PROTOCOL, "request": request, **arguments}).encode() + b"\n"
    try:
        with _connected(path) as connection:
            connection.settimeout(_TIMEOUT)
            with suppress(ConnectionError):  # hung up on; why is there to be read
                connection.sendall(line)
            reply = _read_line(connection, time.monotonic() + _TIMEOUT)
    except (TimeoutError, BlockingIOError) as error:
        raise _make_silent(path, "does not answer") from error
    except OSError as error:
        why, hint = error.strerror or error, "is it running? systemctl status dnsguard"
        raise NoDaemonError(f"no daemon at {path} ({why}): {hint}") from error
    if not reply:
        raise _make_silent(path, "hung up without an answer")
    return _check(path, request, reply)


def ask_status(path: Path, request: str = "status", **arguments: object) -> StatusJson:
    """Return the status, which is also what a command answers with.

    :raises DnsguardError: as :func:`ask`.
    """
    answer = ask(path, request, **arguments)
    missing = sorted(StatusJson.__required_keys__ - answer.keys())
    if missing:
        raise ProtocolError(
            f"the daemon's status lacks {', '.join(missing)}: systemctl restart dnsguard"
        )
    return cast("StatusJson", answer)


def _make_silent(path: Path, what: str) -> SilentDaemonError:
    return SilentDaemonError(f"the daemon at {path} {what}: see journalctl -u dnsguard")


def _connected(path: Path) -> socket.socket:
    """Connect, if that can be had, where root alone may: no crowd stands there."""
    with suppress(OSError):
        return _connect(path.with_name(ROOT_SOCKET))
    return _connect(path)


def _connect(path: Path) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Not settimeout(): where the daemon's queue is full, a socket that doesn't block
        # gets EAGAIN at once (unix(7)), and one that does is next.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL)
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def _read_line(connection: socket.socket, deadline: float) -> bytes:
    reply = bytearray()
    while not reply.endswith(b"\n") and len(reply) < _MAX_REPLY:
        left = deadline - time.monotonic()
        if left <= 0:  # a byte now and then is no answer
            raise TimeoutError
        connection.settimeout(left)
        piece = connection.recv(65536)
        if not piece:
            break
        reply += piece
    return bytes(reply)


def _check(path: Path, request: str, reply: bytes) -> dict[str, object]:
    try:
        data = json.loads(reply)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise ProtocolError(f"{path} answers something else than dnsguard: what listens there?")
    if data.get("version") != PROTOCOL:
        raise ProtocolError(
            f"the daemon speaks version {repr(data.get('version'))[:40]}, this command {PROTOCOL}:"
            " systemctl restart dnsguard"
        )
    answer = data.get("answer")
    if data.get("ok") is not True or not isinstance(answer, dict):
        kind = NotPermittedError if data.get("needs_root") is True else RefusedError
        raise kind(f"{request} refused: {data.get('error')}")
    return answer


def operator() -> str:
    """Return who is at the keyboard, as far as sudo(8) tells."""
    return os.environ.get("SUDO_USER") or "root"
