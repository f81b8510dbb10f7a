"""``dnsguard events`` where the journal's own programs fail or are missing."""

import subprocess
import sys
from pathlib import Path

import pytest
from lab.guard import environment

pytestmark = pytest.mark.integration


def _run(programs: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "dnsguard", "events", *arguments],
        env=environment() | {"PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("arguments", "missing"), [((), "journalctl"), (("--since=yesterday",), "systemd-analyze")]
)
def test_a_missing_program_is_named(
    tmp_path: Path, arguments: tuple[str, ...], missing: str
) -> None:
    """With its package, in one line."""
    done = _run(tmp_path, *arguments)
    assert done.stderr == f"dnsguard: {missing} is missing: apt-get install systemd\n"
    assert done.returncode == 1


def test_a_journal_that_breaks_off_is_no_success(tmp_path: Path) -> None:
    """What was read is printed; journalctl itself says on stderr what was wrong."""
    journalctl = tmp_path / "journalctl"
    journalctl.write_text(
        "#!/bin/sh\n"
        'case "$*" in *--output=json*) ;; *) exit 0 ;; esac\n'
        'echo \'{"__REALTIME_TIMESTAMP": "1", "DNSGUARD_EVENT": "started"}\'\n'
        "echo Bad message >&2\n"
        "exit 1\n"
    )
    journalctl.chmod(0o755)
    done = _run(tmp_path)
    assert done.stdout.count("\n") == 1
    assert done.stderr == "Bad message\n"
    assert done.returncode == 1
