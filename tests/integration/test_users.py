"""A directory service that never answers, as sssd without DNS: nothing of ours asks it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from lab import needs

pytestmark = pytest.mark.integration

TREE = Path(__file__).parents[2]
UID = 61234
PLAY = f"""if True:
    import os, pathlib, socket, subprocess, sys
    pathlib.Path("/run/systemd/userdb").mkdir(parents=True)
    service = socket.socket(socket.AF_UNIX)
    service.bind("/run/systemd/userdb/io.example.Silent")
    service.listen()
    getent = subprocess.Popen(["getent", "passwd", "{UID}"])
    service.settimeout(10)
    heard, _ = service.accept()
    assert getent.poll() is None, "the control does not wait"
    getent.kill()
    getent.wait()
    from dnsguard.host.trust import TrustedFiles
    assert not TrustedFiles().include(sys.argv[1] + "/resolv.conf.bak")
    service.settimeout(0)
    try:
        service.accept()
    except BlockingIOError:
        print("nobody else asked")
"""


@pytest.mark.skipif(
    not any(Path("/lib").glob("*-linux-gnu*/libnss_systemd.so.2")), reason="libnss-systemd"
)
def test_a_foreign_owner_is_looked_up_in_no_directory_service(tmp_path: Path) -> None:
    """getent(1) waits for it, and a look at a user's directory does not."""
    needs.require("root", "namespaces")
    (tmp_path / "nsswitch.conf").write_text("passwd: files systemd\n")
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    os.chown(foreign, UID, UID)
    script = (
        "mount --make-rprivate / && mount -t tmpfs none /run"
        ' && mount --bind "$1/nsswitch.conf" /etc/nsswitch.conf'
        ' && exec "$2" -c "$3" "$1/foreign"'
    )
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", str(tmp_path), sys.executable, PLAY],
        env={**os.environ, "PYTHONPATH": str(TREE)},
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.stdout == "nobody else asked\n"
