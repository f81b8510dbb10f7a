"""Hostile users on the booted node, against the daemon in its real sandbox.

Each attack's control shows that it works: a plain write or read by root, in the daemon's own
mount namespace, does what the attacker wants.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import needs

from boot.kubespray import POISON
from boot.lab import Lab, open_lab
from boot.node import Node
from boot.outside import UPSTREAM
from boot.waiting import wait_for

pytestmark = pytest.mark.boot

UNIT = "dnsguard.service"
METRICS = "/var/lib/prometheus/node-exporter"
OWN_METRICS = "/run/dnsguard/dnsguard.prom"
PRIVATE = "apiVersion: v1\nusers:\n- token: precious\n"
PRIVATE_FILE = "/etc/kubernetes/admin.conf"
RESOLVE = "/run/systemd/resolve"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, deb: Path) -> Iterator[Lab]:
    """Give a running, guarded node with users that are not root, as Debian's packages make them."""
    with open_lab(tmp_path_factory.mktemp("hostile")) as made:
        made.node.install(deb)
        made.node.up()
        for user in ("prometheus", "systemd-resolve"):
            made.node.try_("useradd", "--system", "--no-create-home", user)
        _put(made.node, PRIVATE_FILE, PRIVATE, mode="0600")
        yield made


@pytest.fixture
def node(lab: Lab) -> Node:
    return lab.node


def _as(user: str) -> tuple[str, ...]:
    return ("setpriv", f"--reuid={user}", "--clear-groups", f"--regid={user}")


def _put(node: Node, path: str, text: str, *, mode: str = "0644") -> None:
    """Write a file from inside, as root."""
    script = (
        f"printf %s '{text}' > {path}.new && chmod {mode} {path}.new && mv -T {path}.new {path}"
    )
    node.run("sh", "-c", script)


def _in_the_sandbox(node: Node, script: str) -> None:
    """Run a script as root where the daemon's writes go."""
    pid = node.property_of(UNIT, "MainPID")
    node.run("nsenter", f"--target={pid}", "--mount", "sh", "-c", script)


def _digest(node: Node) -> str:
    """Return a digest of what root keeps in /etc, but for the file that is guarded."""
    found = node.run(
        "sh",
        "-c",
        "find /etc -xdev \\( -type f -o -type l \\) ! -name '*resolv.conf*' ! -name 'lab-victim'"
        " -exec stat --format='%n %a %U %Y %s' {} + | sort",
    )
    return hashlib.sha256(found.encode()).hexdigest()


class TestPrometheus:
    """Debian's prometheus-node-exporter gives /var/lib/prometheus to its user."""

    @pytest.fixture
    def trap(self, node: Node) -> Iterator[str]:
        """Lay every trap that the user can, and have the daemon write its metrics."""
        node.run("mkdir", "--parents", METRICS)
        node.run("chown", "prometheus:", "/var/lib/prometheus")
        _put(node, "/etc/lab-victim", "precious")
        yield "/etc/lab-victim"
        node.run("rm", "-rf", "/var/lib/prometheus", "/etc/lab-victim")
        node.run("systemctl", "restart", UNIT)

    def _lay(self, node: Node, victim: str, kind: str) -> None:
        swap = "cd /var/lib/prometheus && mv node-exporter was && {} && ls -la >/dev/null"
        pid = node.property_of(UNIT, "MainPID")
        steps = {
            "links": f"mkdir -m 777 node-exporter && cd node-exporter && ln -s {victim} dnsguard.prom"
            f" && ln -s {victim} .dnsguard.prom.{pid}",
            "fifos": f"mkdir -m 777 node-exporter && cd node-exporter && mkfifo dnsguard.prom"
            f" .dnsguard.prom.{pid}",
            "directory link": "ln -s /etc node-exporter",
        }
        node.run(*_as("prometheus"), "sh", "-c", swap.format(steps[kind]))

    @pytest.mark.parametrize("kind", ["links", "fifos", "directory link"])
    def test_it_overwrites_nothing_through_the_metrics(
        self, node: Node, trap: str, kind: str
    ) -> None:
        """The metrics go to a file of root's own, the journal says whose the other place is."""
        node.run("systemctl", "restart", UNIT)
        self._lay(node, trap, kind)
        before = _digest(node)
        node.run("systemctl", "restart", UNIT)  # another process, the same names
        self._lay_again(node, trap, kind)
        wait_for(
            "the metrics",
            lambda: node.try_("test", "-s", OWN_METRICS).returncode == 0,
            seconds=25,
        )
        journal = ("journalctl", "-u", UNIT, "--no-pager", "DNSGUARD_EVENT=metrics_failed")
        wait_for(
            "the journal's line",
            lambda: "belongs to prometheus" in node.try_(*journal).stdout,
            seconds=10,
        )
        assert node.run("cat", trap) == "precious"
        assert _digest(node) == before
        assert node.try_("test", "-e", "/etc/dnsguard.prom").returncode != 0
        node.run("systemctl", "stop", UNIT)
        assert node.property_of(UNIT, "Result") == "success"
        node.run("systemctl", "start", UNIT)

    def _lay_again(self, node: Node, victim: str, kind: str) -> None:
        if kind == "links":
            pid = node.property_of(UNIT, "MainPID")
            command = f"ln -sf {victim} {METRICS}/.dnsguard.prom.{pid}"
            node.run(*_as("prometheus"), "sh", "-c", command)

    def test_the_trap_is_real(self, node: Node, trap: str) -> None:
        """The control: a plain write in the sandbox does overwrite the victim."""
        node.run("systemctl", "restart", UNIT)
        self._lay(node, trap, "links")
        _in_the_sandbox(node, f"echo taken > {METRICS}/dnsguard.prom")
        assert node.run("cat", trap) == "taken"


