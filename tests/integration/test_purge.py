"""What a purge asks the kubelets that run: which file each was told of, wherever that lies.

dpkg's own script, in a node's stead: processes, /etc, /var/lib and /srv are of its own namespaces.
The places where kubelet's files usually lie are the static ring's (test_package).
"""

import shlex
import subprocess
from pathlib import Path

import pytest
from lab import needs

pytestmark = pytest.mark.integration

POSTRM = Path(__file__).parents[2] / "packaging/debian/dnsguard.postrm"
POD_FILE = "/var/lib/dnsguard/resolv.conf"
OURS, ANOTHER = (f"resolvConf: {name}\n" for name in (POD_FILE, "/etc/resolv.conf"))
CONFIG = "/srv/node.yaml"
"""No place where anybody would look for it."""
NOBODY = 65534
_SCENE = """\
set -e
for directory in etc var/lib srv; do mount --bind "${{0%/*}}/$directory" "/$directory"; done
setpriv --reuid={user} --clear-groups {command} &
until tr '\\0' ' ' <"/proc/$!/cmdline" | grep -q '^/bin/sh /srv/'; do sleep 0.01; done
sh /srv/postrm purge
"""


def _purge(root: Path, *command: str, config: str, user: int = 0) -> tuple[list[str], str]:
    """Purge the package while a program runs; return what is left of its state, and what was said."""
    needs.require("root", "namespaces")
    state = root / "var/lib/dnsguard"
    for directory in (root / "etc", state, root / "srv"):
        directory.mkdir(parents=True)
    for name in ("resolv.conf", "state.json"):
        (state / name).write_text("nameserver 192.0.2.53\n")
    (root / "srv/postrm").write_bytes(POSTRM.read_bytes())
    (root / CONFIG.lstrip("/")).write_text(config)
    program = root / command[0].lstrip("/")
    program.write_text("#!/bin/sh\nsleep 1000\n")
    program.chmod(0o755)
    scene = root / "scene"
    scene.write_text(_SCENE.format(user=user, command=shlex.join(command)))
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", scene],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    return sorted(path.name for path in state.glob("*")), done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (f"--config={CONFIG}",),
        ("--v=2", "--config", CONFIG, "--root-dir=/var/lib/kubelet"),
        (f"--kubelet-args-file={CONFIG}",),
    ],
    ids=" ".join,
)
def test_the_file_of_a_kubelet_that_runs_is_looked_into(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """It names the file for pods: that alone stays, and who reads it is said."""
    left, said = _purge(tmp_path, "/srv/kubelet", *arguments, config=OURS)
    assert left == ["resolv.conf"]
    assert f"{POD_FILE} stays: kubelet reads it ({CONFIG})" in said


def test_a_kubelet_that_was_told_by_a_flag_is_found(tmp_path: Path) -> None:
    """By its process: the flag may stand in no file."""
    left, said = _purge(tmp_path, "/srv/kubelet", f"--resolv-conf={POD_FILE}", config=ANOTHER)
    assert left == ["resolv.conf"]
    assert f"{POD_FILE} stays: kubelet reads it (process " in said


@pytest.mark.parametrize(
    ("program", "config", "user"),
    [("/srv/kubelet", ANOTHER, 0), ("/srv/proxy", OURS, 0), ("/srv/kubelet", OURS, NOBODY)],
    ids=["another file", "another program", "another user's"],
)
def test_nothing_else_keeps_it(tmp_path: Path, program: str, config: str, user: int) -> None:
    """The control: kubelet reads another file, or it is no kubelet of root's that names ours."""
    left, said = _purge(tmp_path, program, f"--config={CONFIG}", config=config, user=user)
    assert (left, said) == ([], "")
