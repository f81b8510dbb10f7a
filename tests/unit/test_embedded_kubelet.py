"""A kubelet inside k3s or MicroK8s, and a node of which nobody can tell what its pods get."""

from pathlib import Path

import pytest

from dnsguard.formats import embedded_kubelet
from dnsguard.formats.kubelet import DEFAULT, Kubelet
from dnsguard.host.kubelet import SIGNS, KubeletReader

POD_FILE = "/var/lib/dnsguard/resolv.conf"
CONFIG = "etc/rancher/k3s/config.yaml"
UNIT = "etc/systemd/system/k3s.service"
K3S_DROP_INS = "var/lib/rancher/k3s/agent/etc/kubelet.conf.d"
ARGS = "var/snap/microk8s/current/args/kubelet"
K3S_UNIT = """\
[Service]
Type=notify
EnvironmentFile=-/etc/default/%N
EnvironmentFile=-/etc/sysconfig/%N
EnvironmentFile=-/etc/systemd/system/k3s.service.env
ExecStartPre=-/sbin/modprobe overlay
ExecStart=/usr/local/bin/k3s \\
    server \\
"""
MICROK8S_ARGS = """\
--kubeconfig=${SNAP_DATA}/credentials/kubelet.config
--root-dir=${SNAP_COMMON}/var/lib/kubelet
--cluster-domain=cluster.local
--cluster-dns=10.152.183.10
"""


class Node:
    """Files below a root of their own, and what is seen there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("etc/resolv.conf", "nameserver 10.0.0.2\n")

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def look(self) -> tuple[Kubelet | None, str | None]:
        reader = KubeletReader(self.root)
        reader.search()
        return reader.read(), reader.explain_doubt()

    def read(self) -> str:
        found, doubt = self.look()
        assert found is not None
        assert doubt is None
        return found.pods_file


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Return a node without a kubelet."""
    return Node(tmp_path)


