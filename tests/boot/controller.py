"""Ansible's controller in the lab's outside world, and the nodes that it reaches by ssh."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from boot import kubespray, machine, tree
from boot.lab import told_on_failure, untouched_host
from boot.net import Namespace, cable
from boot.node import Node
from boot.outside import Outside
from boot.tree import Recipe
from boot.waiting import wait_for

SSH = Recipe(name="bookworm-ssh", packages=(*tree.NODE.packages, "openssh-server", "apt-utils"))
"""A node that lets an operator in; autopkgtest makes an apt repository there."""

PLAYBOOKS = Path(__file__).parents[2] / "packaging/ansible"
KUBELET_CONFIG = "/etc/kubernetes/kubelet-config.yaml"
KUBELET = "kubelet.service"
_KUBELET_SERVICE = f"""\
[Unit]
Description=A stand-in for kubelet, which has read {KUBELET_CONFIG} at its start

[Service]
ExecStart=@/bin/sh /usr/local/bin/kubelet -c "sleep infinity; true" sh --config={KUBELET_CONFIG}

[Install]
WantedBy=multi-user.target
"""
_RECAP = re.compile(
    r"^(\S+)\s*: ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)", re.MULTILINE
)
_SECONDS = 400


@dataclass(frozen=True, slots=True)
class Outlet:
    """One node's own place at the lab's wire."""

    outside: Outside
    number: int

    def plug_in(self, node: Namespace) -> None:
        """Give ``node`` an eth0 with a hardware address of its own."""
        mac = f"02:00:00:00:01:{self.number:02x}"
        cable(self.outside.namespace, "lan", node, name="eth0", mac=mac)


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What became of a playbook."""

    status: int
    said: str

    @property
    def changed(self) -> dict[str, int]:
        """How many tasks have changed something, of each node."""
        return {name: int(changed) for name, changed, _, _ in _RECAP.findall(self.said)}

    @property
    def failed(self) -> list[str]:
        return [
            name for name, _, lost, failed in _RECAP.findall(self.said) if lost + failed != "00"
        ]

    def task(self, name: str) -> str:
        """Return what was said of all tasks of a name; empty where there was none."""
        parts = re.findall(
            rf"^TASK \[.*?{re.escape(name)}\] \**\n(.*?)(?=^\S+ \[|\Z)",
            self.said,
            re.MULTILINE | re.DOTALL,
        )
        return "\n".join(parts)


@dataclass(frozen=True, slots=True)
class Fleet:
    """The nodes by name, and who commands them."""

    directory: Path
    outside: Outside
    nodes: dict[str, Node]

    def play(self, playbook: str, *options: str) -> Played:
        """Run one of our playbooks on all nodes that have power."""
        self._write_inventory()
        place = ("--inventory", str(self.directory / "hosts"), str(PLAYBOOKS / playbook))
        command = ("setpriv", "--pdeathsig=KILL", "ansible-playbook", *place, *options)
        done = subprocess.run(
            self.outside.namespace.inside(*command),
            check=False,
            env=self._environ,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_SECONDS,
        )
        self._disconnect()
        return Played(status=done.returncode, said=done.stdout)

    def install_everywhere(self, deb: Path, *options: str, playbook: str = "kubeadm.yml") -> Played:
        return self.play(playbook, f"--extra-vars=dnsguard_deb={deb}", *options)

    def start(self, name: str) -> Node:
        """Give a node power; return when it can be reached."""
        node = self.nodes[name]
        node.power_on()
        node.run("systemctl", "is-active", "ssh.service")
        return node

    @property
    def _connections(self) -> Path:
        return self.directory / "ssh"

    def _disconnect(self) -> None:
        """End what ssh keeps open: nothing stays behind in the outside world."""
        for path in self._connections.iterdir():
            command = ["ssh", "-S", str(path), "-O", "exit", "nobody"]
            subprocess.run(command, check=True, capture_output=True)

    @property
    def _environ(self) -> dict[str, str]:
        return os.environ | {
            "HOME": str(self.directory),
            "LC_ALL": "C.UTF-8",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOST_KEY_CHECKING": "False",
            # A connection for all tasks; it is ended behind the play.
            "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile=/dev/null",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self._connections),
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_PRIVATE_KEY_FILE": str(self.directory / "key"),
        }

    def _write_inventory(self) -> None:
        lines = [
            f"{name} ansible_host={address_of(node)} ansible_user=root"
            " ansible_python_interpreter=/usr/bin/python3"
            for name, node in self.nodes.items()
            if node.is_running
        ]
        (self.directory / "hosts").write_text("\n".join(["[k8s_cluster]", *lines, ""]))


@contextmanager
def open_fleet(directory: Path, names: tuple[str, ...]) -> Iterator[Fleet]:
    """Give nodes without power and without dnsguard, poisoned by Kubespray, in ``directory``."""
    tar = tree.base_tar(SSH)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", directory / "key"], check=True
    )
    with untouched_host(directory), ExitStack() as stack:
        outside = Outside(directory)
        stack.callback(outside.close)
        nodes: dict[str, Node] = {}
        for number, name in enumerate(names, 1):
            root = directory / name
            tree.unpack(tar, root)
            _furnish(root, name, number, directory / "key.pub")
            nodes[name] = Node(root, directory / f"{name}.log", Outlet(outside, number))
            stack.callback(nodes[name].close)
            stack.enter_context(told_on_failure(nodes[name]))
        yield Fleet(directory, outside, nodes)


def _furnish(root: Path, name: str, number: int, key: Path) -> None:
    """Make a tree one of several machines: with a name, an id and a key of its own."""
    machine.furnish(root)
    kubespray.poison(root)
    (root / "etc/hostname").write_text(f"{name}\n")
    (root / "etc/machine-id").write_text(f"6d6b1f0b3c2e4f6aa1d5c0ffee00{number:04x}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
    (root / f"etc/systemd/system/{KUBELET}").write_text(_KUBELET_SERVICE)
    authorized = root / "root/.ssh/authorized_keys"
    authorized.parent.mkdir(mode=0o700, exist_ok=True)
    shutil.copy(key, authorized)


def address_of(node: Node) -> str:
    """Return the address that its lease gave it."""

    def found() -> list[str]:
        said = node.try_("ip", "-4", "-oneline", "address", "show", "dev", "eth0").stdout
        return re.findall(r"inet ([0-9.]+)/", said)

    wait_for("an address", lambda: bool(found()), seconds=20)
    return found()[0]
