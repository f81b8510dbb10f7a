"""The rings' house rules: what the fast ones may not do, and that nothing is left behind.

Unit and property tests start no process and reach no network: an audit hook
(sys.addaudithook, PEP 578) refuses it, whichever way it is tried. After each of them no
descriptor, thread or task is left. A test that needs a process says so with
``@pytest.mark.subprocess``.

Hypothesis runs the same examples every time: those of the profile ``fast``, and with
``tests/run all`` those of ``thorough``. To look for new ones:
``HYPOTHESIS_PROFILE=deep tests/run unit``.
"""

import asyncio
import gc
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

_Result = TypeVar("_Result")

_FAST_RINGS = frozenset({"unit", "property"})
_PROCESSES = ("subprocess.Popen", "os.system", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec")
_NETWORK = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.bind")
_LOOKUPS = ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr")
_PATIENCE = 5.0
"""Seconds for tasks that are on their way out."""

for _name, _examples in {"fast": 40, "thorough": 150}.items():
    settings.register_profile(
        _name,
        max_examples=_examples,
        deadline=None,  # a loaded machine is no failure
        derandomize=True,
        print_blob=True,
        database=None,
    )
settings.register_profile(
    "deep",
    max_examples=10_000,
    deadline=None,
    derandomize=False,
    print_blob=True,
    database=None,  # the tree may be read-only
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


class ForbiddenError(AssertionError):
    """Raised where a fast test starts a process or reaches for the network."""


class _Guard:
    """What is forbidden now, and what was tried all the same.

    The attempts are kept, too: code under test may swallow the exception.
    """

    def __init__(self) -> None:
        self.is_on = False
        self.allows_processes = False
        self.attempts: list[str] = []

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.is_on and self._is_forbidden(event, arguments):
            self.attempts.append(f"{event}{arguments!r}")
            raise ForbiddenError(f"no place for {event} in a fast test: {arguments!r}")

    def _is_forbidden(self, event: str, arguments: tuple[object, ...]) -> bool:
        if event in _NETWORK:
            used = arguments[0]
            return isinstance(used, socket.socket) and used.family != socket.AF_UNIX
        return event in _LOOKUPS or (event in _PROCESSES and not self.allows_processes)


_GUARD = _Guard()
sys.addaudithook(_GUARD)  # there is no way to remove one, hence the switch


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "subprocess: a unit test that may start a process")


def _ring(path: Path) -> str:
    """Return the directory below tests/ that a test stands in."""
    return path.relative_to(Path(__file__).parent).parts[0]


@pytest.fixture(autouse=True)
def house_rules(request: pytest.FixtureRequest) -> Iterator[None]:
    """Forbid, and see that nothing is left behind. Set up first, torn down last."""
    if _ring(request.path) not in _FAST_RINGS:
        yield
        return
    descriptors, threads = _descriptors(), set(threading.enumerate())
    _GUARD.attempts.clear()
    _GUARD.allows_processes = request.node.get_closest_marker("subprocess") is not None
    _GUARD.is_on = True
    try:
        yield
    finally:
        _GUARD.is_on = False
    assert not _GUARD.attempts
    assert set(threading.enumerate()) <= threads
    left = _descriptors().items() - descriptors.items()
    if left:
        # What hangs in a reference cycle is not left behind, only late.
        gc.collect()
        left = _descriptors().items() - descriptors.items()
    assert not left


def _descriptors() -> dict[int, str]:
    """Return this process's open descriptors and what each leads to."""
    found = {}
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 -- new in ruff, older ones don't know
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
        except FileNotFoundError:  # the listing's own
            continue
    return found


@pytest.fixture
def run() -> Callable[[Awaitable[_Result]], _Result]:
    """Return a way to run a coroutine on a loop of its own that leaves no task behind."""

    def run_it(job: Awaitable[_Result]) -> _Result:
        return asyncio.run(_alone(job))

    return run_it


async def _alone(job: Awaitable[_Result]) -> _Result:
    result = await job
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if others:
        _, others = await asyncio.wait(others, timeout=_PATIENCE)
    assert not others, f"tasks left behind: {others}"
    return result
