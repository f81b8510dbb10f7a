"""Copies of resolv.conf as sources."""

import time

import pytest

from dnsguard.core import candidates
from dnsguard.formats import backups
from dnsguard.host import sources
from dnsguard.host.sources import find_sources
from dnsguard.paths import Paths
from unit.source_files import (
    AT,
    SERVERS,
    find,
    write_file,
)


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
        "resolv.conf.bk",
        "resolv.conf.bkp_2026-01-31_101112",
        "resolv.conf.back",
        "resolv.conf.ORIG",
        "resolv.conf.original",
        "resolv.conf_orig",
        "resolv.conf-bak",
        "resolv.conf-tun0.sv",
        "resolv.conf.ovpnsave",
        "resolv.conf.wgmesh-orig",
        "resolv.conf.ubuntu-dist",
        "resolv.conf.20260131",
    ],
)
def test_what_tools_leave_beside_the_file(paths: Paths, name: str) -> None:
    """Kubespray's backups, editors', dpkg's, people's."""
    write_file(paths, f"etc/{name}", SERVERS)
    assert find(paths) == ["backup 0 10.0.0.2"]


@pytest.mark.parametrize(
    "name",
    [
        "resolv.conf",
        "resolvconf.bak",
        "resolv.conf.dnsguard-aside.1",
        ".resolv.conf.bak",
        "other~",
        "resolv.conf.example",
        "resolv.conf.j2",
        "resolv.conf.tmp",
        "resolv.configuration",
    ],
)
def test_what_is_no_backup(paths: Paths, name: str) -> None:
    """The file itself, another's copy, and what the guard itself put aside."""
    write_file(paths, f"etc/{name}", SERVERS)
    assert find(paths) == []


def test_the_oldest_backup_without_markers_comes_first(paths: Paths) -> None:
    """By the date in the name, whatever the file's time; the newest of all other kinds after."""
    marked = "# Ansible entries BEGIN\nnameserver 10.0.0.{}\n# Ansible entries END\n"
    for last, name, text, at in (
        (1, "991.2026-03-02@10:00:00~", SERVERS[:-2] + "1\n", 1000.0),
        (2, "7.2025-12-31@23:59:59~", SERVERS[:-2] + "2\n", 9000.0),
        (3, "8.2024-01-01@00:00:00~", marked.format(3), 2000.0),
        (4, "9.2023-01-01@00:00:00~", marked.format(4), 3000.0),
        (5, "bak", SERVERS[:-2] + "5\n", 4000.0),
        (6, "orig", SERVERS[:-2] + "6\n", 5000.0),
    ):
        assert str(last) in text
        write_file(paths, f"etc/resolv.conf.{name}", text, at=at)
    write_file(paths, "run/resolvconf/interface/eth0.inet", "nameserver 10.0.0.7\n")
    for last, name in ((8, "original"), (9, "base"), (10, "head")):
        write_file(paths, f"etc/resolvconf/resolv.conf.d/{name}", f"nameserver 10.0.0.{last}\n")
    order = (2, 1, 4, 3, 6, 5, 7, 8, 9, 10)
    assert find(paths) == [f"backup {tier} 10.0.0.{last}" for tier, last in enumerate(order)]


@pytest.mark.parametrize("is_absolute", [False, True])
def test_backups_beside_the_links_target_count(paths: Paths, is_absolute: bool) -> None:  # noqa: FBT001
    """Somebody may have kept the file where it is; an absolute link stays below the root."""
    write_file(paths, "run/elsewhere/real.conf", SERVERS)
    write_file(paths, "run/elsewhere/real.conf.bak", "nameserver 10.0.0.3\n")
    write_file(paths, "run/elsewhere/resolv.conf.bak", "nameserver 10.0.0.4\n")
    target = "/run/elsewhere/real.conf" if is_absolute else "../run/elsewhere/real.conf"
    paths.resolv_conf.symlink_to(target)
    assert find(paths) == ["backup 0 10.0.0.3"]


def test_of_a_thousand_backups_the_oldest_count(paths: Paths) -> None:
    """And of copies without a date the newest; a look stays one of milliseconds."""
    for number in range(1000):
        name = f"7.2026-01-01@{number // 60:02}:{number % 60:02}:00~"
        server = f"nameserver 10.0.{number // 250}.{number % 250}\n"
        write_file(paths, f"etc/resolv.conf.{name}", server, at=AT + number)
        write_file(paths, f"etc/resolv.conf.bak{number}", server, at=AT + number)
    begin = time.process_time()
    found = find_sources(paths).candidates
    assert time.process_time() - begin < 0.5
    assert len(found) == candidates.MOST_OF_A_SOURCE
    assert [str(one.address) for one in found[:3]] == ["10.0.0.0", "10.0.0.1", "10.0.0.2"]
    for path in (paths.root / "etc").glob("*~"):
        path.unlink()
    found = find_sources(paths).candidates
    assert len(found) == sources.MOST_FILES == backups.MOST
    assert str(found[0].address) == "10.0.3.249"
