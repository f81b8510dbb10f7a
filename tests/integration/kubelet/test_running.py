"""What a kubelet that runs tells: by its command line, its files and when it started."""

import os
import time

import pytest

from dnsguard import config
from dnsguard.commands.kubelet import POD_FILE
from dnsguard.core.observation import REMEDY
from dnsguard.formats.kubelet import DEFAULT, RESTART
from dnsguard.guard import Guard
from dnsguard.host.kubelet import KubeletReader
from dnsguard.reporting.survey import DaemonFacts, make_status
from integration.kubelet.node import CONFIG, FLAGS, KUBESPRAY, Node, Start, change_later

pytestmark = pytest.mark.integration


class TestRunning:
    """A kubelet's process tells which file it reads, and what it was started with."""

    def test_its_flag_counts(self, node: Node, start: Start) -> None:
        """It beats the file, and is known however old the process is."""
        pid = start(f"--config=/{CONFIG}", f"--resolv-conf={POD_FILE}")
        change_later(node.root / CONFIG, KUBESPRAY)
        seen = node.look()
        assert (seen.pid, seen.pods_file, seen.is_stale) == (pid, POD_FILE, False)
        assert seen.resolv_conf.origin == f"kubelet's command line (pid {pid}): --resolv-conf"

    def test_its_file_counts(self, node: Node, start: Start) -> None:
        """The one of --config, and no usual place."""
        node.write("opt/kubelet.yaml", f"resolvConf: {POD_FILE}\nclusterDNS: [10.96.0.10]\n")
        start("--config", "/opt/kubelet.yaml")
        seen = node.look()
        assert (seen.pods_file, seen.is_stale) == (POD_FILE, False)
        assert [str(one) for one in seen.nameservers] == ["10.96.0.10"]

    def test_without_a_file_it_is_the_default(self, node: Node, start: Start) -> None:
        """A file in a usual place is not read unless it is named."""
        node.write(CONFIG, f"resolvConf: {POD_FILE}\n")
        start("--v=2")
        assert node.look().pods_file == DEFAULT

    def test_a_file_changed_since_its_start(self, node: Node, start: Start) -> None:
        """Nobody knows what it has read, so it may be the dangerous file."""
        start(f"--config=/{CONFIG}")
        change_later(node.root / CONFIG, KUBESPRAY.replace(DEFAULT, POD_FILE))
        seen = node.look()
        assert (seen.used, seen.is_stale, seen.pods_file) == (None, True, DEFAULT)
        assert seen.resolv_conf.value == POD_FILE

    def test_who_has_looked_before_knows(self, node: Node, start: Start) -> None:
        """What it read at its start is remembered for as long as it runs."""
        path = node.write(CONFIG, KUBESPRAY.replace(DEFAULT, "/etc/pods.conf"))
        reader = KubeletReader(node.root)
        start(f"--config=/{CONFIG}")
        reader.search()
        assert reader.read() == node.look()
        change_later(path, KUBESPRAY.replace(DEFAULT, POD_FILE))
        seen = reader.read()
        assert seen is not None
        assert seen.used is not None
        assert (seen.used.value, seen.is_stale, seen.pods_file) == (
            "/etc/pods.conf",
            True,
            "/etc/pods.conf",
        )
        change_later(path, KUBESPRAY)  # the next restart would hand out the node's
        seen = reader.read()
        assert seen is not None
        assert seen.pods_file == DEFAULT

    def test_it_stops_and_starts(self, node: Node, start: Start) -> None:
        """Systemd's processes are seen at the next look, without a search through all."""
        reader = KubeletReader(node.root)
        seen = reader.read()
        assert seen is not None
        assert seen.pid is None
        first = start(f"--config=/{CONFIG}", unit=True)
        second = start(f"--config=/{CONFIG}", f"--resolv-conf={POD_FILE}")
        seen = reader.read()
        assert seen is not None
        assert (seen.pid, seen.pods_file) == (first, DEFAULT)
        os.kill(first, 9)
        os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
        seen = reader.read()
        assert seen is not None
        assert seen.pid is None
        reader.search()  # due at once
        seen = reader.read()
        assert seen is not None
        assert (seen.pid, seen.pods_file) == (second, POD_FILE)

    def test_who_is_not_root_is_no_kubelet(self, node: Node, start: Start) -> None:
        """Anybody may start a process of that name, and nobody is to be believed for it."""
        start(f"--resolv-conf={POD_FILE}", user=65534)
        seen = node.look()
        assert (seen.pid, seen.pods_file) == (None, DEFAULT)

    def test_a_unit_changed_since_its_start(self, node: Node, start: Start) -> None:
        """It runs with the flags of before, and is configured to those of now."""
        path = node.write(FLAGS, f'KUBELET_KUBEADM_ARGS="--config=/{CONFIG}"\n')
        start(f"--config=/{CONFIG}")
        assert not node.look().is_stale
        change_later(path, f'KUBELET_KUBEADM_ARGS="--resolv-conf={POD_FILE}"\n')
        seen = node.look()
        assert seen.used is not None
        assert (seen.used.value, seen.resolv_conf.value) == (DEFAULT, POD_FILE)
        assert (seen.is_stale, seen.pods_file) == (True, DEFAULT)

    def test_the_daemon_says_that_a_restart_is_missing(self, node: Node, start: Start) -> None:
        """Adopted, but not restarted: nothing else is to be done."""
        (node.root / "etc/resolv.conf").write_text("nameserver 10.0.0.2\n")
        start(f"--config=/{CONFIG}")
        guard = Guard(node.paths, config.defaults().policy, lambda _: None)
        guard.search(1.0)
        guard.surroundings.set_addresses(frozenset(), None)
        for configured, remedy in ((DEFAULT, REMEDY), (POD_FILE, RESTART)):
            change_later(node.root / CONFIG, KUBESPRAY.replace(DEFAULT, configured))
            guard.refresh()
            guard.look()
            assert guard.plan is not None
            assert guard.seen is not None
            seen, facts = guard.observe(), DaemonFacts()
            told = make_status(guard.memory, seen, guard.plan, guard.policy, facts)
            assert f"remedy: {remedy}" in str(told.next)

    def test_a_look_is_cheap(self, node: Node, start: Start) -> None:
        """The daemon takes one with every answer; nothing is parsed that has not changed."""
        start(f"--config=/{CONFIG}")
        reader = KubeletReader(node.root)
        reader.search()
        took = []
        for _ in range(200):
            before = time.perf_counter()
            reader.read()
            took.append(time.perf_counter() - before)
        median = sorted(took)[100]
        print(f"a look: {median * 1e6:.0f} us")
        assert median < 0.005