class TestK3s:
    """Its units, environment files and configuration."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('cluster-domain: cluster.local\nkubelet-arg:\n  - "max-pods=200"\n', DEFAULT),  # 39-*
            (f"resolv-conf: {POD_FILE}\n", POD_FILE),
            (f'"resolv-conf": "{POD_FILE}"\n', POD_FILE),
            (f"kubelet-arg: resolv-conf={POD_FILE}\n", POD_FILE),
            (f"kubelet-arg:\n- max-pods=2\n- resolv-conf={POD_FILE}\n", POD_FILE),
            (f"kubelet-arg+:\n- --resolv-conf={POD_FILE}\n", POD_FILE),
            (f"resolv-conf: {POD_FILE}\nkubelet-arg: config=/etc/k.yaml\n", DEFAULT),
            (f"resolv-conf: {POD_FILE}\nkubelet-arg: [--config-dir=/etc/k]\n", DEFAULT),
            (f"# resolv-conf: {POD_FILE}\n", DEFAULT),
            ("resolv-conf: ''\n", DEFAULT),
            ("resolv-conf: /etc/resolv.conf\n", DEFAULT),
            ("resolv-conf: pods.conf\n", DEFAULT),
            (f"resolv-conf: [{{a: {POD_FILE}}}]\n", DEFAULT),
            ("{", DEFAULT),
            ("", DEFAULT),
        ],
    )
    def test_its_configuration(self, node: Node, text: str, expected: str) -> None:
        """Without an option it chooses by itself, and may choose the node's file."""
        node.write(CONFIG, text)
        assert node.read() == expected

    @pytest.mark.parametrize(
        "text",
        [
            "cluster-dns: 169.254.20.11\ncluster-domain: a.example\n",
            "kubelet-arg: [cluster-dns=169.254.20.11, cluster-domain=a.example]\n",
            "kubelet-arg+: [--cluster_dns=169.254.20.11, --cluster-domain=a.example]\n",
        ],
    )
    def test_its_cluster_dns(self, node: Node, text: str) -> None:
        """NodeLocalDNS on k3s is told of by what is passed on to kubelet."""
        node.write(CONFIG, text)
        found, _ = node.look()
        assert found is not None
        assert found.cluster_domain is not None
        assert ([*map(str, found.nameservers)], found.cluster_domain.value) == (
            ["169.254.20.11"],
            "a.example",
        )

    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            ("", DEFAULT),
            (f"\t'--resolv-conf' \\\n\t'{POD_FILE}' \\\n", POD_FILE),  # the installer's way
            (f"\t--resolv-conf={POD_FILE}\n", POD_FILE),
            (f"\t'--kubelet-arg' \\\n\t'resolv-conf={POD_FILE}' \\\n", POD_FILE),
            (f"\t--kubelet-arg=resolv-conf={POD_FILE}\n", POD_FILE),
            (f'\t"--kubelet-arg=--resolv-conf={POD_FILE}"\n', POD_FILE),
            (f'\t--kubelet-arg="resolv-conf={POD_FILE}"\n', POD_FILE),  # quoted in the middle
            (f"\t--resolv-conf='{POD_FILE}'\n", POD_FILE),
            (f'\nEnvironment="K3S_RESOLV_CONF={POD_FILE}"\n', POD_FILE),
            (f"\n#Environment=K3S_RESOLV_CONF={POD_FILE}\n", DEFAULT),
            (f"\nEnvironment=MY_K3S_RESOLV_CONF={POD_FILE}\n", DEFAULT),
            ("\t--kubelet-arg=max-pods=3 --kubelet-arg=config=/etc/k.yaml\n", DEFAULT),
            ("\t--resolv-conf=$CONF\n", DEFAULT),
        ],
    )
    def test_its_unit(self, node: Node, more: str, expected: str) -> None:
        """As its installer writes it, and as people do."""
        node.write(UNIT, K3S_UNIT + more)
        assert node.read() == expected

    @pytest.mark.parametrize(
        "name",
        [
            "etc/systemd/system/k3s.service.env",
            "etc/systemd/system/k3s-agent.service.env",
            "etc/default/k3s",
            "etc/systemd/system/k3s.service.d/10-dns.conf",
        ],
    )
    def test_its_environment(self, node: Node, name: str) -> None:
        """Files that its units name, and drop-ins."""
        node.write(UNIT, K3S_UNIT)
        node.write(name, f"K3S_RESOLV_CONF={POD_FILE}\n")
        assert node.read() == POD_FILE

    @pytest.mark.parametrize("quote", ["'", '"'])
    def test_a_quoted_variable(self, node: Node, quote: str) -> None:
        """As its installer writes what ``sh -c export`` says."""
        node.write(
            "etc/systemd/system/k3s.service.env", f"K3S_RESOLV_CONF={quote}{POD_FILE}{quote}\n"
        )
        assert node.read() == POD_FILE

    @pytest.mark.parametrize(
        "name",
        [
            "etc/systemd/system/k3s-edge.service",
            "etc/systemd/system/k3s-edge.service.d/dns.conf",
            "etc/systemd/system/k3s-edge.service.env",
            "etc/default/k3s-edge",
        ],
    )
    def test_a_unit_of_another_name(self, node: Node, name: str) -> None:
        """INSTALL_K3S_NAME: what it says beats the configuration, and pods would get the loop."""
        node.write(CONFIG, f"resolv-conf: {POD_FILE}\n")
        assert node.read() == POD_FILE
        node.write(name, "K3S_RESOLV_CONF=/etc/resolv.conf\n")
        assert node.read() == DEFAULT

    def test_a_drop_in_of_kubelets(self, node: Node) -> None:
        """It beats what k3s is told (docs.k3s.io); k3s's own says what it was told, once."""
        node.write(CONFIG, f"resolv-conf: {POD_FILE}\n")
        node.write(f"{K3S_DROP_INS}/00-k3s-defaults.conf", "resolvConf: /etc/resolv.conf\n")
        assert node.read() == POD_FILE
        name = f"{K3S_DROP_INS}/50-dns.conf"
        node.write(name, "clusterDNS: [10.9.0.10]\nresolvConf: /etc/resolv.conf\n")
        found, _ = node.look()
        assert found is not None
        assert f"/{name} says otherwise" in found.resolv_conf.origin
        assert [str(one) for one in found.nameservers] == ["10.9.0.10"]
        assert found.pods_file == DEFAULT
        node.write(CONFIG, "node-name: a\n")
        node.write(name, f"resolvConf: {POD_FILE}\n")
        assert node.read() == POD_FILE

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            (CONFIG, "data-dir: /data/k3s\nresolv-conf: POD_FILE\n"),
            (UNIT, K3S_UNIT + "\t'--data-dir' \\\n\t'/data/k3s/' \\\n\t--resolv-conf=POD_FILE\n"),
            ("etc/default/k3s", "K3S_DATA_DIR=/data/k3s\nK3S_RESOLV_CONF=POD_FILE\n"),
        ],
    )
    def test_a_drop_in_of_kubelets_elsewhere(self, node: Node, name: str, text: str) -> None:
        """Below the directory of --data-dir."""
        node.write(name, text.replace("POD_FILE", POD_FILE))
        assert node.read() == POD_FILE
        node.write("data/k3s/agent/etc/kubelet.conf.d/50.conf", "resolvConf: /etc/resolv.conf\n")
        assert node.read() == DEFAULT

    def test_a_drop_in_and_another_configuration(self, node: Node) -> None:
        """config.yaml.d, and the file of --config."""
        node.write("etc/rancher/k3s/config.yaml.d/a.yaml", f"resolv-conf: {POD_FILE}\n")
        assert node.read() == POD_FILE
        node.write("etc/rancher/k3s/config.yaml.d/a.yaml", "node-name: a\n")
        node.write(UNIT, K3S_UNIT + "\t--config /opt/k3s.yaml\n")
        node.write("opt/k3s.yaml", f"resolv-conf: {POD_FILE}\n")
        assert node.read() == POD_FILE

    def test_files_that_disagree(self, node: Node) -> None:
        """Which of them counts is k3s's own affair; the dangerous file may."""
        node.write(CONFIG, f"resolv-conf: {POD_FILE}\n")
        node.write("etc/default/k3s", "K3S_RESOLV_CONF=/etc/pods.conf\n")
        found, _ = node.look()
        assert found is not None
        assert found.pods_file == DEFAULT
        assert f"/{CONFIG} says otherwise" in found.resolv_conf.origin

    def test_what_cannot_be_read_may_say_anything(self, node: Node) -> None:
        """As of a kubelet of its own."""
        node.write(UNIT, K3S_UNIT + f"\t--resolv-conf={POD_FILE}\n")
        (node.root / CONFIG).mkdir(parents=True)
        found, _ = node.look()
        assert found is not None
        assert (found.pods_file, len(found.troubles)) == (DEFAULT, 1)

    def test_its_cluster(self, node: Node) -> None:
        """Its own default address of cluster DNS, unless an option names others."""
        node.write(CONFIG, "cluster-domain: k3s.example\n")
        found, _ = node.look()
        assert found is not None
        assert [str(one) for one in found.nameservers] == ["10.43.0.10"]
        assert found.cluster_domain is not None
        assert found.cluster_domain.value == "k3s.example"
        node.write(CONFIG, "cluster-dns: [10.9.0.10, 10.9.0.11]\n")
        found, _ = node.look()
        assert found is not None
        assert [str(one) for one in found.nameservers] == ["10.9.0.10", "10.9.0.11"]
        assert found.remedy == embedded_kubelet.K3S.remedy


