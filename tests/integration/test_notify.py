"""The line to systemd, with a real socket at its other end."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnsguard.host.notify import STATUS_MAX, Notifier, watchdog_interval

pytestmark = pytest.mark.integration


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Return the service manager's end."""
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(path))
        listener.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield listener


@pytest.fixture
def notifier(systemd: socket.socket) -> Iterator[Notifier]:
    made = Notifier()
    yield made
    made.close()


def heard(listener: socket.socket) -> list[str]:
    """Return the fields of the next message."""
    return listener.recv(4096).decode("utf-8").split("\n")


def test_ready_and_its_status_come_in_one_message(
    systemd: socket.socket, notifier: Notifier
) -> None:
    """READY and what it is ready with are one datagram, so that neither is seen alone."""
    assert notifier.ready("guarding: 10.0.2.3")
    assert heard(systemd) == ["READY=1", "STATUS=guarding: 10.0.2.3"]


def test_every_message_is_the_one_systemd_knows(systemd: socket.socket, notifier: Notifier) -> None:
    """The words are those of sd_notify(3)."""
    assert notifier.ready()
    assert notifier.status("fine")
    assert notifier.watchdog()
    assert notifier.stopping("the end")
    said = [heard(systemd) for _ in range(4)]
    assert said == [["READY=1"], ["STATUS=fine"], ["WATCHDOG=1"], ["STOPPING=1", "STATUS=the end"]]


def test_reloading_says_when(systemd: socket.socket, notifier: Notifier) -> None:
    """RELOADING comes with the monotonic time in microseconds that Type=notify-reload needs."""
    before = time.monotonic_ns() // 1000
    notifier.reloading()
    word, when = heard(systemd)
    assert word == "RELOADING=1"
    key, _, usec = when.partition("=")
    assert key == "MONOTONIC_USEC"
    assert before <= int(usec) <= time.monotonic_ns() // 1000


def test_a_status_can_not_smuggle_a_field(systemd: socket.socket, notifier: Notifier) -> None:
    """Text from a foreign file with newlines and escapes stays one printable line."""
    notifier.status("options\nMAINPID=1\r\n\x1b[31m  ndots:2\0")
    assert heard(systemd) == ["STATUS=options MAINPID=1 [31m ndots:2"]


def test_a_status_is_utf_8_and_short(systemd: socket.socket, notifier: Notifier) -> None:
    """Beyond Latin-1, where sdnotify alone would lose the message, and beyond one line."""
    notifier.status("käse → 域名")
    assert heard(systemd) == ["STATUS=käse → 域名"]
    notifier.status("\udcff" + "x" * 1000)
    (field,) = heard(systemd)
    assert field.startswith("STATUS=")
    assert field.endswith("x…")
    assert len(field) == len("STATUS=") + STATUS_MAX


def test_an_empty_status_says_nothing(systemd: socket.socket, notifier: Notifier) -> None:
    """Nothing to say is not sent: systemd would log an empty datagram."""
    assert notifier.status(" \n")
    notifier.watchdog()
    assert heard(systemd) == ["WATCHDOG=1"]


def test_a_full_queue_is_reported_and_does_not_block(
    systemd: socket.socket, notifier: Notifier
) -> None:
    """While systemd doesn't read, a message is refused at once and works again later."""
    sent = 0
    while notifier.watchdog():
        sent += 1
        assert sent < 100_000
    assert sent
    assert not notifier.ready()
    for _ in range(sent):
        assert heard(systemd) == ["WATCHDOG=1"]
    assert notifier.ready()
    assert heard(systemd) == ["READY=1"]


def test_an_abstract_socket_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """``NOTIFY_SOCKET=@name`` is a socket without a path (unix(7))."""
    name = f"dnsguard-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind("\0" + name)
        listener.settimeout(2)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        notifier = Notifier()
        assert notifier.ready()
        assert heard(listener) == ["READY=1"]
        notifier.close()


@pytest.mark.parametrize("where", [None, "", "/nonexistent/notify"])
def test_without_systemd_nothing_happens(
    monkeypatch: pytest.MonkeyPatch, where: str | None
) -> None:
    """Started by hand, or with a stale address, the daemon talks to nobody and is content."""
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if where is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", where)
    notifier = Notifier()
    assert notifier.ready("x")
    assert notifier.watchdog()
    assert notifier.reloading()
    assert notifier.stopping()
    notifier.close()


def test_a_closed_line_takes_no_more(systemd: socket.socket, notifier: Notifier) -> None:
    """After close() messages go nowhere, and a second close() is harmless."""
    notifier.close()
    notifier.close()
    assert notifier.ready()


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [
        ("30000000", "", 15.0),
        pytest.param("30000000", str(os.getpid()), 15.0, id="its-own-pid"),
        ("30000000", "1", None),  # meant for another process
        ("30000000", "x", None),
        ("1", "", 0.0000005),
        ("0", "", None),
        ("", "", None),
        ("-1", "", None),
        ("soon", "", None),
        ("٣", "", None),  # a digit to str.isdigit, none to systemd
    ],
)
def test_the_watchdog_is_petted_twice_as_often_as_asked(
    usec: str, pid: str, seconds: float | None
) -> None:
    """Half of WATCHDOG_USEC, where it is meant for this process (sd_watchdog_enabled(3))."""
    environ = {"WATCHDOG_USEC": usec, "WATCHDOG_PID": pid}
    assert watchdog_interval({key: value for key, value in environ.items() if value}) == seconds
