"""README.md's samples are what its node says: the same machine, booted once more."""

import pytest
from lab.samples import FILE, JOURNAL, STATUS, drop_run

from boot.lab import Lab
from boot.waiting import wait_for

pytestmark = pytest.mark.boot


def test_the_node_says_what_readme_shows(guarded_lab: Lab) -> None:
    """Status, journal and file, but for times, process ids and how dhclient gave itself away.

    The journal may have more lines, and in another order. What ``dnsguard events`` makes of it is
    for the static ring.
    """
    node = guarded_lab.node
    node.up()

    def journal() -> set[str]:
        said = node.run("journalctl", "--unit=dnsguard", "--no-pager")
        return {drop_run(line) for line in said.splitlines()}

    def status() -> list[str]:
        return [drop_run(line) for line in node.try_("dnsguard", "status").stdout.splitlines()]

    # The last to write, the last to be told, and the last that the status changes for.
    wait_for("zdnsupdate's lines", lambda: node.resolv_conf().splitlines() == FILE, seconds=10)
    asked = "dhcp_server_asked"
    wait_for("the DHCP server's answer", lambda: asked in "\n".join(journal()), seconds=20)
    wait_for("its use", lambda: "from dhcp-server" in "\n".join(status()), seconds=20)
    wait_for("the trample", lambda: "tramples" in "\n".join(status()), seconds=20)
    assert status() == [drop_run(line) for line in STATUS]
    assert sorted({drop_run(line) for line in JOURNAL} - journal()) == []