class TestMicroK8s:
    """Its kubelet's flags have a file of their own."""

    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            ("", DEFAULT),
            (f"--resolv-conf={POD_FILE}\n", POD_FILE),
            (f"--resolv-conf {POD_FILE}\n", POD_FILE),
            (f"--resolv-conf=/etc/a\n--resolv-conf={POD_FILE}\n", POD_FILE),
            (f"#--resolv-conf={POD_FILE}\n", DEFAULT),
            ("--resolv-conf=${SNAP_DATA}/resolv.conf\n", DEFAULT),
        ],
    )
    def test_its_flags(self, node: Node, more: str, expected: str) -> None:
        """The last one wins; what a shell makes of a variable is not guessed."""
        node.write(ARGS, MICROK8S_ARGS + more)
        assert node.read() == expected


class TestK0s:
    """It starts a kubelet of that name, with a configuration that k0s writes."""

    def test_before_it_runs(self, node: Node) -> None:
        """The configuration is read, and not to be edited."""
        node.write("var/lib/k0s/kubelet-config.yaml", "resolvConf: /etc/resolv.conf\n")
        found, _ = node.look()
        assert found is not None
        assert found.pods_file == DEFAULT
        assert "--kubelet-extra-args=--resolv-conf=" in (found.remedy or "")


