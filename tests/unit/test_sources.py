"""Where candidates come from: real files below a root of their own."""

import os
from ipaddress import ip_address
from pathlib import Path

import pytest
from property.text import CLUSTER

from dnsguard.core.model import MAX_FILE, Candidate, Policy, Source
from dnsguard.host.sources import MOST_BACKUPS, candidates
from dnsguard.paths import Paths

POLICY = Policy(cluster=CLUSTER)
LEASE = "lease {\n  option domain-name-servers %s;\n}\n"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """Return the paths of a node with nothing on it."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "var/lib/dhcp").mkdir(parents=True)
    return Paths(tmp_path)


def _write(path: Path, content: str | bytes, *, at: float = 1e9) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    os.utime(path, (at, at))


def _found(paths: Paths) -> list[str]:
    return [f"{found.address} {found.source}" for found in candidates(paths, POLICY)]


def test_a_bare_node_names_nobody(tmp_path: Path) -> None:
    """Missing directories are no error."""
    assert candidates(Paths(tmp_path), POLICY) == ()


def test_configuration_leases_and_backups_in_that_order(paths: Paths) -> None:
    """Each with its origin, and with the time its file was written."""
    backup = paths.root / "etc/resolv.conf.1234.2024-05-01@10:11:12~"
    lease = paths.root / "var/lib/dhcp/dhclient.eth0.leases"
    _write(backup, "search x\nnameserver 10.0.0.4\n", at=1000.0)
    _write(lease, LEASE % "10.0.0.2, 10.0.0.3", at=2000.0)
    policy = Policy(servers=(ip_address("10.0.0.1"),), cluster=CLUSTER)
    config, *others = candidates(paths, policy)
    assert (config.address, config.source) == (ip_address("10.0.0.1"), Source.CONFIG)
    assert others == [
        _candidate("10.0.0.2", Source.LEASE, lease, 2000.0),
        _candidate("10.0.0.3", Source.LEASE, lease, 2000.0),
        _candidate("10.0.0.4", Source.BACKUP, backup, 1000.0),
    ]


def _candidate(text: str, source: Source, origin: Path, seen: float) -> Candidate:
    return Candidate(address=ip_address(text), source=source, origin=str(origin), seen=seen)


@pytest.mark.parametrize(
    "name",
    [
        "resolv.conf.1234.2024-05-01@10:11:12~",
        "resolv.conf~",
        "resolv.conf.bak",
        "resolv.conf.bak.1",
        "resolv.conf.dpkg-old",
        "resolv.conf.pre-dhclient",
        "resolv.conf.orig",
        "resolv.conf.old",
        "resolv.conf.save",
        "resolv.conf.dhclient-new.1234",
    ],
)
def test_what_tools_leave_beside_the_file(paths: Paths, name: str) -> None:
    """Kubespray's backups, editors', dpkg's, people's."""
    _write(paths.root / "etc" / name, "nameserver 10.0.0.2\n")
    assert _found(paths) == ["10.0.0.2 backup"]


@pytest.mark.parametrize(
    "name", ["resolv.conf", "resolvconf.bak", "resolv.conf.dnsguard-aside.1", "other~"]
)
def test_what_is_no_backup(paths: Paths, name: str) -> None:
    """The file itself, another's copy, and what the guard itself put aside."""
    _write(paths.root / "etc" / name, "nameserver 10.0.0.2\n")
    assert _found(paths) == []


def test_poison_is_read_and_not_judged(paths: Paths) -> None:
    """Which address can be an upstream is the core's to say, at one place."""
    _write(paths.root / "etc/resolv.conf.1~", "nameserver 169.254.25.10\nnameserver 10.0.0.2\n")
    assert "10.0.0.2 backup" in _found(paths)


def test_the_newest_comes_first(paths: Paths) -> None:
    """What was written last is most likely still true."""
    for number, at in ((1, 100.0), (2, 300.0), (3, 200.0)):
        _write(paths.root / f"etc/resolv.conf.{number}~", f"nameserver 10.0.0.{number}\n", at=at)
        lease = LEASE % f"10.1.0.{number}"
        _write(paths.root / f"var/lib/dhcp/dhclient.eth{number}.leases", lease, at=at)
    assert _found(paths) == [
        "10.1.0.2 lease",
        "10.1.0.3 lease",
        "10.1.0.1 lease",
        "10.0.0.2 backup",
        "10.0.0.3 backup",
        "10.0.0.1 backup",
    ]


def test_thousands_of_backups_are_not_all_read(paths: Paths) -> None:
    """The newest few are enough, and the rest costs no descriptor."""
    for number in range(MOST_BACKUPS + 20):
        content = f"nameserver 10.0.{number}.1\n"
        _write(paths.root / f"etc/resolv.conf.{number}~", content, at=1000.0 + number)
    found = candidates(paths, POLICY)
    assert len(found) == MOST_BACKUPS
    assert found[0].address == ip_address(f"10.0.{MOST_BACKUPS + 19}.1")


@pytest.mark.parametrize("kind", ["directory", "fifo", "loop", "dangling", "binary", "huge"])
def test_what_cannot_be_read_hides_nothing_else(paths: Paths, kind: str) -> None:
    """A file that is no file names nothing, and blocks nobody; the others still do."""
    for odd in (paths.root / "etc/resolv.conf.odd~", paths.root / "var/lib/dhcp/odd.leases"):
        _put(kind, odd)
    _write(paths.root / "etc/resolv.conf.bak", "nameserver 10.0.0.3\n")
    _write(paths.root / "var/lib/dhcp/dhclient.leases", LEASE % "10.0.0.2")
    assert _found(paths) == ["10.0.0.2 lease", "10.0.0.3 backup"]


def _put(kind: str, path: Path) -> None:
    match kind:
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "loop":
            path.symlink_to(path.name)
        case "dangling":
            path.symlink_to("nowhere")
        case "binary":
            _write(path, bytes(range(256)) * 16)
        case _:
            _write(path, b"#\n" * (8 << 20))


def test_of_a_huge_file_the_end_counts(paths: Paths) -> None:
    """Dhclient appends, so the newest lease is last."""
    filler = LEASE % "10.9.9.9"
    huge = filler * (3 * (1 << 20) // len(filler))
    _write(paths.root / "var/lib/dhcp/dhclient.leases", huge + LEASE % "10.0.0.2")
    assert _found(paths) == ["10.0.0.2 lease", "10.9.9.9 lease"]
    _write(paths.root / "etc/resolv.conf~", b"# \n" * MAX_FILE + b"nameserver 10.0.0.3\n")
    assert "10.0.0.3 backup" in _found(paths)


def test_a_link_to_a_backup_counts(paths: Paths) -> None:
    """A backup may be kept elsewhere."""
    _write(paths.root / "kept", "nameserver 10.0.0.2\n")
    (paths.root / "etc/resolv.conf.bak").symlink_to("../kept")
    assert _found(paths) == ["10.0.0.2 backup"]
