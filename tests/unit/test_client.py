"""Asking the daemon, and what is said where none answers as it should."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from dnsguard import PROTOCOL, client
from dnsguard.commands.wait import wait
from dnsguard.errors import DnsguardError, NoDaemonError, ProtocolError
from dnsguard.paths import Paths

FINE = {"version": PROTOCOL, "ok": True, "answer": {"mode": "guarding"}}


@contextmanager
def _server(path: Path, *pieces: bytes) -> Iterator[list[bytes]]:
    """Be a daemon for one client: hear a line, say these pieces, hang up."""
    heard: list[bytes] = []

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, suppress(ConnectionError):
            connection.settimeout(5)
            heard.append(connection.recv(4096))
            for piece in pieces:
                connection.sendall(piece)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(5)
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield heard
        finally:
            thread.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.sock"


def test_the_answer(path: Path) -> None:
    """One line is said and one is heard."""
    with _server(path, json.dumps(FINE).encode() + b"\n") as heard:
        assert client.ask(path, "status") == {"mode": "guarding"}
    assert heard == [b'{"version": 1, "request": "status"}\n']


def test_an_answer_in_pieces(path: Path) -> None:
    """A long status comes in more than one read."""
    answer = FINE | {"answer": {"long": "x" * 300_000}}
    line = json.dumps(answer).encode() + b"\n"
    with _server(path, *(line[at : at + 10_000] for at in range(0, len(line), 10_000))):
        assert client.ask(path, "status") == answer["answer"]


def test_a_status_without_its_parts_is_none(path: Path) -> None:
    """A daemon of an earlier day lacks what was added since: said, not stumbled over."""
    with (
        _server(path, json.dumps(FINE).encode() + b"\n"),
        pytest.raises(ProtocolError, match=r"lacks because, degraded, .*: systemctl restart"),
    ):
        client.ask_status(path)


BAD = [
    pytest.param(b"", "hung up without an answer: see journalctl", id="hangs up"),
    pytest.param(b"\n", "answers something else than dnsguard", id="an empty line"),
    pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", "answers something else", id="another program"),
    pytest.param(b"\xff\xff\n", "answers something else than dnsguard", id="noise"),
    pytest.param(b'{"version": 1, "ok"\n', "answers something else", id="half a line"),
    pytest.param(b"[]\n", "answers something else than dnsguard", id="a list"),
    pytest.param(b'{"version": 2, "ok": true}\n', "speaks version 2, this command 1", id="later"),
    pytest.param(b"{}\n", "speaks version None", id="no version"),
    pytest.param(b'{"version": 1, "ok": false, "error": "no"}\n', "refused: no", id="a refusal"),
    pytest.param(b'{"version": 1, "ok": true}\n', "refused", id="no answer in it"),
    pytest.param(b'{"version": 1, "ok": 1, "answer": {}}\n', "refused", id="not quite true"),
    pytest.param(b"[" * 5000 + b"\n", "answers something else than dnsguard", id="brackets"),
    pytest.param(
        b'{"version": 1' + b"0" * 400 + b"}\n", "speaks version 1000", id="a large number"
    ),
    pytest.param(b'{"version": 1' + b"0" * 5000 + b"}\n", "something else", id="a huge one"),
    pytest.param(b"x" * (3 << 20), "answers something else than dnsguard", id="without an end"),
]


@pytest.mark.parametrize(("said", "expected"), BAD)
def test_a_bad_answer_is_one_clear_line(path: Path, said: bytes, expected: str) -> None:
    """Whatever listens there, the command says so and ends with 1."""
    with _server(path, said), pytest.raises(DnsguardError) as raised:
        client.ask(path, "status")
    assert expected in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.status == 1


def test_a_newer_daemon_tells_what_to_do(path: Path) -> None:
    """After an upgrade the daemon may be the old one still, or the command."""
    with (
        _server(path, b'{"version": 2}\n'),
        pytest.raises(DnsguardError, match="systemctl restart"),
    ):
        client.ask(path, "status")


def test_a_name_that_is_too_long_is_explained(tmp_path: Path) -> None:
    """It is Python that refuses it, and gives no errno with it."""
    with pytest.raises(NoDaemonError, match=r"\(AF_UNIX path too long\)"):
        client.ask(tmp_path / ("a" * 200), "status")


def test_a_daemon_that_just_ends_is_waited_for(tmp_path: Path) -> None:
    """It is being restarted: it has hung up on a question, and the next one finds another."""
    paths = Paths(tmp_path)
    paths.socket.parent.mkdir(parents=True)
    with _server(paths.socket), pytest.raises(DnsguardError, match=r"not safe within .* hung up"):
        wait(paths, "safe", 0.0)


def _leave_a_dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda _: None, "No such file or directory"),
        (lambda path: path.write_bytes(b""), "Connection refused"),
        (lambda path: path.mkdir(), "Connection refused"),
        (_leave_a_dead_socket, "Connection refused"),
        (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
    ],
)
def test_no_daemon_is_one_clear_line(
    path: Path, make: Callable[[Path], object], expected: str
) -> None:
    """Where nobody listens, and what to look at."""
    make(path)
    with pytest.raises(NoDaemonError) as raised:
        client.ask(path, "status")
    assert str(raised.value) == (
        f"no daemon at {path} ({expected}): is it running? systemctl status dnsguard"
    )
