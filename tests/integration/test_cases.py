"""Cases that others have had, from public bug reports: a row each, judged by the real daemon.

A row has the node's files (``tests/data/cases``, and what it puts in their place), who answers
there, and what is right. What is right was written down before dnsguard was run on it.
"""

from pathlib import Path

import pytest
from lab.case import FIRST, NODE, SECOND, Booted, Guarded
from lab.guard import NODELOCAL

pytestmark = pytest.mark.integration

GLOBAL = "2001:db8:1::53"
OPTIONS = "options single-request-reopen use-vc timeout:1 ndots:1"
BOTH = [f"nameserver {FIRST}", f"nameserver {SECOND}"]
OFFERED = ["10.99.0.2", "10.99.0.3"]

CASES = (
    Guarded(
        name="02-global-address-with-zone",
        source="coredns/coredns#6635, #3528: CoreDNS can't dial it, glibc drops the zone",
        answers={GLOBAL: "answer"},
        right={"names": [GLOBAL], "pods": [f"nameserver {GLOBAL}"], "upstream": "verified"},
    ),
    Guarded(
        name="08-pod-file-keeps-options",
        source="aws/containers-roadmap#303, kubernetes/kubernetes#9079",
        right={"is untouched": True, "pods": [f"nameserver {FIRST}", OPTIONS]},
    ),
    Guarded(
        name="13-missing-file-netplan",
        source="kairos-io/kairos#1035",
        answers={FIRST: "answer", SECOND: "answer"},
        before={"plan": f"resolv.conf would be written: it would name {FIRST}, {SECOND}"},
        right={"names": [FIRST, SECOND], "pods": BOTH},
    ),
    Guarded(
        name="15-empty-file-ifupdown",
        source="easzlab/kubeasz#1010: node-cache finds no nameserver",
        answers={FIRST: "answer", SECOND: "answer"},
        before={"plan": f"resolv.conf would be written: it would name {SECOND}, {FIRST}"},
        right={"names": [SECOND, FIRST], "pods": BOTH[::-1]},
    ),
    Booted(
        name="24-wiki-leave-my-resolv-conf-alone",
        source="wiki.debian.org/resolv.conf, scaleway/image-ubuntu#47",
        right={"names": [FIRST], "forecast": [FIRST], "verdict": "reboot: fine", "dangers": []},
    ),
    Booted(
        name="26-hook-writes-its-own",
        source="HARDN-XDR's dhclient-enter-hooks.d/hardn-dns",
        right={
            "names": [SECOND, FIRST],
            "forecast": [SECOND, FIRST],
            "because": "/etc/dhcp/dhclient-enter-hooks.d/hardened-dns:4",
            "dangers": ["writes resolv.conf with >"] * 2,
        },
    ),
    Guarded(
        name="34-dhcpcd-static",
        source="pi-hole/pi-hole#1435, jpetazzo/pipework#104",
        answers={FIRST: "answer", SECOND: "answer"},
        right={"names": [SECOND], "pods": [f"nameserver {SECOND}"]},
    ),
    Guarded(
        name="34-dhcpcd-static: dhcpcd.conf alone",
        source="pi-hole/pi-hole#1435",
        files={"etc/resolv.conf.head": None},
        right={"names": [FIRST], "pods": [f"nameserver {FIRST}"]},
    ),
    Guarded(
        name="39-k3s-embedded-kubelet",
        source="k3s-io/k3s#807, #5186",
        answers={FIRST: "answer", "169.254.20.10": "cluster"},
        runs=("/usr/local/bin/k3s", "server"),
        right={
            "nodelocal": "healthy",
            "next": "kubelet gives /etc/resolv.conf to pods",
            "mode": "guarding",
            "is untouched": True,
        },
    ),
    Guarded(
        name="39-k3s-embedded-kubelet: the control, told a file of its own",
        source="k3s-io/k3s#5186",
        files={
            "etc/rancher/k3s/config.yaml": "resolv-conf: /var/lib/dnsguard/resolv.conf\n",
        },
        answers={FIRST: "answer", "169.254.20.10": "cluster"},
        right={"names": ["169.254.20.10", FIRST], "mode": "handed-over"},
    ),
    Guarded(
        name="43-custom-file-copied-from-poison",
        source="casosorg/casos#123, osism/testbed#2737",
        answers={FIRST: "answer", NODELOCAL: "answer"},
        right={
            "nodelocal": "healthy",
            "mode": "guarding",
            "degraded": f"/etc/kubelet-resolv.conf, which names {NODELOCAL}",
            "kubelet": f"2 kubelet         not running\npods get        /etc/kubelet-resolv.conf",
            "is untouched": True,
        },
    ),
    Booted(
        name="53-comment-names-another-program",
        source="mantl/mantl#928, kubernetes-sigs/kubespray#8575",
        right={
            "names": [NODELOCAL],
            "forecast": [NODELOCAL],
            "verdict": "reboot: POISONED (with dnsguard: fine)",
            "owner": None,
        },
    ),
    Guarded(
        name="58-tailscale-backup",
        source="claytono/infra#551, tailscale/tailscale#5303",
        right={
            "names": [FIRST],
            "pods": ["search tailnet.example lab.example", f"nameserver {FIRST}"],
        },
    ),
    Guarded(
        name="62-no-backups-left: the DHCP server answers",
        source="kubespray v2.28, leave_etc_backup_files: false",
        answers={SECOND: "answer"},
        dhcp=SECOND,
        right={"names": [SECOND], "first from": "dhcp-server", "degraded": "no"},
    ),
    Guarded(
        name="62-no-backups-left: the DHCP server is silent",
        source="kubespray v2.28, leave_etc_backup_files: false",
        answers={SECOND: "answer"},
        right={"names": [], "degraded": "set upstream.servers", "text": "held back"},
    ),
    Guarded(
        name="67-tcp-only-upstream",
        source="coredns/coredns#3938",
        answers={FIRST: "tcp-only"},
        right={"is untouched": True, "upstream": "verified", "degraded": "no"},
    ),
    Guarded(
        name="68-wildcard-answers-the-cluster-name",
        source="kubernetes-sigs/kind#1901, replicatedhq/troubleshoot#1391, canonical/microk8s#4459",
        answers={FIRST: "everything"},
        right={"names": [FIRST], "upstream": "verified"},
    ),
    Guarded(
        name="70-resolver-on-the-node-itself",
        source="openshift/machine-config-operator#1312, openshift/origin#12805",
        answers={NODE: "answer", FIRST: "answer"},
        right={"is untouched": True, "upstream": "verified"},
        poisoned={"names": [NODE, FIRST], "pods": [f"nameserver {NODE}", BOTH[0]]},
    ),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_case_comes_out_right(case: Guarded | Booted, tmp_path: Path) -> None:
    """The file, the file for pods, and what is said of them."""
    case.play(tmp_path)
