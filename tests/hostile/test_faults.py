"""Each system call fails once, is short once, and is the last one once.

"Once for each call and each kind of fault", as far as the time goes that the ring has for
it: the calls on the node's files and its traffic first, then the interpreter's own (its
imports), in an order that a seed decides. The figures are printed; the seed as well, to be
given as $DNSGUARD_FAULT_SEED.
"""

import os
import random
import sys
from pathlib import Path

import pytest

from hostile.calls import SHORT, Call, Circle, Fault, circle
from hostile.campaign import Campaign, Report
from hostile.operation import Operation
from hostile.operations import Command, Hold, Start, Stop
from hostile.repairs import Poison, Repair
from hostile.scene import Lab

pytestmark = pytest.mark.hostile

SECONDS = {
    "secure": 90.0,
    "stop": 60.0,
    "hold": 40.0,
    "repair, decided": 70.0,
    "repair, alike": 30.0,
    "repair, prepared": 30.0,
    "start": 130.0,
}
"""450 in all, and with the control and the recordings under 8 minutes."""
SCALE = float(os.environ.get("DNSGUARD_FAULT_SCALE", "1"))
"""Of these times: 10 for a thorough run by hand."""
SEED = int(os.environ.get("DNSGUARD_FAULT_SEED", random.SystemRandom().randrange(10**6)))
MOST_TOLD = 30
"""Problems that a failed test lists."""


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / "nodes"


def _told(report: Report, capsys: pytest.CaptureFixture[str]) -> Report:
    with capsys.disabled():
        print(f"\n{report}; seed {SEED}")
    return report


def _run(
    operation: Operation, work: Path, capsys: pytest.CaptureFixture[str], *, workers: int = 2
) -> None:
    seconds = SECONDS[operation.name] * SCALE
    campaign = Campaign(operation, work, seconds=seconds, seed=SEED)
    report = _told(campaign.run(workers=workers), capsys)
    assert report.met[SHORT], "nothing was short"
    assert report.met.total() > report.met[SHORT], "nothing failed"
    problems = "\n".join(report.problems[:MOST_TOLD])
    assert not report.problems, f"{len(report.problems)} problems, the first:\n{problems}"


def test_the_naive_writer_is_found_out(
    lab: Lab, template: Path, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The control: what opens the file and writes it leaves none, half of one, or mixed ones."""
    command = [sys.executable, str(Path(__file__).with_name("naive.py"))]
    naive = Command("naive", lab, template, command)
    report = _told(Campaign(naive, work, seconds=60, seed=SEED).run(only=_is_of_the_node), capsys)
    said = " ".join(report.problems)
    assert "b''" in said
    assert "half" in said
    assert {problem.split()[0] for problem in report.problems} >= {"KILL", "SHORT", "EIO", "ENOSPC"}


def _is_of_the_node(fault: Fault) -> bool:
    return circle(fault.call) is not Circle.INTERPRETER


def test_secure(lab: Lab, template: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever fails in it, and wherever it is killed."""
    _run(Command("secure", lab, template, None), work, capsys)


def test_a_stop(lab: Lab, template: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a daemon that has the node handed over, and so has to write the file."""
    _run(Stop(lab, template), work, capsys, workers=3)


@pytest.mark.parametrize("error", ["ENOSPC", "ENOBUFS"])
def test_a_stop_whose_wake_up_is_lost(lab: Lab, template: Path, work: Path, error: str) -> None:
    """The kernel had no memory for the byte that tells asyncio of SIGTERM."""
    lost = Call("write", "socket:N", nth=1)
    outcome = Stop(lab, template).run(Fault(lost, error), work)
    assert outcome.ended == 0
    assert not outcome.problems


def test_a_hold(lab: Lab, template: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Commanded while another one lies there: hold.json is the old one or the new one."""
    _run(Hold(lab, template), work, capsys, workers=3)


@pytest.mark.parametrize("poison", Poison)
def test_a_repair(
    lab: Lab,
    template: Path,
    work: Path,
    capsys: pytest.CaptureFixture[str],
    poison: Poison,
) -> None:
    """Of a poison that is new, of one like an earlier one, and of one that has been there."""
    _run(Repair(lab, template, poison=poison), work, capsys, workers=4)


def test_a_start(lab: Lab, template: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the daemon's first instruction to READY."""
    _run(Start(lab, template), work, capsys)
