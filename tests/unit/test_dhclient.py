"""What the daemon knows of dhclient, and what it loads for that."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TREE = Path(__file__).parents[2]
HOOKS = "etc/dhcp/dhclient-enter-hooks.d"
DEBUG = b'if [ "$RUN" = yes ]; then\n    echo "$reason" >> /tmp/dhclient-script.debug\nfi\n'
"""As Debian has it."""
REPLACES = b"make_resolv_conf() { :; }\n"
FORECAST = (
    "dnsguard.commands",
    "dnsguard.dry_run",
    "dnsguard.formats.dhclient.offer",
    "dnsguard.formats.dhclient.rehearsal",
    "dnsguard.formats.dhclient.shell.parser",
    "dnsguard.formats.dhclient.shell.tree",
    "dnsguard.host.dhclient_processes",
)
"""What only commands need."""

_JUDGE = """
import json, sys
from pathlib import Path
import dnsguard.daemon
from dnsguard.dhclient import Dhclient
from dnsguard.paths import Paths
Dhclient(Paths(Path(sys.argv[1])), print).judge(frozenset())
print(json.dumps(sorted(sys.modules)))
"""


def _load(root: Path) -> list[str]:
    """Return what a daemon has loaded of the forecast once it has judged dhclient's files."""
    done = subprocess.run(
        [sys.executable, "-c", _JUDGE, str(root)],
        env={"PYTHONPATH": str(TREE), "PATH": "/usr/bin"},
        stdout=subprocess.PIPE,
        check=True,
    )
    modules: list[str] = json.loads(done.stdout.splitlines()[-1])
    return [one for one in modules if one.startswith(FORECAST)]


def _write_hook(root: Path, name: str, content: bytes) -> None:
    (root / HOOKS).mkdir(parents=True, exist_ok=True)
    (root / HOOKS / name).write_bytes(content)


@pytest.mark.subprocess
def test_the_daemon_loads_nothing_of_the_forecast(tmp_path: Path) -> None:
    """Nor does it where a hook leaves make_resolv_conf alone, as Debian's own does."""
    assert _load(tmp_path) == []
    _write_hook(tmp_path, "debug", DEBUG)
    assert _load(tmp_path) == []


@pytest.mark.subprocess
def test_a_replaced_make_resolv_conf_is_rehearsed(tmp_path: Path) -> None:
    """Whether it keeps dhclient from the file is told by going through it: that takes a shell."""
    _write_hook(tmp_path, "own", REPLACES)
    assert {one.rpartition(".")[2] for one in _load(tmp_path)} >= {"rehearsal", "parser"}
