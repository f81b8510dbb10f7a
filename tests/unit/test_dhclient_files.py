"""Where dhclient's files are found, as it finds them, and its processes."""

import os
import time
from pathlib import Path

import pytest
from property.text import CLUSTER

from dnsguard.formats.dhclient.files import ENTER, EXIT, OURS, DhclientFiles
from dnsguard.formats.dhclient.hazards import judge
from dnsguard.host import dhclient, dhclient_processes
from dnsguard.host.files import read_bounded
from unit.test_hazards import OUR_HOOK, POISON


def test_resolved_enter_is_no_alarm_where_resolved_is_disabled(tmp_path: Path) -> None:
    """Trixie's hook is sourced after ours, and does nothing then."""
    hook = (
        b"if systemctl is-enabled systemd-resolved >/dev/null; then\nmake_resolv_conf() { :; }\nfi"
    )
    _write(tmp_path, "etc/dhcp/dhclient.conf", POISON)
    _write(tmp_path, OURS, OUR_HOOK.content)
    _write(tmp_path, f"{ENTER}.d/resolved-enter", hook)
    (hazard,) = judge(dhclient.find_dhclient(tmp_path), CLUSTER, hook_is_active=True)
    assert (hazard.defused, hazard.why) == (True, "blocked by dnsguard's enter hook")
    wants = _write(tmp_path, "etc/systemd/system/sysinit.target.wants/x", b"").parent
    (wants / "systemd-resolved.service").symlink_to("/nonexistent")
    assert dhclient.find_dhclient(tmp_path).enabled == {"systemd-resolved.service"}
    (hazard,) = judge(dhclient.find_dhclient(tmp_path), CLUSTER, hook_is_active=True)
    assert "resolved-enter" in hazard.why


def test_what_ifupdown_starts_is_found(tmp_path: Path) -> None:
    """DHCPv4, DHCPv6, and stateless DHCPv6 beside router advertisements."""
    _write(tmp_path, "etc/network/interfaces", b"iface eth0 inet dhcp\niface eth1 inet6 auto\n")
    _write(tmp_path, "etc/network/interfaces.d/more", b"iface eth2 inet6 auto\n  dhcp 1\n")
    assert dhclient_processes.find_configured(tmp_path) == (("eth0", 4), ("eth2", 6))
    (tmp_path / "usr/sbin").mkdir(parents=True)
    assert dhclient_processes.find_configured(tmp_path) == ()


def _write(root: Path, path: str, content: bytes) -> Path:
    found = root / path.lstrip("/")
    found.parent.mkdir(parents=True, exist_ok=True)
    found.write_bytes(content)
    return found


def test_the_files_are_found_as_dhclient_finds_them(tmp_path: Path) -> None:
    """Included ones in turn, hooks in the order and by the names of run-parts, leases by age."""
    _write(tmp_path, "etc/dhcp/dhclient.conf", b'include "/etc/a"; include "/etc/gone";')
    _write(tmp_path, "etc/a", b'include "/etc/b";')
    _write(tmp_path, "etc/b", POISON)
    for name in ("b", "_a", "B", "x.dpkg-old", "y~", "dnsguard"):
        _write(tmp_path, f"{ENTER}.d/{name}", name.encode())
    _write(tmp_path, ENTER, b"first")
    (tmp_path / f"{ENTER}.d/directory"[1:]).mkdir()
    _write(tmp_path, f"{EXIT}.d/z", b"last")
    newer = _write(tmp_path, "var/lib/dhcp/dhclient.eth0.leases", b'lease { interface "eth0"; }')
    older = _write(tmp_path, "var/lib/dhcp/dhclient.leases", b'lease { interface "eth1"; }')
    os.utime(newer, (2e9, 2e9))
    os.utime(older, (1e9, 1e9))
    found = dhclient.find_dhclient(tmp_path)
    assert dict(found.includes) == {"/etc/a": b'include "/etc/b";', "/etc/b": POISON}
    assert [one.content for one in found.enter] == [b"first", b"B", b"_a", b"b", b"dnsguard"]
    assert [one.path for one in found.enter][:2] == [ENTER, f"{ENTER}.d/B"]
    assert [one.path for one in found.exit] == [f"{EXIT}.d/z"]
    assert [lease.interface for _, lease in found.leases] == ["eth1", "eth0"]
    (hazard,) = judge(found, CLUSTER, hook_is_active=True)
    assert hazard.path == "/etc/b"


