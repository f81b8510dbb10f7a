"""Whose files are sources: root's, and the cluster's own pods'."""

import os
from pathlib import Path

import pytest

from dnsguard.paths import Paths
from unit.source_files import (
    CONFIGMAP,
    HOSTILE,
    NOBODY,
    POD,
    SERVERS,
    UID,
    find,
    make_logs,
    write_file,
)


@pytest.mark.parametrize(
    ("directory", "is_believed"),
    [
        (f"kube-system_coredns-abc_{UID}", True),
        (f"tenant_coredns-abc_{UID}", False),
        (f"tenant_kube-system_{UID}", False),
        (f"kube-system_coredns-abc_{UID}_more", False),
        ("kube-system_coredns-abc_0f6c6d0a-3f6e-4a5b-9c1e-000000000000", False),
        (None, False),
    ],
)
def test_a_tenants_corefile_is_no_source(
    paths: Paths, directory: str | None, *, is_believed: bool
) -> None:
    """A pod is whose kubelet's directory of its logs says; without one nobody can tell.

    What the tenant mounts beside it says nothing: a volume of any name may hold any text.
    """
    pod = write_file(paths, f"{POD}/Corefile", HOSTILE).parent
    pod.chmod(0o777)  # as kubelet makes it
    token = f"var/lib/kubelet/pods/{UID}/volumes/kubernetes.io~projected/kube-api-access-x"
    write_file(paths, f"{token}/namespace", "kube-system")
    if directory is not None:
        (paths.root / "var/log/pods" / directory).mkdir(parents=True)
    assert find(paths) == (["Corefile 0 6.6.6.6"] if is_believed else [])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
class TestOthersFiles:
    """What somebody else could have written, or could have put where it is."""

    def _logs(self, paths: Paths) -> Path:
        write_file(paths, f"{POD}/Corefile", HOSTILE)
        return make_logs(paths, "kube-system")

    @pytest.mark.parametrize("above", [0, 1, 2])
    def test_a_directory_of_logs_that_others_made(self, paths: Paths, above: int) -> None:
        """Theirs, or in a directory of theirs, it tells nothing."""
        logs = self._logs(paths)
        assert find(paths) == ["Corefile 0 6.6.6.6"]
        os.chown([logs, *logs.parents][above], NOBODY, NOBODY)
        assert find(paths) == []

    def test_a_directory_of_logs_that_all_may_write_in(self, paths: Paths) -> None:
        """And neither does one in a directory that is root's and open to everybody."""
        logs = self._logs(paths)
        logs.parent.chmod(0o1777)
        assert find(paths) == []
        logs.parent.chmod(0o755)
        os.chown(logs.parent, 0, NOBODY)
        assert find(paths) == ["Corefile 0 6.6.6.6"]
        logs.parent.chmod(0o775)
        assert find(paths) == []

    def test_a_link_for_a_directory_of_logs(self, paths: Paths) -> None:
        """Where it leads, others could have written as well."""
        logs = self._logs(paths)
        logs.rename(paths.root / "elsewhere")
        logs.symlink_to(paths.root / "elsewhere")
        assert find(paths) == ["Corefile 0 6.6.6.6"]
        os.chown(paths.root / "elsewhere", NOBODY, NOBODY)
        assert find(paths) == []

    def test_a_file_that_others_can_write(self, paths: Paths) -> None:
        """Whoever owns a file, or a directory above it, decides what it says."""
        file = write_file(
            paths, "etc/network/interfaces.d/a", "iface e inet static\n dns-nameserver 6.6.6.6"
        )
        assert find(paths) == ["interfaces 1 6.6.6.6"]
        for path in (file, file.parent):
            os.chown(path, NOBODY, NOBODY)
            assert find(paths) == []
            os.chown(path, 0, 0)
        file.chmod(0o666)
        assert find(paths) == []

    def test_a_link_into_a_users_directory(self, paths: Paths) -> None:
        """Root's file there may be replaced by its owner at any time."""
        mine = write_file(paths, "home/bob/a", "iface e inet static\n dns-nameserver 6.6.6.6")
        link = paths.root / "etc/network/interfaces.d/a"
        link.parent.mkdir(parents=True)
        link.symlink_to("../../../home/bob/a")
        assert find(paths) == ["interfaces 1 6.6.6.6"]
        os.chown(mine.parent, NOBODY, NOBODY)
        assert find(paths) == []

    def test_a_link_by_way_of_a_users_link(self, paths: Paths) -> None:
        """Root's own file at the end counts for nothing: the user chooses which one it is."""
        write_file(paths, "root/secret", "iface e inet static\n dns-nameserver 6.6.6.6")
        theirs = paths.root / "home/bob/a"
        theirs.parent.mkdir(parents=True)
        theirs.symlink_to("../../root/secret")
        link = paths.root / "etc/network/interfaces.d/a"
        link.parent.mkdir(parents=True)
        link.symlink_to("../../../home/bob/a")
        assert find(paths) == ["interfaces 1 6.6.6.6"]
        os.chown(theirs.parent, NOBODY, NOBODY)
        os.chown(theirs, NOBODY, NOBODY, follow_symlinks=False)
        assert find(paths) == []

    def test_a_copy_beside_what_resolv_conf_links_to(self, paths: Paths) -> None:
        """systemd-resolve owns that directory, and may put any backup there."""
        write_file(paths, "run/systemd/resolve/resolv.conf", SERVERS)
        write_file(paths, "run/systemd/resolve/resolv.conf.bak", "nameserver 6.6.6.6\n")
        paths.resolv_conf.symlink_to("../run/systemd/resolve/resolv.conf")
        assert find(paths) == ["backup 0 6.6.6.6", "resolved 0 10.0.0.2"]
        os.chown(paths.root / "run/systemd/resolve", NOBODY, NOBODY)
        assert find(paths) == ["resolved 0 10.0.0.2"]

    def test_a_network_managers_own_files_are_its_own(self, paths: Paths) -> None:
        """systemd-networkd and Kubespray's user ``kube`` are no tenants: root gave them these."""
        for name, text in (
            ("run/systemd/netif/leases/7", "DNS=10.0.0.2\n"),
            ("etc/kubernetes/coredns-config.yml", CONFIGMAP),
        ):
            path = write_file(paths, name, text)
            os.chown(path, NOBODY, NOBODY)
            os.chown(path.parent, NOBODY, NOBODY)
        assert [one.split()[0] for one in find(paths)] == ["networkd", "Corefile"]
