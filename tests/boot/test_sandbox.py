"""The running daemon's cage, as the kernel and systemd tell it."""

import re
from pathlib import Path

import pytest

from boot.lab import Lab
from boot.node import Node

pytestmark = pytest.mark.boot

UNIT = "dnsguard.service"
CAP_NET_BIND_SERVICE = 10  # <linux/capability.h>

WRITABLE = ("/etc", "/run/dnsguard", "/var/lib/dnsguard", "/run/systemd/resolved.conf.d")
READ_ONLY = (
    *("/", "/usr", "/usr/bin", "/usr/local", "/boot", "/opt", "/srv", "/root", "/home", "/run"),
    *("/run/systemd", "/var", "/var/lib", "/var/lib/kubelet", "/var/lib/dpkg", "/var/log"),
    *("/var/cache", "/dev", "/sys/fs/cgroup", "/proc/sys/kernel", "/run/host/incoming"),
    *("/tmp", "/var/tmp", "/dev/shm"),  # noqa: S108 - the node's, and nothing can be made there
)
# No place for files, and nspawn's own mounts: it puts a read-only mount over /run/host later, so
# that the two below it can't be reached (a write at /run/host/incoming is tried above).
NO_PLACE = ("/proc", "/run/host")


def test_it_has_one_capability_and_can_get_no_other(running_lab: Lab) -> None:
    """Port 68 for DHCPINFORM, and nothing else of root's power; what it runs inherits none."""
    status = _status(running_lab.node, "self")

    for kind in ("CapPrm", "CapEff", "CapBnd"):
        assert int(status[kind], 16) == 1 << CAP_NET_BIND_SERVICE, kind
    for kind in ("CapInh", "CapAmb"):
        assert int(status[kind], 16) == 0, kind
    assert status["NoNewPrivs"] == "1"


def test_it_is_under_a_seccomp_filter_of_its_own(running_lab: Lab) -> None:
    """systemd-nspawn filters everything in the container; the daemon has more filters than init."""
    status = _status(running_lab.node, "self")
    init = _status(running_lab.node, "1")

    assert status["Seccomp"] == "2"
    assert int(status["Seccomp_filters"]) > int(init["Seccomp_filters"])


@pytest.mark.parametrize("directory", READ_ONLY)
def test_nothing_can_be_written_at(running_lab: Lab, directory: str) -> None:
    """Not even by a root with every capability, once it is in the daemon's mount namespace."""
    node = running_lab.node
    node.run("mkdir", "--parents", directory)

    refused = _touch(node, f"{directory}/lab-was-here")

    assert refused
    assert node.try_("test", "-e", f"{directory}/lab-was-here").returncode != 0


@pytest.mark.parametrize("directory", WRITABLE)
def test_it_can_write_where_it_has_to(running_lab: Lab, directory: str) -> None:
    """The other half of the test above: the same attempt works where it should."""
    file = f"{directory}/lab-was-here"

    assert not _touch(running_lab.node, file)
    running_lab.node.run("rm", file)


def test_every_other_mount_is_read_only(running_lab: Lab) -> None:
    """The kernel's list of the daemon's mounts has no writable one that is not named here."""
    mounts = running_lab.node.run("cat", f"/proc/{_pid(running_lab.node)}/mountinfo").splitlines()
    writable = {line.split()[4] for line in mounts if "rw" in line.split()[5].split(",")}

    assert {mount for mount in writable if not _is_below(mount, (*WRITABLE, *NO_PLACE))} == set()


def test_systemd_rates_its_exposure_two_or_better(running_lab: Lab) -> None:
    """As `systemd-analyze security` computes it for the installed unit."""
    said = running_lab.node.run("systemd-analyze", "security", "--no-pager", UNIT)
    rated = re.search(r"Overall exposure level for dnsguard\.service: ([0-9.]+)", said)

    assert rated is not None, said
    assert float(rated[1]) <= 2.0


def test_anyone_may_read_the_status_and_nobody_else_write_the_state(running_lab: Lab) -> None:
    """An unprivileged user gets the status, and is refused by every file of the guard."""
    node = running_lab.node
    nobody = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")

    assert '"mode"' in node.try_(*nobody, "dnsguard", "status", "--json").stdout
    for path in ("/etc/resolv.conf", "/var/lib/dnsguard", "/run/dnsguard"):
        assert node.try_(*nobody, "test", "-w", path).returncode != 0, path


def _pid(node: Node) -> int:
    return int(node.property_of(UNIT, "MainPID"))


def _status(node: Node, process: str) -> dict[str, str]:
    """Return /proc/PID/status of the daemon ("self") or of another process."""
    pid = _pid(node) if process == "self" else process
    lines = node.run("cat", f"/proc/{pid}/status").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def _touch(node: Node, path: str) -> bool:
    """Try to make a file in the daemon's mount namespace; return whether that was refused."""
    tried = node.try_("nsenter", f"--target={_pid(node)}", "--mount", "touch", path)
    return tried.returncode != 0


def _is_below(mount: str, directories: tuple[str, ...]) -> bool:
    return any(Path(mount).is_relative_to(directory) for directory in directories)
