"""The rules of tests/conftest.py hold, so that a fast test is what it says."""

import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def rules(request: pytest.FixtureRequest) -> Any:  # noqa: ANN401 -- a conftest is no module to import
    """Return tests/conftest.py as pytest has loaded it."""
    plugins = request.config.pluginmanager.get_plugins()
    return next(plugin for plugin in plugins if hasattr(plugin, "ForbiddenError"))


def _connect(family: int, kind: int, address: str | tuple[str, int]) -> None:
    with socket.socket(family, kind) as made:
        made.connect(address)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: subprocess.run(["true"], check=True),
        lambda: os.system("true"),  # noqa: S605
        lambda: os.posix_spawn("/bin/true", ["true"], os.environ),
        os.fork,
        lambda: _connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 9)),
        lambda: _connect(socket.AF_INET, socket.SOCK_DGRAM, ("192.0.2.1", 53)),
        lambda: _connect(socket.AF_INET6, socket.SOCK_DGRAM, ("2001:db8::1", 53)),
        lambda: socket.getaddrinfo("dns.example", 53),
    ],
    ids=["run", "system", "spawn", "fork", "tcp", "udp", "udp6", "lookup"],
)
def test_no_process_and_no_network(rules: Any, attempt: Callable[[], object]) -> None:  # noqa: ANN401
    """Whichever way it is tried, it is refused before it happens, and remembered."""
    with pytest.raises(rules.ForbiddenError):
        attempt()
    assert rules._GUARD.attempts
    rules._GUARD.attempts.clear()


@pytest.mark.subprocess
def test_a_test_may_ask_for_a_process() -> None:
    """Where only another process tells the truth, a marker says so."""
    subprocess.run(["true"], check=True)


def test_a_unix_socket_is_no_network(tmp_path: Path) -> None:
    """The control socket is real in the fast rings, too."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        _connect(socket.AF_UNIX, socket.SOCK_STREAM, str(tmp_path / "socket"))


def test_an_open_descriptor_is_seen(rules: Any) -> None:  # noqa: ANN401
    """What a test leaves open is a difference between before and after."""
    before = rules._descriptors()
    descriptor = os.open("/dev/null", os.O_RDONLY)
    left = rules._descriptors().items() - before.items()
    os.close(descriptor)
    assert left == {(descriptor, "/dev/null")}
    assert rules._descriptors() == before
