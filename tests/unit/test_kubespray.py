"""What is found on a node that Kubespray has worked on: every row of FACTS.md's table."""

from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_address
from itertools import product
from pathlib import Path

import pytest
from lab.kubespray_releases import CLUSTER_DNS, NODE_LOCAL, REAL, ROUTER, STUB, Row
from lab.kubespray_tree import EARLIEST, LATEST, Layout, Stage, grow

from dnsguard.core.exclusions import Exclusions
from dnsguard.core.model import Candidate, Found, Source
from dnsguard.host.sources import find_sources
from dnsguard.paths import Paths

CLUSTER = frozenset({ip_address(NODE_LOCAL), ip_address(CLUSTER_DNS)})
TREES = tuple(product(Row, Layout, Stage))

SURVIVES = {
    (Layout.PLAIN, Stage.BEFORE): Source.LEASE,
    (Layout.PLAIN, Stage.FIRST): Source.LEASE,
    (Layout.PLAIN, Stage.SECOND): Source.BACKUP,
    (Layout.RESOLVCONF, Stage.BEFORE): Source.LEASE,
    (Layout.RESOLVCONF, Stage.FIRST): Source.LEASE,
    (Layout.RESOLVCONF, Stage.SECOND): Source.BACKUP,
    (Layout.NETWORK_MANAGER, Stage.BEFORE): Source.NETWORK_MANAGER,
    (Layout.RESOLVED, Stage.BEFORE): Source.LEASE,
    (Layout.RESOLVED, Stage.FIRST): Source.LEASE,
}
"""Where the real server of a poisoned node still stands; elsewhere it is gone."""

BACKUPS = """\
backup 0 real .7113
backup 1 real .7140
backup 2 real .24680
backup 3 {poison} .24702
backup 3 real .24702
"""
ORDER = {
    (Layout.PLAIN, Stage.BEFORE): (
        "lease 0 real leases:15\nlease 50 {poison} conf:4\n"
        + BACKUPS
        + "guess 0 router leases:15\n"
    ),
    (Layout.PLAIN, Stage.FIRST): (
        "lease 0 {poison} leases:29\nlease 50 {poison} conf:4\nlease 101 real leases:15\n"
        + BACKUPS
        + "guess 0 router leases:29\n"
    ),
    (Layout.PLAIN, Stage.SECOND): (
        "lease 0 {poison} leases:15\nlease 50 {poison} conf:4\n"
        + BACKUPS
        + "guess 0 router leases:15\n"
    ),
    (Layout.RESOLVCONF, Stage.BEFORE): """\
lease 0 real leases:15
lease 50 {poison} conf:4
backup 0 real .dhclient
backup 1 real original
guess 0 router leases:15
""",
    (Layout.RESOLVCONF, Stage.FIRST): """\
lease 0 {poison} leases:29
lease 50 {poison} conf:4
lease 101 real leases:15
backup 0 {poison} .dhclient
backup 1 real original
guess 0 router leases:29
""",
    (Layout.RESOLVCONF, Stage.SECOND): """\
lease 0 {poison} leases:15
lease 50 {poison} conf:4
backup 0 {poison} .dhclient
backup 1 real original
guess 0 router leases:15
""",
    (Layout.NETWORK_MANAGER, Stage.BEFORE): """\
NetworkManager 0 real no-stub-resolv.conf
NetworkManager 1 real resolv.conf
NetworkManager 3 {poison} dns.conf
""",
    (Layout.NETWORK_MANAGER, Stage.FIRST): """\
NetworkManager 0 {poison} no-stub-resolv.conf
NetworkManager 1 {poison} resolv.conf
NetworkManager 3 {poison} dns.conf
""",
    (Layout.NETWORK_MANAGER, Stage.SECOND): """\
NetworkManager 0 {poison} no-stub-resolv.conf
NetworkManager 1 {poison} resolv.conf
NetworkManager 3 {poison} dns.conf
""",
    (Layout.RESOLVED, Stage.BEFORE): """\
lease 0 real leases:15
lease 50 {poison} conf:4
resolved 0 node-local resolv.conf
resolved 0 real resolv.conf
resolved 1 node-local kubespray.conf
guess 0 router leases:15
""",
    (Layout.RESOLVED, Stage.FIRST): """\
lease 0 {poison} leases:29
lease 50 {poison} conf:4
lease 101 real leases:15
resolved 0 {resolved} resolv.conf
resolved 1 node-local kubespray.conf
guess 0 router leases:29
""",
    (Layout.RESOLVED, Stage.SECOND): """\
lease 0 {poison} leases:15
lease 50 {poison} conf:4
resolved 0 {resolved} resolv.conf
resolved 1 node-local kubespray.conf
guess 0 router leases:15
""",
}
"""Source, tier, who, and the end of the origin; ``poison`` is a line for each of its servers."""
NAMES = {REAL: "real", NODE_LOCAL: "node-local", CLUSTER_DNS: "cluster", ROUTER: "router"}


