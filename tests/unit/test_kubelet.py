"""Which resolv.conf kubelet hands to pods."""

from pathlib import Path

import pytest

from dnsguard.host.kubelet import DEFAULT, pods_read

POD_FILE = "/var/lib/dnsguard/resolv.conf"
KUBESPRAY = """\
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
clusterDNS:
- 169.254.25.10
clusterDomain: cluster.local
resolvConf: "{}"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return where Kubespray puts the configuration, below a root of its own."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/resolv.conf").write_bytes(b"nameserver 10.0.0.2\n")
    return tmp_path / "etc/kubelet-config.yaml"


def _read(config: Path) -> str | None:
    return pods_read((config.with_name("no-such.yaml"), config), config.parents[1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (KUBESPRAY.format(POD_FILE), POD_FILE),
        (KUBESPRAY.format(DEFAULT), DEFAULT),
        (f"resolvConf: {POD_FILE}", POD_FILE),
        (f"resolvConf: '{POD_FILE}'  # kept by dnsguard\r\n", POD_FILE),
        (f"resolvConf: {POD_FILE}#no-comment\n", POD_FILE),
        ("resolvConf: ''\n", DEFAULT),
        ("resolvConf:\n", DEFAULT),
        ("kind: KubeletConfiguration\n", DEFAULT),
        (f"# resolvConf: {POD_FILE}\n", DEFAULT),
        (f"other:\n  resolvConf: {POD_FILE}\n", DEFAULT),
        (f"resolvConfig: {POD_FILE}\n", DEFAULT),
        ("", DEFAULT),
        ("\x00\x01", DEFAULT),
    ],
)
def test_what_the_configuration_says(config: Path, text: str, expected: str) -> None:
    """A top-level key of YAML; without one it is kubelet's default."""
    config.write_text(text, encoding="utf-8")
    assert _read(config) == expected


def test_no_kubelet(config: Path) -> None:
    """No configuration, no kubelet, no pods that could inherit anything."""
    assert _read(config) is None


def test_what_cannot_be_read_is_the_dangerous_case(config: Path) -> None:
    """A kubelet is there, and nobody knows what it hands out."""
    config.mkdir()
    assert _read(config) == DEFAULT


def test_a_comment_in_another_encoding_hides_nothing(config: Path) -> None:
    """Latin-1 in a comment is no reason to believe there is no kubelet."""
    config.write_bytes(b"# caf\xe9\nresolvConf: /etc/resolv.conf\n")
    assert _read(config) == DEFAULT


@pytest.mark.parametrize(
    "name",
    ["/etc/resolv.conf", "/etc//resolv.conf", "/etc/./resolv.conf", "/run/../etc/resolv.conf"],
)
def test_every_spelling_is_the_same_file(config: Path, name: str) -> None:
    """Kubelet opens a file, not a string."""
    config.write_text(f"resolvConf: {name}\n")
    assert _read(config) == DEFAULT


def test_the_file_behind_the_link_is_the_same_file(config: Path) -> None:
    """/etc/resolv.conf leads to what kubelet reads: the guard writes that file, too."""
    (config.parents[1] / "run").mkdir()
    resolv_conf = config.with_name("resolv.conf")
    resolv_conf.rename(config.parents[1] / "run/resolv.conf")
    resolv_conf.symlink_to("../run/resolv.conf")
    config.write_text("resolvConf: /run/resolv.conf\n")
    assert _read(config) == DEFAULT


def test_a_link_to_the_file_is_the_same_file(config: Path) -> None:
    """And so it is the other way round."""
    config.with_name("pods.conf").symlink_to("resolv.conf")
    config.write_text("resolvConf: /etc/pods.conf\n")
    assert _read(config) == DEFAULT


def test_the_first_configuration_counts(tmp_path: Path) -> None:
    """Kubespray's before kubeadm's."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text(f"resolvConf: {POD_FILE}\n")
    second.write_text("resolvConf: /etc/other\n")
    assert pods_read((first, second), tmp_path) == POD_FILE
    assert pods_read((second, first), tmp_path) == "/etc/other"