UNIT_FILES = (
    (UNIT, CONFIG, "k3s"),
    ("etc/systemd/system/k3s-agent.service", CONFIG, "k3s-agent"),
    ("etc/systemd/system/snap.microk8s.daemon-kubelite.service", ARGS, "microk8s"),
    ("etc/systemd/system/k0scontroller.service", "var/lib/k0s/kubelet-config.yaml", "k0s"),
    ("etc/systemd/system/k0sworker.service", "var/lib/k0s/kubelet-config.yaml", "k0s"),
    ("usr/lib/systemd/system/kubelet.service", "etc/kubernetes/kubelet-config.yaml", "kubelet"),
)


@pytest.mark.parametrize(("unit", "config", "kind"), UNIT_FILES)
def test_the_unit_that_is_there_is_the_one_to_restart(
    node: Node, unit: str, config: str, kind: str
) -> None:
    """Its own, and for what has a kubelet inside that one's; a leftover of another is not."""
    if kind == "k0s":
        node.write("usr/lib/systemd/system/kubelet.service", "[Service]\n")
    node.write(unit, "[Service]\n")
    node.write(config, "{}\n")
    found, _ = node.look()
    assert found is not None
    assert found.restart == f"systemctl restart {Path(unit).stem}"
    assert (found.step is None) is (kind == "kubelet")
    assert found.step is None or found.step.endswith(found.restart)


class TestDoubt:
    """No kubelet that is understood."""

    @pytest.mark.parametrize("sign", SIGNS)
    def test_somebody_starts_pods_here(self, node: Node, sign: str) -> None:
        """A runtime's socket or a cluster's directory: nobody can tell what pods get."""
        node.write(f"{sign.lstrip('/')}/x", "")
        found, doubt = node.look()
        assert found is None
        assert doubt is not None
        assert f"there is {sign};" in doubt

    def test_no_kubernetes_at_all(self, node: Node) -> None:
        """No pods, no doubt."""
        assert node.look() == (None, None)

    def test_a_kubelet_that_is_understood(self, node: Node) -> None:
        """Whatever else there is."""
        node.write("run/containerd/containerd.sock", "")
        node.write("etc/kubernetes/kubelet-config.yaml", f"resolvConf: {POD_FILE}\n")
        assert node.read() == POD_FILE

    def test_before_the_search_has_ended(self, node: Node) -> None:
        """A kubelet may be among the processes that have not been looked at."""
        reader = KubeletReader(node.root)
        assert reader.read() is None
        assert "searched" in (reader.explain_doubt() or "")
        reader.search()
        assert reader.explain_doubt() is None

    def test_what_was_there_is_not_forgotten(self, node: Node) -> None:
        """Files that go and come while a node is upgraded are no reason to hand it over."""
        path = node.write(CONFIG, "node-name: a\n")
        reader = KubeletReader(node.root)
        reader.search()
        before = reader.read()
        path.unlink()
        assert (reader.read(), reader.explain_doubt()) == (before, None)
