"""journald's queue, full, in a mount namespace of the test's own: nothing of ours stops for it."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lab import needs

from dnsguard.host.journal import Fields, Outbox

pytestmark = pytest.mark.integration
pytest.importorskip("systemd.journal", reason="python3-systemd is not in this environment")

TREE = Path(__file__).parents[2]
PLAY = """if True:
    import json, pathlib, socket
    pathlib.Path("/run/systemd/journal").mkdir(parents=True)
    journald = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journald.bind("/run/systemd/journal/socket")
    from dnsguard.host.journal import MOST, Outbox
    outbox = Outbox()
    for number in range(MOST + 200):
        outbox.put({"MESSAGE": f"line {number}", "DNSGUARD_EVENT": "started\\nover"})
    lost_meanwhile = outbox.take_lost()
    heard = []
    journald.settimeout(2)
    try:
        while True:
            heard.append(journald.recv(65536))
    except TimeoutError:
        pass
    outbox.close()
    print(json.dumps([MOST, lost_meanwhile, outbox.take_lost(), len(heard),
        heard[0].decode("latin-1"), b"line 1" in heard[1]]))
"""


def test_a_full_queue_stops_nobody_and_what_is_lost_is_counted() -> None:
    """Played by a socket that is read late; every line is heard or counted, in order."""
    needs.require("root", "namespaces")
    script = 'mount --make-rprivate / && mount -t tmpfs none /run && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", sys.executable, "-c", PLAY],
        env={**os.environ, "PYTHONPATH": str(TREE)},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    most, meanwhile, lost, heard, first, is_second = json.loads(done.stdout)
    assert meanwhile == 0
    assert lost > 0
    assert heard + lost == most + 200
    assert "MESSAGE=line 0" in first
    assert is_second


def test_a_line_that_cannot_be_sent_is_counted_and_the_next_one_is() -> None:
    """No descriptor is left for one, and then there is."""
    sent: list[str] = []

    def write(fields: Fields) -> None:
        if fields["MESSAGE"] == "first":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        sent.append(fields["MESSAGE"])

    outbox = Outbox(write)
    outbox.put({"MESSAGE": "first"})
    outbox.put({"MESSAGE": "second"})
    outbox.close()
    assert (sent, outbox.take_lost()) == (["second"], 1)
