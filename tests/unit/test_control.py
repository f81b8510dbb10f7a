"""The control socket, over a real one: anyone may ask, nobody can harm."""

import asyncio
import contextlib
import errno
import json
import socket
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dnsguard import PROTOCOL, ROOT_SOCKET
from dnsguard.control import (
    _ROOTS_TERMS,
    _TERMS,
    MAX_LINE,
    PATIENCE,
    ROOTS_SHARE,
    SHARE,
    Control,
    Data,
    Peer,
)
from dnsguard.errors import RefusedError

Run = Callable[[Awaitable[None]], None]
ASK = json.dumps({"version": PROTOCOL, "request": "status"}).encode() + b"\n"
HOLD = json.dumps({"version": PROTOCOL, "request": "hold", "serves": "upstream"}).encode() + b"\n"
FINE = {"version": PROTOCOL, "ok": True, "answer": {"mode": "guarding"}}


@contextlib.asynccontextmanager
async def _open(path: Path) -> AsyncIterator[Control]:
    control = Control(path, {"status": lambda: {"mode": "guarding"}, "plan": dict})
    control.open()
    try:
        yield control
    finally:
        control.close()


@contextlib.asynccontextmanager
async def _client(path: Path) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def _say(path: Path, request: bytes) -> object:
    """Return the answer to this, None where the connection is closed without one."""
    async with _client(path) as (reader, writer):
        with contextlib.suppress(ConnectionError):
            writer.write(request)
            await writer.drain()
        with contextlib.suppress(ConnectionError):
            line = await asyncio.wait_for(reader.readline(), PATIENCE + 2)
            return json.loads(line) if line else None
        return None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "control.sock"


def test_a_question_is_answered(run: Run, path: Path) -> None:
    """One line of JSON in, one out."""

    async def scene() -> None:
        async with _open(path):
            assert await _say(path, ASK) == FINE

    run(scene())


REFUSED = [
    pytest.param(b"\n", "send one line of JSON", id="nothing"),
    pytest.param(b"status\n", "send one line of JSON", id="no JSON"),
    pytest.param(b"[]\n", "send one line of JSON", id="no object"),
    pytest.param(b"\xff\xfe\x00\n", "send one line of JSON", id="noise"),
    pytest.param(b"[" * 4000 + b"\n", "send one line of JSON", id="deep"),
    pytest.param(b"9" * 4090 + b"\n", "send one line of JSON", id="a long number"),
    pytest.param(b"#" * MAX_LINE * 2 + b"\n", "at most 4096 bytes", id="a long line"),
    pytest.param(b"{}\n", f"version {PROTOCOL}", id="no version"),
    pytest.param(b'{"version": 99, "request": "status"}\n', f"version {PROTOCOL}", id="the future"),
    pytest.param(b'{"version": 1}\n', "unknown request; known: plan, status", id="no request"),
    pytest.param(b'{"version": 1, "request": "stop"}\n', "unknown request", id="a command"),
    pytest.param(b'{"version": 1, "request": ["status"]}\n', "unknown request", id="a list"),
]


@pytest.mark.parametrize(("request_", "reason"), REFUSED)
def test_nonsense_is_refused(run: Run, path: Path, request_: bytes, reason: str) -> None:
    """With what was expected; and the next one is answered as if nothing had been."""

    async def scene() -> None:
        async with _open(path):
            refusal = await _say(path, request_)
            assert isinstance(refusal, dict)
            assert (refusal["version"], refusal["ok"]) == (PROTOCOL, False)
            assert reason in refusal["error"]
            assert await _say(path, ASK) == FINE

    run(scene())


def test_a_mebibyte_without_an_end_is_cut_off(run: Run, path: Path) -> None:
    """It is read no further than a line may be long, and the next one is served."""

    async def scene() -> None:
        async with _open(path):
            began = time.monotonic()
            answer = await _say(path, b"#" * (1 << 20))
            # What a client still sends when it is cut off may cost it the answer.
            assert answer is None or "at most 4096 bytes" in str(answer)
            assert time.monotonic() - began < PATIENCE
            assert await _say(path, ASK) == FINE

    run(scene())


