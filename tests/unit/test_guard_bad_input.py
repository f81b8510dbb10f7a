"""The guard with bad input: what is no resolv.conf, no state, no directory to write in."""

import json
import os

import pytest

from dnsguard.core.observation import MAX_FILE
from dnsguard.core.plan import CureResolved
from dnsguard.guard import Guard
from unit.machine import POISON, REAL, Machine


def _spoil(machine: Machine, how: str) -> None:
    path = machine.paths.resolv_conf
    match how:
        case "directory":
            path.mkdir()
            (path / "inside").write_bytes(POISON)
        case "fifo":
            os.mkfifo(path)
        case "huge":
            path.write_bytes(POISON * (MAX_FILE // len(POISON) + 1))
        case "device":
            path.with_name("device").symlink_to("/dev/full")
            path.symlink_to("device")


@pytest.mark.parametrize("how", ["directory", "fifo", "huge"])
def test_what_is_no_resolv_conf_is_replaced_and_kept(machine: Machine, how: str) -> None:
    """The node resolves names, and nothing foreign is deleted."""
    _spoil(machine, how)
    machine.backup()
    before = machine.paths.resolv_conf.lstat().st_ino
    guard = machine.start()
    if not guard.plan or not guard.plan.is_settled:
        _wait_for(guard, machine)
    assert machine.servers == ["10.0.0.2"]
    etc = machine.paths.resolv_conf.parent
    assert before in {path.lstat().st_ino for path in etc.iterdir()}


def _wait_for(guard: Guard, machine: Machine) -> None:
    """Turn until the grace of a missing file is over."""
    for _ in range(10_000):
        machine.turn(guard)
        if guard.plan is not None and guard.plan.is_settled:
            return
    raise TimeoutError


@pytest.mark.parametrize("content", [None, b"", b"\n"])
def test_an_empty_or_missing_file_is_filled(machine: Machine, content: bytes | None) -> None:
    """After its moment of grace."""
    if content is not None:
        machine.write(content)
    machine.backup()
    guard = machine.start()
    assert machine.paths.resolv_conf.exists() is (content is not None)
    _wait_for(guard, machine)
    assert machine.servers == ["10.0.0.2"]


def test_binary_noise_is_kept_byte_for_byte(machine: Machine) -> None:
    """It is no text, but it is somebody's."""
    noise = bytes(range(256)) * 8
    machine.write(noise)
    machine.backup()
    machine.start()
    assert machine.servers == ["10.0.0.2"]
    assert machine.content.startswith(noise)
    assert machine.paths.foreign.read_bytes() == noise


@pytest.mark.parametrize(
    "state", [b"", b"{", b'{"version": 99, "remembered": []}', b"\0" * 100, b"[" * 100_000]
)
def test_a_damaged_state_is_said_and_kept_aside(machine: Machine, state: bytes) -> None:
    """The daemon starts without it; what was in it is not overwritten."""
    machine.write(b"nameserver 10.0.0.2\nnameserver 169.254.25.10\n")
    machine.paths.state.parent.mkdir(parents=True)
    machine.paths.state.write_bytes(state)
    machine.start()
    assert "state_unreadable" in machine.names()
    assert machine.paths.state.with_name("state.json.unreadable").read_bytes() == state
    saved = json.loads(machine.paths.state.read_bytes())
    assert [entry["address"] for entry in saved["remembered"]] == ["10.0.0.2"]


def test_a_state_directory_that_cannot_be_written_costs_no_repair(machine: Machine) -> None:
    """The file is safe first; that the rest failed is said."""
    machine.write(POISON)
    machine.backup()
    machine.paths.state.parent.parent.mkdir(parents=True)
    machine.paths.state.parent.write_bytes(b"in the way")
    machine.start()
    assert machine.servers == ["10.0.0.2"]
    assert "state_not_written" in machine.names()


def test_what_resolved_is_told_and_can_not_be_taken_back_is_said(machine: Machine) -> None:
    """And tried again: systemd-resolved would go on reading it."""
    machine.write(REAL)
    guard = machine.start()
    drop_in = machine.paths.resolved_drop_in
    (drop_in / "in the way").mkdir(parents=True)
    guard.deferred.add([CureResolved(content=None, wanted=())])
    guard.apply_deferred()
    assert "state_not_written" in machine.names()
    assert "resolved_told" not in machine.names()
    (drop_in / "in the way").rmdir()
    drop_in.rmdir()
    drop_in.touch()
    guard.apply_deferred()
    assert "resolved_told" in machine.names()
    assert not drop_in.exists()