def _grown(root: Path, row: Row, layout: Layout, stage: Stage) -> Found:
    grow(root, row, layout, stage, datetime.now(UTC))
    return find_sources(Paths(root))


def _admitted(found: Found) -> list[Candidate]:
    border = Exclusions(cluster=CLUSTER, stubs=found.stubs)
    return [one for one in found.candidates if border.allows(one.address)]


def _end(origin: str) -> str:
    """Return the part of an origin that the tables name."""
    name = origin.rpartition("/")[2]
    for known in ("leases:", "conf:"):
        if known in name:
            return known + name.rpartition(":")[2]
    if name.endswith("~"):
        return "." + name.split(".")[2]
    return ".dhclient" if name.endswith(".dhclient") else name


def _told(found: Found) -> list[str]:
    return [
        f"{one.source} {one.tier} {NAMES[str(one.address)]} {_end(one.origin)}"
        for one in found.candidates
    ]


def _expected(text: str, poison: list[str]) -> Iterator[str]:
    resolved = list(dict.fromkeys(["node-local", *poison]))
    for line in text.splitlines():
        servers = resolved if "{resolved}" in line else poison
        for server in servers if "{" in line else [""]:
            yield line.format(poison=server, resolved=server)


def _is_poisoned(row: Row, layout: Layout) -> bool:
    """Tell whether dhclient, started again, knows no real server."""
    # With systemd-resolved it is the stub that later releases keep.
    return row.value.poisons or (row.value.is_in_file and layout is Layout.RESOLVED)


@pytest.mark.parametrize(("row", "layout", "stage"), TREES)
def test_the_real_server_is_found_where_it_survives(
    tmp_path: Path, row: Row, layout: Layout, stage: Stage
) -> None:
    """It is the first that can be an upstream; where it is gone, there are guesses at most."""
    admitted = _admitted(_grown(tmp_path, row, layout, stage))
    real = [one for one in admitted if one.source is not Source.GUESS]
    assert {str(one.address) for one in real} <= {REAL}
    if not _is_poisoned(row, layout):
        healthy = Layout.NETWORK_MANAGER if layout is Layout.NETWORK_MANAGER else Layout.PLAIN
        assert real[0].source is SURVIVES[healthy, Stage.BEFORE]
    elif (layout, stage) in SURVIVES:
        assert real[0].source is SURVIVES[layout, stage]
    else:
        assert real == []
    guesses = {str(one.address) for one in admitted if one.source is Source.GUESS}
    assert guesses == (set() if layout is Layout.NETWORK_MANAGER else {ROUTER})