def test_a_node_without_dhclient_has_nothing(tmp_path: Path) -> None:
    """No file, no hazard, no process."""
    assert dhclient.find_dhclient(tmp_path) == DhclientFiles()
    assert dhclient_processes.find_running(tmp_path) == ()


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    """A FIFO as a hook or as dhclient.conf would hold a reader for ever."""
    (tmp_path / "etc/dhcp").mkdir(parents=True)
    os.mkfifo(tmp_path / "etc/dhcp/dhclient.conf")
    os.mkfifo(tmp_path / ENTER[1:])
    assert dhclient.find_dhclient(tmp_path) == DhclientFiles(
        changed=dhclient.find_dhclient(tmp_path).changed
    )
    assert read_bounded(tmp_path, 10) is None
    assert read_bounded(tmp_path / "etc/dhcp/dhclient.conf", 10) is None


def test_a_file_is_read_to_a_bound(tmp_path: Path) -> None:
    """From its begin, or its end."""
    file = _write(tmp_path, "a", b"0123456789")
    assert read_bounded(file, 4) == b"0123"
    assert read_bounded(file, 4, tail=True) == b"6789"
    assert read_bounded(file, 40, tail=True) == b"0123456789"


def test_processes_are_read_from_proc(tmp_path: Path) -> None:
    """That of ifupdown, one for IPv6 and two interfaces; not one that releases, nor others'."""
    ifupdown = (
        "/sbin/dhclient -4 -v -i -pf /run/dhclient.eth0.pid -lf /var/lib/dhcp/dhclient.eth0.leases"
        " -I -df /var/lib/dhcp/dhclient6.eth0.leases eth0"
    )
    for pid, name, command, status in (
        (10, "dhclient", ifupdown, ""),
        (11, "dhclient", "dhclient -6 -sf /opt/script eth0 eth1", ""),
        (12, "dhclient", "dhclient -r eth0", ""),
        (13, "dhclient", "dhclient", ""),
        (14, "bash", "dhclient eth0", ""),
        (15, "a) S (dhclient", "dhclient eth0", ""),
        (16, "dhclient", "dhclient eth0", "Uid:\t1000\t1000\t1000\t1000\n"),  # a user's
        (17, "dhclient", "dhclient eth0", "NSpid:\t17\t1\n"),  # a container's
    ):
        _write(tmp_path, f"proc/{pid}/cmdline", command.replace(" ", "\0").encode() + b"\0")
        fields = f"{pid} ({name}) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5000 0 0\n"
        _write(tmp_path, f"proc/{pid}/stat", fields.encode())
        _write(tmp_path, f"proc/{pid}/comm", f"{name}\n".encode())
        told = f"Name:\t{name}\n{status}Uid:\t0\t0\t0\t0\nNSpid:\t{pid}\n"
        _write(tmp_path, f"proc/{pid}/status", told.encode())
    found = dhclient_processes.find_running(tmp_path)
    assert [(one.pid, one.interface, one.version, one.script) for one in found] == [
        (10, "eth0", 4, None),
        (11, "eth0", 6, "/opt/script"),
        (11, "eth1", 6, "/opt/script"),
        (13, None, 4, None),
    ]
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    started = booted + 5000 / os.sysconf("SC_CLK_TCK")
    assert [one.started for one in found] == pytest.approx([started] * 4, abs=1.0)