class TestSystemdResolve:
    """That user owns where /etc/resolv.conf leads on every node with systemd-resolved."""

    @pytest.fixture
    def link(self, node: Node) -> Iterator[None]:
        """Let resolv.conf lead to a file that is made a link to root's secret."""
        node.run("install", "--directory", "--owner=systemd-resolve", RESOLVE)
        attack = f"ln -sfn {PRIVATE_FILE} {RESOLVE}/resolv.conf"
        node.run(*_as("systemd-resolve"), "sh", "-c", attack)
        yield
        node.run("sh", "-c", f"rm -rf {RESOLVE} /etc/resolv.conf.dnsguard-aside.*")
        _poison(node)

    def _assert_untouched(self, node: Node) -> None:
        assert node.run("cat", PRIVATE_FILE) + "\n" == PRIVATE
        assert node.run("stat", "--format=%a %U", PRIVATE_FILE) == "600 root"
        for place in ("/etc/resolv.conf", "/var/lib/dnsguard", "/run/dnsguard"):
            found = node.try_("grep", "--recursive", "--files-with-matches", "precious", place)
            assert found.stdout == ""

    @pytest.mark.usefixtures("link")
    def test_roots_secret_stays_roots(self, node: Node) -> None:
        """The daemon makes a file of the link; status and journal tell nothing of the secret."""
        node.run("ln", "-sfn", f"{RESOLVE}/resolv.conf", "/etc/resolv.conf")
        wait_for("a nameserver", lambda: _served(node), seconds=10)
        self._assert_untouched(node)
        assert "precious" not in node.run("journalctl", "-u", UNIT, "--no-pager", "-o", "json")
        assert "precious" not in node.try_("dnsguard", "status", "--json").stdout

    @pytest.mark.usefixtures("link")
    @pytest.mark.parametrize("command", ["secure", "restore"])
    def test_it_does_outside_of_the_sandbox_too(self, node: Node, command: str) -> None:
        """As the prerm runs `secure`, and an operator `restore`: with all of root's power."""
        node.run("systemctl", "stop", UNIT)
        node.run("ln", "-sfn", f"{RESOLVE}/resolv.conf", "/etc/resolv.conf")
        assert node.run("cat", "/etc/resolv.conf") + "\n" == PRIVATE, "control: the way is open"
        node.try_("dnsguard", command, *(["--yes"] if command == "restore" else []))
        self._assert_untouched(node)
        node.run("systemctl", "start", UNIT)
        wait_for("a nameserver", lambda: _served(node), seconds=10)
        self._assert_untouched(node)


def test_dev_null_stays_a_device(node: Node) -> None:
    """Whatever links to it: by the daemon, its end, and `secure` outside of the sandbox."""
    for command in (("true",), ("systemctl", "stop", UNIT), ("dnsguard", "secure")):
        node.run("ln", "-sfn", "/dev/null", "/etc/resolv.conf")
        node.run(*command)
        wait_for("a nameserver", lambda: _served(node), seconds=10)
        assert node.run("stat", "--format=%F", "/dev/null") == "character special file"
        node.run("sh", "-c", "echo gone > /dev/null && ! test -s /dev/null")
    node.run("sh", "-c", "rm -f /etc/resolv.conf.dnsguard-aside.*")
    node.run("systemctl", "start", UNIT)
    _poison(node)


