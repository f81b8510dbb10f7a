"""CoreDNS's Corefile, by itself and in a ConfigMap."""

from ipaddress import ip_address

from dnsguard.core.sources import corefile

NODELOCALDNS = b"""\
apiVersion: v1
kind: ConfigMap
metadata:
  name: nodelocaldns
  namespace: kube-system
  labels:
    addonmanager.kubernetes.io/mode: EnsureExists

data:
  Corefile: |
    cluster.local:53 {
        errors
        cache {
            success 9984 30
            denial 9984 5
        }
        reload
        loop
        bind 169.254.25.10
        forward . 10.233.0.3 {
            force_tcp
        }
        prometheus :9253
        health 169.254.25.10:9254
    }
    in-addr.arpa:53 {
        forward . 10.233.0.3 {
            force_tcp
        }
    }
    .:53 {
        errors
        cache 30
        bind 169.254.25.10
        forward . 10.99.0.2 dns://10.99.0.3:53 {
          prefer_udp
        }
        prometheus :9253
    }
  Corefile-second: |
    .:53 {
        forward . /etc/resolv.conf
    }
"""
"""/etc/kubernetes/nodelocaldns-config.yml, as Kubespray writes it."""


def test_a_configmap_is_told() -> None:
    """Each Corefile in it, with the lines of the whole file."""
    found = corefile.parse(NODELOCALDNS)
    assert [(one.zone, one.line, one.is_default) for one in found] == [
        ("cluster.local", 20, False),
        ("in-addr.arpa", 27, False),
        (".", 35, True),
        (".", 42, True),
    ]
    assert found[3].files == ("/etc/resolv.conf",)
    assert [str(one.address) for one in corefile.upstreams(NODELOCALDNS)] == [
        "10.99.0.2",
        "10.99.0.3",
    ]


def test_a_plain_corefile_is_told() -> None:
    """As kubelet mounts it, with comments, several zones, ports and TLS."""
    found = corefile.parse(
        b"# forward . 1.1.1.1\n"
        b"(snippet) {\n  log\n}\n"
        b"example.org, Example.NET.:5353\n dns://.:53 {  # the rest\n"
        b"  kubernetes cluster.local {\n    forward . 9.9.9.9\n  }\n"
        b'  forward . tls://1.1.1.1 "2.2.2.2:5353" fe80::1%eth0 ns.example # 3.3.3.3\n'
        b"  forward corp.example 10.0.0.9\n"
        b"}\n"
        b"tls://. {\n  proxy . 8.8.8.8\n}\n"
    )
    assert [one.zone for one in found] == [
        "example.org",
        "example.net",
        ".",
        "example.org",
        "example.net",
        ".",
        ".",
    ]
    default = [one for one in found if one.is_default]
    assert [len(one.servers) for one in default] == [3, 1]
    assert default[0].servers[2].address == ip_address("fe80::1%eth0")
    assert [one.is_plain for one in default[0].servers] == [False, False, True]


def test_a_configmap_may_hold_a_string() -> None:
    """As kubectl writes it where a line ends in a blank, and as JSON."""
    for text in (
        b'data:\n  Corefile: ".:53 {\\n    forward . 10.0.0.2 \\n}\\n"\nkind: ConfigMap\n',
        b'{"data":{"Corefile":".:53 {\\n    forward . 10.0.0.2\\n}\\n"}}',
    ):
        assert [str(one.address) for one in corefile.upstreams(text)] == ["10.0.0.2"]


def test_a_file_cut_in_half_keeps_what_is_whole() -> None:
    """Wherever it ends, nothing that isn't there is found."""
    whole = set(corefile.upstreams(NODELOCALDNS))
    cut = NODELOCALDNS.index(b"dns://10.99.0.3")
    assert [str(one.address) for one in corefile.upstreams(NODELOCALDNS[:cut])] == ["10.99.0.2"]
    for end in range(0, NODELOCALDNS.index(b"10.99.0.2"), 50):
        assert not set(corefile.upstreams(NODELOCALDNS[:end])) - whole