@pytest.mark.parametrize("row", [Row.V2_14_HOST, Row.V2_18, Row.V2_20, Row.V2_21, Row.DISABLED])
@pytest.mark.parametrize(("layout", "stage"), tuple(product(Layout, Stage)))
def test_all_that_is_named_stands_in_order(
    tmp_path: Path, row: Row, layout: Layout, stage: Stage
) -> None:
    """Cluster addresses, too: they are shown as refused, not hidden."""
    poison = [NAMES[server] for server in row.value.superseded]
    expected = list(_expected(ORDER[layout, stage], poison))
    if row is Row.DISABLED:  # a later release: nameservers stand first in the block
        expected = [line.replace("conf:4", "conf:2") for line in expected]
    assert _told(_grown(tmp_path, row, layout, stage)) == expected


@pytest.mark.parametrize("row", [Row.V2_24, Row.V2_27, Row.V2_28])
@pytest.mark.parametrize("stage", Stage)
def test_later_releases_keep_the_real_server_in_dhclient_conf(
    tmp_path: Path, row: Row, stage: Stage
) -> None:
    """Behind the node-local address, whatever dhclient drops of the block."""
    told = _told(_grown(tmp_path, row, Layout.PLAIN, stage))
    line = 4 if row is Row.V2_24 else 2
    assert [one for one in told if "conf:" in one] == [
        f"lease 50 node-local conf:{line}",
        f"lease 50 real conf:{line}",
    ]
    in_lease = ["lease 0 real"] if stage is Stage.BEFORE else ["lease 0 node-local", "lease 0 real"]
    assert [one.rpartition(" ")[0] for one in told if one.startswith("lease 0")] == in_lease


@pytest.mark.parametrize("stage", Stage)
def test_a_statement_that_dhclient_refuses_names_nobody(tmp_path: Path, stage: Stage) -> None:
    """``supersede domain-name-servers ;`` leaves the lease as the server has told it."""
    found = _grown(tmp_path, Row.EARLY, Layout.PLAIN, stage)
    assert "conf:" not in "".join(_told(found))
    assert found.candidates[0].address == ip_address(REAL)


def test_a_poisoned_nodes_own_copy_comes_last_of_its_kind(tmp_path: Path) -> None:
    """A rerun copies the file that dhclient has written whole: no markers, and only poison."""
    found = _grown(tmp_path, Row.RERUN, Layout.PLAIN, Stage.SECOND)
    told = [one for one in _told(found) if one.startswith("backup")]
    assert told == [
        "backup 0 real .7113",
        "backup 1 node-local .991",
        "backup 2 real .7140",
        "backup 3 real .24680",
        "backup 4 node-local .24702",
        "backup 4 real .24702",
    ]
    seen = {_end(one.origin): one.seen for one in found.candidates if one.source is Source.BACKUP}
    assert seen[".7113"] == EARLIEST.timestamp()
    assert seen[".991"] == LATEST.timestamp()


def test_the_stub_leads_back(tmp_path: Path) -> None:
    """Kubespray 2.24 takes 127.0.0.53 for the host's server: it asks the cluster's."""
    found = _grown(tmp_path, Row.V2_28, Layout.RESOLVED, Stage.SECOND)
    (stub,) = found.stubs
    assert ip_address(STUB) in stub.addresses
    assert stub.asks == (ip_address(NODE_LOCAL),)
    assert [str(one.address) for one in found.candidates if one.source is Source.LEASE] == [
        NODE_LOCAL,
        STUB,
        NODE_LOCAL,
        STUB,
    ]
    assert {one.source for one in _admitted(found)} == {Source.GUESS}


@pytest.mark.parametrize("stage", Stage)
def test_the_lease_says_whom_to_ask(tmp_path: Path, stage: Stage) -> None:
    """Poisoned or not: who leased what on which interface is true."""
    (lease,) = _grown(tmp_path, Row.V2_21, Layout.PLAIN, stage).leases
    assert (lease.interface, str(lease.address)) == ("eth0", "10.99.0.58")
    assert lease.servers == {ip_address(ROUTER)}
    poisoned = stage is not Stage.BEFORE
    assert lease.nameservers == (ip_address(NODE_LOCAL if poisoned else REAL),)