def test_a_file_that_users_cannot_read_is_healed(node: Node) -> None:
    """A program with umask 077 wrote it: right, but for root alone."""
    _put(node, "/etc/resolv.conf", f"nameserver {UPSTREAM}\n", mode="0600")
    wait_for(
        "a file for all",
        lambda: node.run("stat", "--format=%a", "/etc/resolv.conf") == "644",
        seconds=10,
    )
    assert node.run(*_as("prometheus"), "cat", "/etc/resolv.conf") == f"nameserver {UPSTREAM}"
    _poison(node)


def test_what_is_kept_is_for_root_alone(node: Node) -> None:
    """The foreign file may have been root's to read only."""
    refused = node.try_(*_as("prometheus"), "cat", "/var/lib/dnsguard/resolv.conf.foreign")
    assert refused.returncode != 0
    assert node.run("stat", "--format=%a", "/var/lib/dnsguard/resolv.conf") == "644"


def _served(node: Node) -> bool:
    return UPSTREAM in node.try_("cat", "/etc/resolv.conf").stdout


def _poison(node: Node) -> None:
    """Give the next test the node as it was: poisoned, and guarded."""
    _put(node, "/etc/resolv.conf", POISON)
    wait_for("the repair", lambda: _served(node), seconds=10)


CROWD = """
import os, socket, time
path, until = "/run/dnsguard/control.sock", time.monotonic() + 60
os.fork()
held = []
while time.monotonic() < until:
    one = socket.socket(socket.AF_UNIX)
    one.setblocking(False)
    try:
        one.connect(path)
        one.send(b'{"version": 1, "request"')
        held.append(one)
    except OSError:
        time.sleep(0.001)
    if len(held) > 200:
        held.clear()
"""
"""Two processes that connect, say half a line and connect again: they shut root out (0 of 22)."""


def test_two_processes_of_nobody_keep_root_from_nothing(node: Node) -> None:
    """Root asks and commands each time, in the sandbox of the unit; nobody accuses root."""
    _put(node, "/run/crowd.py", CROWD.replace("'", "'\\''"))
    unit = "lab-crowd.service"
    node.run("systemd-run", f"--unit={unit}", "--uid=nobody", "python3", "/run/crowd.py")
    try:
        for _ in range(11):
            assert node.status()["mode"] == "guarding"
            node.run("dnsguard", "hold", "upstream")
            node.run("dnsguard", "release")
        assert node.try_("dnsguard", "check").returncode == 0
        _poison(node)
    finally:
        node.run("systemctl", "stop", unit)
    told = node.run("journalctl", "-u", UNIT, "--no-pager", "DNSGUARD_EVENT=client_refused")
    assert "uid=65534" in told
    assert "uid=0" not in told


def test_a_user_namespaces_root_is_nobody(node: Node) -> None:
    """Mapped to root inside, and to nobody where the daemon is."""
    inside = (*_as("prometheus"), "unshare", "--user", "--map-root-user")
    made = node.try_(*inside, "id", "--user")
    if made.returncode != 0:
        needs.leave_out("user namespaces in the booted node")
    assert made.stdout.strip() == "0"
    refused = node.try_(*inside, "dnsguard", "hold", "upstream")
    assert refused.returncode == 77, refused
    for path in ("/etc/resolv.conf", "/run/dnsguard/root.sock", "/run/dnsguard/daemon.lock"):
        assert node.try_(*inside, "sh", "-c", f": >> {path}").returncode != 0, path


COREFILE = ".:53 {\n    forward . 6.6.6.6\n}\n"


@pytest.mark.parametrize("namespace", ["tenant", "kube-system"])
def test_a_tenant_names_no_nameserver(node: Node, namespace: str) -> None:
    """A ConfigMap volume of any pod may have this name; kube-system's is the control."""
    uid = f"0f6c6d0a-3f6e-4a5b-9c1e-{'2' if namespace == 'tenant' else '3'}b7f8f0d4c11"
    volume = f"/var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~configmap/config-volume"
    logs = f"/var/log/pods/{namespace}_coredns-abc_{uid}"
    node.run("mkdir", "--parents", volume, logs)
    _put(node, f"{volume}/Corefile", COREFILE)
    node.run("systemctl", "kill", "--signal=HUP", "--kill-whom=main", UNIT)
    known = "6.6.6.6" if namespace == "kube-system" else UPSTREAM
    wait_for("it", lambda: known in node.try_("dnsguard", "upstreams").stdout, seconds=20)
    assert ("6.6.6.6" in node.try_("dnsguard", "upstreams").stdout) is (namespace != "tenant")
    assert "6.6.6.6" not in node.run("cat", "/etc/resolv.conf")
    node.run("rm", "-rf", f"/var/lib/kubelet/pods/{uid}", logs)
