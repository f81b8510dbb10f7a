"""promtool of Debian's prometheus package, as tests/run lays it ready."""

import os
import shutil
import subprocess
from pathlib import Path

_CACHED = "prometheus/usr/bin/promtool"


def promtool(*arguments: str | Path, said: str | None = None) -> str:
    """Run it and return what it says; it must find nothing wrong.

    :param said: its standard input.
    """
    cache = Path(os.environ.get("DNSGUARD_TEST_CACHE", "/var/cache/dnsguard-tests"))
    program = shutil.which("promtool") or str(cache / _CACHED)
    assert Path(program).exists(), "promtool is missing: sudo tests/run static fetches it"
    done = subprocess.run(
        [program, *arguments], check=False, input=said, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