def test_half_a_line_is_waited_for_and_then_not(
    run: Run, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client has two seconds, a tenth of them here; meanwhile all others are served."""
    patience = PATIENCE / 10
    for name, terms in (("_TERMS", _TERMS), ("_ROOTS_TERMS", _ROOTS_TERMS)):
        assert terms.patience == PATIENCE == 2.0
        monkeypatch.setattr(f"dnsguard.control.{name}", replace(terms, patience=patience))

    async def scene() -> None:
        async with _open(path), _client(path) as (reader, writer):
            writer.write(ASK[:10])
            assert await _say(path, ASK) == FINE
            began = time.monotonic()
            assert b"no whole line was said within 0.2 s" in await reader.read()
            assert patience / 2 < time.monotonic() - began < PATIENCE

    run(scene())


def test_a_line_in_pieces_is_a_line(run: Run, path: Path) -> None:
    """Where a write ends says nothing."""

    async def scene() -> None:
        async with _open(path), _client(path) as (reader, writer):
            for byte in ASK:
                writer.write(bytes([byte]))
                await writer.drain()
            assert json.loads(await reader.readline()) == FINE

    run(scene())


def test_a_client_that_hangs_up_is_forgotten(run: Run, path: Path) -> None:
    """Before the question, within it, and before the answer."""

    async def scene() -> None:
        async with _open(path) as control:
            for said in (b"", ASK[:10], ASK):
                async with _client(path) as (_, writer):
                    writer.write(said)
            assert await _say(path, ASK) == FINE
            await _until(lambda: _clients(control) == 0)

    run(scene())


def _clients(control: Control) -> int:
    return sum(len(door) for door in control._listeners)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 -- nothing signals it
            await asyncio.sleep(0.01)


def test_idle_clients_are_in_nobodys_way(run: Run, path: Path) -> None:
    """Twenty that say nothing: the next one is served at once."""

    async def scene() -> None:
        async with contextlib.AsyncExitStack() as idle:
            await idle.enter_async_context(_open(path))
            for _ in range(20):
                await idle.enter_async_context(_client(path))
            began = time.monotonic()
            assert await _say(path, ASK) == FINE
            assert time.monotonic() - began < PATIENCE / 2

    run(scene())


async def _idle(path: Path) -> socket.socket:
    """Connect as soon as the queue has a place, and say nothing."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    async with asyncio.timeout(10):
        while client.connect_ex(str(path)) == errno.EAGAIN:  # noqa: ASYNC110 -- nothing signals it
            await asyncio.sleep(0.001)
    return client


def test_a_crowd_of_idle_clients_makes_room(run: Run, path: Path) -> None:
    """Who has waited longest without a word is hung up on, not who comes with a question."""

    async def scene() -> None:
        with contextlib.ExitStack() as idle:
            async with _open(path) as control:
                clients = [idle.enter_context(await _idle(path)) for _ in range(4 * ROOTS_SHARE)]
                assert await _say(path, ASK) == FINE
                assert _clients(control) <= ROOTS_SHARE
                for client in clients[-SHARE // 2 :]:
                    with pytest.raises(BlockingIOError):
                        client.recv(1)

    run(scene())


def test_root_commands(run: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command gets the whole request, and its refusal reaches the client.

    Whoever runs the tests counts as root (the real root is in tests/integration).
    """
    asked: list[Data] = []

    def hold(request: Data) -> dict[str, object]:
        asked.append(request)
        if len(asked) > 1:
            raise RefusedError("not twice")
        return {"held": True}

    async def scene() -> None:
        control = Control(path, {}, {"hold": hold})
        control.open()
        answers = [await _say(path, HOLD), await _say(path, HOLD)]
        control.close()
        assert answers == [
            {"version": PROTOCOL, "ok": True, "answer": {"held": True}},
            {"version": PROTOCOL, "ok": False, "error": "not twice", "needs_root": False},
        ]

    monkeypatch.setattr(Peer, "is_root", True)
    run(scene())
    assert [request["serves"] for request in asked] == ["upstream"] * 2


def test_nobody_else_commands(run: Run, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says who is there (the real other user is in tests/integration)."""
    told: list[str] = []

    async def scene() -> None:
        control = Control(path, {}, {"hold": dict}, lambda _, what: told.append(what))
        control.open()
        for _ in range(3):
            answer = await _say(path, HOLD)
            assert isinstance(answer, dict)
            assert (answer["ok"], answer["needs_root"]) == (False, True)
        control.close()

    monkeypatch.setattr(Peer, "is_root", False)
    run(scene())
    assert told == ["may not hold: only root may"]


def test_too_many_clients_are_sent_away_and_then_forgotten(run: Run, path: Path) -> None:
    """The number of clients is bounded; when their time is over there is room again."""

    async def scene() -> None:
        with contextlib.ExitStack() as idle:
            async with _open(path) as control:
                for _ in range(100):
                    idle.enter_context(await _idle(path))
                await _until(lambda: _clients(control) == 0)
                assert await _say(path, ASK) == FINE

    run(scene())


def test_a_socket_that_a_dead_daemon_left_is_replaced(run: Run, path: Path) -> None:
    """A kill -9 leaves the name; anyone may connect to the new one, and nobody to the old."""

    async def scene() -> None:
        async with _open(path):
            modes.append(_mode(path))
            assert await _say(path, ASK) == FINE

    modes: list[int] = []
    path.parent.mkdir()
    path.write_bytes(b"left")
    run(scene())
    assert modes == [stat.S_IFSOCK | 0o666]
    assert list(path.parent.iterdir()) == []


def test_root_has_a_socket_of_its_own(run: Run, path: Path) -> None:
    """Which answers like the other, and whose mode keeps everyone else out."""

    async def scene() -> None:
        async with _open(path):
            own = path.with_name(ROOT_SOCKET)
            assert _mode(own) == stat.S_IFSOCK | 0o600
            assert await _say(own, ASK) == FINE

    run(scene())


def _mode(path: Path) -> int:
    return path.stat().st_mode


def test_a_place_that_cannot_be_had_is_said(run: Run, tmp_path: Path) -> None:
    """The daemon goes on without a status, and knows why."""

    async def scene() -> None:
        (tmp_path / "run").write_bytes(b"")
        with pytest.raises(OSError, match=r"control\.sock|File exists|Not a directory"):
            async with _open(tmp_path / "run" / "control.sock"):
                pass

    run(scene())


def test_closing_twice_is_no_error(run: Run, path: Path) -> None:
    """And closing what was never opened neither."""

    async def scene() -> None:
        Control(path, {}).close()
        async with _open(path) as control:
            control.close()

    run(scene())
