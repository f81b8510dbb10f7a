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
RESOLV_CONF, KUBELET = "etc/resolv.conf", "var/lib/kubelet/config.yaml"
K3S_DROP_INS = "var/lib/rancher/k3s/agent/etc/kubelet.conf.d"
RKE2_DROP_INS = "var/lib/rancher/rke2/agent/etc/kubelet.conf.d"
HOOK_26 = "etc/dhcp/dhclient-enter-hooks.d/hardened-dns"
HOOK_24 = "etc/dhcp/dhclient-enter-hooks.d/leave_my_resolv_conf_alone"

CASES = (
    Guarded(
        name="02-global-address-with-zone",
        source="coredns/coredns#6635, #3528: CoreDNS can't dial it, glibc drops the zone",
        answers={GLOBAL: "answer"},
        right={"names": [GLOBAL], "pods": [f"nameserver {GLOBAL}"], "upstream": "verified"},
    ),
    Guarded(
        name="02-global-address-with-zone: lines that end as Windows has them",
        source="glibc takes none of them, Go's resolver does",
        files={RESOLV_CONF: f"nameserver {NODELOCAL}\r\nnameserver {FIRST}\r\n"},
        right={"names": [FIRST], "pods": BOTH[:1], "upstream": "verified"},
    ),
    Guarded(
        name="02-global-address-with-zone: a comment behind it",
        source="kubernetes/kubernetes#45036, c-ares/c-ares#1274: udhcpc, Unraid",
        files={RESOLV_CONF: f"nameserver {FIRST} # eth0:v4\n"},
        right={"is untouched": True, "pods": BOTH[:1], "upstream": "verified"},
    ),
    Guarded(
        name="02-global-address-with-zone: a list with commas, which nobody takes",
        source="HARDN-XDR's hook; glibc and Go leave the line out",
        files={RESOLV_CONF: f"nameserver {SECOND}, {FIRST}\n"},
        answers={FIRST: "answer", SECOND: "answer"},
        right={"names": [SECOND, FIRST], "pods": BOTH[::-1]},
    ),
    Guarded(
        name="02-global-address-with-zone: behind a byte order mark",
        source="microsoft/WSL#9642",
        files={RESOLV_CONF: f"\ufeffnameserver {FIRST}\n"},
        right={"names": [FIRST], "pods": BOTH[:1]},
    ),
    Guarded(
        name="02-global-address-with-zone: the fourth",
        source="kubernetes-sigs/kubespray#3390, coredns_dual: glibc takes three",
        files={
            RESOLV_CONF: "nameserver 10.233.0.3\nnameserver 10.233.0.4\n"
            f"nameserver {NODELOCAL}\nnameserver {FIRST}\n"
        },
        right={"names": [FIRST], "pods": BOTH[:1]},
    ),
    Guarded(
        name="08-pod-file-keeps-options",
        source="aws/containers-roadmap#303, kubernetes/kubernetes#9079",
        right={"is untouched": True, "pods": [f"nameserver {FIRST}", OPTIONS]},
    ),
    Guarded(
        name="08-pod-file-keeps-options: several lines, names of the cluster, none at all",
        source='kubernetes/kubernetes#112135: systemd-resolved\'s "search .", and musl',
        files={
            RESOLV_CONF: f"search svc.cluster.local lab.example .\nnameserver {FIRST}\n"
            "options ndots:2\noptions timeout:1 no-aaaa\n",
        },
        right={
            "is untouched": True,
            "pods": ["search lab.example", BOTH[0], "options ndots:2 timeout:1 no-aaaa"],
        },
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
    Guarded(
        name="15-empty-file-ifupdown: zeros after a power cut",
        source="what XFS and ext4 leave of a file that was never synced",
        files={RESOLV_CONF: "\0" * 120},
        answers={FIRST: "answer", SECOND: "answer"},
        right={"names": [SECOND, FIRST], "pods": BOTH[::-1]},
    ),
    Guarded(
        name="15-empty-file-ifupdown: commas",
        source="interfaces(5) takes blanks alone; ifupdown2 and people write both",
        files={
            "etc/network/interfaces": "auto eth0\niface eth0 inet static\n"
            f"    dns-nameservers {SECOND}, {FIRST}\n",
        },
        answers={FIRST: "answer", SECOND: "answer"},
        right={"names": [SECOND, FIRST], "pods": BOTH[::-1]},
    ),
    Guarded(
        name="15-empty-file-ifupdown: written by a command",
        source="interfaces files all over: up echo nameserver, without resolvconf(8)",
        files={
            "etc/network/interfaces": "auto eth0\niface eth0 inet static\n"
            f'    address {NODE}/24\n    up echo "nameserver {FIRST}" > /etc/resolv.conf\n',
        },
        right={"names": [FIRST], "pods": BOTH[:1]},
    ),
    Guarded(
        name="15-empty-file-ifupdown: cloud-init's, on lo",
        source="canonical/cloud-init#4255, Debian 12",
        files={
            "etc/network/interfaces.d/50-cloud-init": "auto lo\niface lo inet loopback\n"
            f"    dns-nameservers {FIRST}\n    dns-search lab.example\n",
            "etc/network/interfaces": "source /etc/network/interfaces.d/*\n",
        },
        right={"names": [FIRST], "pods": BOTH[:1]},
    ),
    Guarded(
        name="15-empty-file-ifupdown: NetworkManager was told over D-Bus",
        source="nmstate/nmstate#2198: NetworkManager-intern.conf",
        files={
            "etc/network/interfaces": None,
            RESOLV_CONF: "# Generated by NetworkManager\n",
            "var/lib/NetworkManager/NetworkManager-intern.conf": "[.intern.global-dns]\n"
            f"searches=lab.example\n\n[.intern.global-dns-domain-*]\n.was=1\nservers={FIRST}\n",
        },
        right={"names": [FIRST], "pods": BOTH[:1]},
    ),
    Booted(
        name="24-wiki-leave-my-resolv-conf-alone",
        source="wiki.debian.org/resolv.conf, scaleway/image-ubuntu#47",
        right={"names": [FIRST], "foreseen": [FIRST], "verdict": "reboot: fine", "dangers": []},
    ),
    Booted(
        name="24-wiki-leave-my-resolv-conf-alone: by a name that run-parts(8) leaves out",
        source="the wiki's hook saved as nodns.sh",
        files={HOOK_24: None, f"{HOOK_24}.sh": "make_resolv_conf() { :; }\n"},
        right={
            "names": [NODELOCAL],
            "foreseen": [NODELOCAL],
            "verdict": "reboot: POISONED (with dnsguard: fine)",
        },
    ),
    Booted(
        name="26-hook-writes-its-own",
        source="HARDN-XDR's dhclient-enter-hooks.d/hardn-dns",
        right={
            "names": [SECOND, FIRST],
            "foreseen": [SECOND, FIRST],
            "because": "/etc/dhcp/dhclient-enter-hooks.d/hardened-dns:4",
            "dangers": ["writes resolv.conf with >"] * 2,
        },
    ),
    Booted(
        name="26-hook-writes-its-own: removed, and line by line",
        source="as public installers do it without a temporary file",
        files={
            HOOK_26: None,
            "etc/dhcp/dhclient-exit-hooks.d/own": "rm -f /etc/resolv.conf\n"
            f"for one in {SECOND} {FIRST}; do\n"
            '    echo "nameserver $one" >> /etc/resolv.conf\n'
            "done\n",
        },
        right={"names": [SECOND, FIRST], "foreseen": [SECOND, FIRST]},
    ),
    Booted(
        name="26-hook-writes-its-own: a loop that leaves the cluster's out",
        source="a loop over $new_domain_name_servers, as dhclient-script's own; continue",
        files={
            HOOK_26: 'servers=""\nfor one in $new_domain_name_servers; do\n'
            '  case "$one" in 169.254.*) continue ;; esac\n  servers="$servers $one"\ndone\n'
            f'new_domain_name_servers="$servers {FIRST}"\n',
        },
        right={"names": [FIRST], "foreseen": [FIRST], "verdict": "reboot: fine"},
    ),
    Booted(
        name="26-hook-writes-its-own: by interface, and the first of what it is told",
        source="as public hooks take a word: cut, awk, head",
        files={
            HOOK_26: 'case "$interface" in eth[0-9]) ;; *) return 0 ;; esac\n'
            "make_resolv_conf() {\n"
            "  dns=$(echo \"$new_domain_name_servers\" | cut -d' ' -f1)\n"
            f'  [ "$dns" = {NODELOCAL} ] && dns={FIRST}\n'
            '  echo "nameserver $dns" > /etc/resolv.conf\n}\n',
        },
        right={"names": [FIRST], "foreseen": [FIRST], "verdict": "reboot: fine"},
    ),
    Guarded(
        name="34-dhcpcd-static",
        source="pi-hole/pi-hole#1435, jpetazzo/pipework#104",
        answers={FIRST: "answer", SECOND: "answer"},
        right={"names": [SECOND], "pods": BOTH[1:]},
    ),
    Guarded(
        name="34-dhcpcd-static: dhcpcd.conf alone",
        source="pi-hole/pi-hole#1435",
        files={"etc/resolv.conf.head": None},
        right={"names": [FIRST], "pods": BOTH[:1]},
    ),
    Guarded(
        name="34-dhcpcd-static: a profile to fall back on",
        source="dhcpcd.conf(5), fallback",
        files={
            "etc/resolv.conf.head": None,
            "etc/dhcpcd.conf": "profile static_eth0\nstatic ip_address=10.1.1.10/24\n"
            f"static domain_name_servers={FIRST}\n\ninterface eth0\nfallback static_eth0\n",
        },
        right={"names": [FIRST], "pods": BOTH[:1]},
    ),
    Guarded(
        name="34-dhcpcd-static: openresolv's newer names",
        source="resolvconf.conf(5) since 3.9.2: prepend_nameservers, append_nameservers",
        files={
            "etc/resolv.conf.head": None,
            "etc/dhcpcd.conf": None,
            RESOLV_CONF: "# Generated by resolvconf\n",
            "etc/resolvconf.conf": f"append_nameservers='{SECOND}'\nprepend_nameservers={FIRST}\n",
        },
        answers={FIRST: "answer", SECOND: "answer"},
        right={"names": [FIRST, SECOND], "pods": BOTH},
    ),
    Guarded(
        name="39-k3s-embedded-kubelet",
        source="k3s-io/k3s#807, #5186",
        answers={FIRST: "answer", "169.254.20.10": "cluster"},
        runs=("/usr/local/bin/k3s", "server"),
        right={
            "nodelocal": "healthy",
            "next": "remedy: set resolv-conf to /var/lib/dnsguard/resolv.conf",
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
        name="39-k3s-embedded-kubelet: a drop-in of kubelet's own, which beats that",
        source='docs.k3s.io, "Kubelet Configuration Files" (1.32)',
        files={
            "etc/rancher/k3s/config.yaml": "resolv-conf: /var/lib/dnsguard/resolv.conf\n",
            f"{K3S_DROP_INS}/50-dns.conf": "kind: KubeletConfiguration\n"
            "resolvConf: /etc/resolv.conf\n",
        },
        answers={FIRST: "answer", "169.254.20.10": "cluster"},
        runs=("/usr/local/bin/k3s", "server"),
        right={
            "nodelocal": "healthy",
            "mode": "guarding",
            "kubelet": "50-dns.conf says otherwise",
        },
    ),
    Guarded(
        name="39-k3s-embedded-kubelet: a unit of another name",
        source="k3s-io/k3s install.sh, INSTALL_K3S_NAME",
        files={
            "etc/rancher/k3s/config.yaml": "resolv-conf: /var/lib/dnsguard/resolv.conf\n",
            "etc/systemd/system/k3s-edge.service": "[Service]\nExecStart=/usr/local/bin/k3s \\\n"
            '    server --kubelet-arg="resolv-conf=/etc/resolv.conf"\n',
        },
        answers={FIRST: "answer", "169.254.20.10": "cluster"},
        runs=("/usr/local/bin/k3s", "server"),
        right={"nodelocal": "healthy", "mode": "guarding"},
    ),
    Guarded(
        name="39-k3s-embedded-kubelet: RKE2, which writes kubelet's drop-in itself",
        source="rancher/rke2#4043",
        files={
            "etc/rancher/k3s/config.yaml": None,
            "etc/systemd/system/rke2-server.service": "[Service]\n",
            f"{RKE2_DROP_INS}/00-rke2-defaults.conf": "resolvConf: /etc/resolv.conf\n",
        },
        answers={FIRST: "answer", NODELOCAL: "answer"},
        runs=("kubelet", f"--config-dir=/{RKE2_DROP_INS}"),
        right={
            "nodelocal": "healthy",
            "mode": "guarding",
            "next": "set resolv-conf to /var/lib/dnsguard/resolv.conf in /etc/rancher/rke2",
        },
    ),
    Guarded(
        name="39-k3s-embedded-kubelet: MicroK8s",
        source="canonical/microk8s: kubelet is inside kubelite",
        files={
            "etc/rancher/k3s/config.yaml": None,
            "var/snap/microk8s/current/args/kubelet": "--cluster-dns=10.152.183.10\n",
        },
        answers={FIRST: "answer", NODELOCAL: "answer"},
        runs=("/snap/microk8s/7180/kubelite", "--kubelet-args-file=x"),
        right={
            "nodelocal": "healthy",
            "next": "/var/snap/microk8s/current/args/kubelet",
            "mode": "guarding",
        },
    ),
    Guarded(
        name="39-k3s-embedded-kubelet: KubeEdge, which is not known",
        source="kubeedge/kubeedge: edgecore has a kubelet inside",
        files={"etc/rancher/k3s/config.yaml": None, "run/containerd/containerd.sock": ""},
        answers={FIRST: "answer", NODELOCAL: "answer"},
        runs=("/usr/local/bin/edgecore",),
        right={
            "nodelocal": "healthy",
            "next": "nobody can tell which resolv.conf pods get",
            "mode": "guarding",
        },
    ),
    Guarded(
        name="43-custom-file-copied-from-poison",
        source="casosorg/casos#123, osism/testbed#2737",
        answers={FIRST: "answer", NODELOCAL: "answer"},
        right={
            "nodelocal": "healthy",
            "mode": "guarding",
            "degraded": f"/etc/kubelet-resolv.conf, which names {NODELOCAL}",
            "kubelet": "2 kubelet         not running\npods get        /etc/kubelet-resolv.conf",
            "loops": f"Pods get {NODELOCAL} as their upstream",
            "is untouched": True,
        },
    ),
    Guarded(
        name="43-custom-file-copied-from-poison: this host",
        source="0.0.0.0 in a resolv.conf is whoever reads it",
        files={"etc/kubelet-resolv.conf": "nameserver 0.0.0.0\n"},
        answers={FIRST: "answer", NODELOCAL: "answer"},
        right={"nodelocal": "healthy", "mode": "guarding", "degraded": "0.0.0.0: the pod itself"},
    ),
    Guarded(
        name="43-custom-file-copied-from-poison: the control, a good one",
        source="osism/testbed#2737",
        files={"etc/kubelet-resolv.conf": f"nameserver {FIRST}\n"},
        answers={FIRST: "answer", NODELOCAL: "answer"},
        right={"names": [NODELOCAL, FIRST], "mode": "handed-over"},
    ),
    Booted(
        name="53-comment-names-another-program",
        source="mantl/mantl#928, kubernetes-sigs/kubespray#8575",
        right={
            "names": [NODELOCAL],
            "foreseen": [NODELOCAL],
            "verdict": "reboot: POISONED (with dnsguard: fine)",
            "owner": None,
        },
    ),
    Booted(
        name="53-comment-names-another-program: a header that was left behind",
        source="Kubespray v2.18 keeps it; NetworkManager is not installed",
        files={RESOLV_CONF: f"# Generated by NetworkManager\nnameserver {FIRST}\n"},
        right={
            "names": [NODELOCAL],
            "foreseen": [NODELOCAL],
            "verdict": "reboot: POISONED (with dnsguard: fine)",
            "owner": None,
        },
    ),
    Booted(
        name="53-comment-names-another-program: a manual page",
        source="systemd-resolved's own words, in a sentence of somebody's",
        files={RESOLV_CONF: f"# man:systemd-resolved(8) is not used here\nnameserver {FIRST}\n"},
        right={"names": [NODELOCAL], "foreseen": [NODELOCAL], "owner": None},
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
        name="58-tailscale-backup: somebody's own VPN, and their name for a copy",
        source="OpenVPN's contrib/pull-resolv-conf (.ovpnsave), and scripts with _orig, .bkp, -bak",
        files={
            "etc/resolv.pre-tailscale-backup.conf": None,
            "etc/resolv.conf.ovpnsave": f"nameserver {FIRST}\n",
        },
        right={"names": [FIRST]},
    ),
    Guarded(
        name="62-no-backups-left: the DHCP server answers",
        source="kubespray v2.28, leave_etc_backup_files: false",
        answers={SECOND: "answer"},
        dhcp=SECOND,
        right={"names": [SECOND], "first from": "dhcp-server", "degraded": None},
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
        right={"is untouched": True, "upstream": "verified", "degraded": None},
    ),
    Guarded(
        name="67-tcp-only-upstream: the control, where glibc asks it over UDP",
        source="coredns/coredns#3938",
        files={RESOLV_CONF: f"nameserver {FIRST}\n"},
        answers={FIRST: "tcp-only"},
        right={"is untouched": True, "upstream": "unverified", "degraded": FIRST},
    ),
    Guarded(
        name="67-tcp-only-upstream: one that refuses the root's NS",
        source="resolvers with an access list for names",
        files={RESOLV_CONF: f"nameserver {FIRST}\n"},
        answers={FIRST: "refused"},
        right={"is untouched": True, "upstream": "unverified", "degraded": "upstream.question"},
    ),
    Guarded(
        name="67-tcp-only-upstream: split DNS, the company's own first",
        source="unbound and BIND that serve their zones alone; res_send.c goes on at once",
        files={RESOLV_CONF: f"nameserver {FIRST}\nnameserver {SECOND}\n"},
        answers={FIRST: "refused", SECOND: "answer"},
        right={"pods": BOTH[1:], "is untouched": True, "upstream": "verified"},
    ),
    Guarded(
        name="68-wildcard-answers-the-cluster-name",
        source="kubernetes-sigs/kind#1901, replicatedhq/troubleshoot#1391, canonical/microk8s#4459",
        answers={FIRST: "everything"},
        right={"names": [FIRST], "upstream": "verified"},
    ),
    Guarded(
        name="68-wildcard-answers-the-cluster-name: the control, cluster DNS",
        source="kubespray",
        files={KUBELET: "clusterDNS: [10.96.0.10]\nresolvConf: /var/lib/dnsguard/resolv.conf\n"},
        answers={FIRST: "cluster"},
        says="10.96.0.1",
        right={"upstream": "none", "degraded": "set upstream.servers"},
    ),
    Guarded(
        name="68-wildcard-answers-the-cluster-name: the DNS of the cluster around this one",
        source="nested clusters, as issue 13 has them",
        files={KUBELET: "clusterDNS: [10.233.0.3]\nresolvConf: /var/lib/dnsguard/resolv.conf\n"},
        answers={FIRST: "cluster"},
        says="10.96.0.1",
        right={"names": [FIRST], "upstream": "verified"},
    ),
    Guarded(
        name="70-resolver-on-the-node-itself",
        source="openshift/machine-config-operator#1312, openshift/origin#12805",
        answers={NODE: "answer", FIRST: "answer"},
        right={"is untouched": True, "upstream": "verified"},
        poisoned={"names": [NODE, FIRST], "pods": [f"nameserver {NODE}", BOTH[0]]},
    ),
    Guarded(
        name="70-resolver-on-the-node-itself: the control, cluster DNS there",
        source="issue 13",
        files={RESOLV_CONF: f"nameserver {NODE}\n"},
        answers={NODE: "cluster"},
        says="10.233.0.1",
        right={"upstream": "none"},
        poisoned={"names": [], "degraded": "set upstream.servers"},
    ),
    Guarded(
        name="70-resolver-on-the-node-itself: on loopback",
        source="unbound, dnsmasq and dnscrypt-proxy on a node; Docker's 127.0.0.11",
        files={
            RESOLV_CONF: "nameserver 127.0.0.1\n",
            "etc/resolv.conf.bak": f"nameserver {FIRST}\n",
        },
        answers={"127.0.0.1": "answer", FIRST: "answer"},
        right={"is untouched": True, "usable": ["127.0.0.1", FIRST], "pods": BOTH[:1]},
        poisoned={"names": ["127.0.0.1", FIRST], "pods": BOTH[:1]},
    ),
    Guarded(
        name="70-resolver-on-the-node-itself: dnsmasq, and whom it asks",
        source="kubernetes/kubernetes#71705, kubernetes/kubeadm#1292",
        files={
            RESOLV_CONF: "nameserver 127.0.0.1\n",
            "etc/dnsmasq.conf": "resolv-file=/etc/resolv.dnsmasq\n"
            "server=/cluster.local/10.233.0.3\n",
            "etc/resolv.dnsmasq": f"nameserver {FIRST}\n",
        },
        answers={"127.0.0.1": "answer", FIRST: "answer"},
        right={"is untouched": True, "usable": ["127.0.0.1", FIRST], "pods": BOTH[:1]},
    ),
    Guarded(
        name="70-resolver-on-the-node-itself: unbound, and whom it asks",
        source="kubernetes/kubernetes#49675",
        files={
            RESOLV_CONF: "nameserver 127.0.0.1\n",
            "etc/unbound/unbound.conf.d/forward.conf": "forward-zone:\n"
            f'  name: "."\n  forward-addr: {FIRST}\n',
        },
        answers={"127.0.0.1": "answer", FIRST: "answer"},
        right={"is untouched": True, "usable": ["127.0.0.1", FIRST], "pods": BOTH[:1]},
    ),
    Guarded(
        name="70-resolver-on-the-node-itself: on loopback alone",
        source="dnscrypt-proxy",
        files={RESOLV_CONF: "nameserver 127.0.2.1\n"},
        answers={"127.0.2.1": "answer"},
        right={"is untouched": True, "usable": ["127.0.2.1"]},
        poisoned={"names": ["127.0.2.1"]},
    ),
)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_case_comes_out_right(case: Guarded | Booted, tmp_path: Path) -> None:
    """The file, the file for pods, and what is said of them."""
    case.play(tmp_path)
