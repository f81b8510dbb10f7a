"""CoreDNS's Corefile, by itself and in a ConfigMap."""

from ipaddress import ip_address

import pytest

from dnsguard.formats import corefile
from dnsguard.host import yaml_text

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


COREDNS = b"""\
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: coredns
  namespace: kube-system
data:
  Corefile: |
    .:53 {
        errors {
        }
        health {
            lameduck 5s
        }
        ready
        kubernetes cluster.local in-addr.arpa ip6.arpa {
          pods insecure
          fallthrough in-addr.arpa ip6.arpa
        }
        prometheus :9153
        forward . 10.99.0.2 10.99.0.3 {
          prefer_udp
          max_concurrent 1000
        }
        cache 30
        loop
    }
  hosts: |
    # forward . 9.9.9.9
"""
"""/etc/kubernetes/coredns-config.yml, as Kubespray writes it."""


def _upstreams(manifest: bytes) -> list[str]:
    found = corefile.parse_configmap(yaml_text.load(manifest))
    return [str(one.address) for one in corefile.find_upstreams(found)]


def test_a_configmap_is_told() -> None:
    """Each Corefile in it, of which Kubespray's nodelocaldns has two."""
    found = corefile.parse_configmap(yaml_text.load(NODELOCALDNS))
    assert [(one.zones, one.is_default) for one in found] == [
        (("cluster.local",), False),
        (("in-addr.arpa",), False),
        ((".",), True),
        ((".",), True),
    ]
    assert found[3].files == ("/etc/resolv.conf",)
    assert _upstreams(NODELOCALDNS) == _upstreams(COREDNS) == ["10.99.0.2", "10.99.0.3"]


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
    several = ("example.org", "example.net", ".")
    assert [one.zones for one in found] == [several, several, (".",)]
    assert [one.base for one in found] == [".", "corp.example", "."]
    default = [one for one in found if one.is_default]
    assert [len(one.servers) for one in default] == [3, 1]
    assert default[0].servers[2].address == ip_address("fe80::1%eth0")
    assert [one.is_plain for one in default[0].servers] == [False, False, True]


@pytest.mark.parametrize(
    "manifest",
    [
        b'data:\n  Corefile: ".:53 {\\n    forward . 10.0.0.2 \\n}\\n"\nkind: ConfigMap\n',
        b'{"data":{"Corefile":".:53 {\\n    forward . 10.0.0.2\\n}\\n"}}',
        b"kind: Service\n---\ndata:\n  Corefile: |\n    . {\n      forward . 10.0.0.2\n    }\n",
    ],
)
def test_a_configmap_may_be_written_in_other_ways(manifest: bytes) -> None:
    """As kubectl writes it where a line ends in a blank, as JSON, and behind another manifest."""
    assert _upstreams(manifest) == ["10.0.0.2"]


@pytest.mark.parametrize(
    "tree", [None, "Corefile", {}, {"data": []}, {"data": {"Corefile": ["."]}}, [[{}], 1, None]]
)
def test_what_is_no_configmap_forwards_nothing(tree: object) -> None:
    """Whatever the tree is made of."""
    assert corefile.parse_configmap(tree) == ()


def test_a_file_cut_in_half_keeps_what_is_whole() -> None:
    """Wherever it ends, nothing that isn't there is found."""
    whole = b". {\n  forward . 10.99.0.2 10.99.0.3\n}\n"
    for end in range(len(whole)):
        found = corefile.find_upstreams(corefile.parse(whole[:end]))
        assert [str(one.address) for one in found] in (
            [],
            ["10.99.0.2"],
            ["10.99.0.2", "10.99.0.3"],
        )


def test_a_corefile_is_read_with_all_that_it_brings_in() -> None:
    """Snippets, imported files, variables, reverse zones of networks and what is answered here."""
    content = b"""\
(common) {
    errors {
        stacktrace
    }
    forward . {$UPSTREAM} tls://9.9.9.9 {
        except corp.example
    }
}
10.0.0.0/15:5353 {%ZONE%} {
    import common
    import custom/*.override
    kubernetes cluster.local in-addr.arpa {
        pods insecure
        fallthrough in-addr.arpa
    }
    bind 169.254.25.10 lo
}
import custom/*.server
"""
    files = {
        "custom/*.override": [b"hosts {\n  10.0.0.1 x\n  fallthrough\n}\n"],
        "custom/*.server": [b"tls://x.example {\n  forward . 10.0.0.9\n}\n"],
    }
    first, second = corefile.read_blocks(
        content, {"UPSTREAM": "10.0.0.2", "ZONE": "a.example"}, lambda pattern: files[pattern]
    )
    reverse = [("0.10.in-addr.arpa", 5353), ("1.10.in-addr.arpa", 5353)]
    assert list(first.keys) == [*reverse, ("a.example", None)]
    assert first.binds == ("169.254.25.10", "lo")
    (forward,) = first.forwards
    assert forward.servers[0].address == ip_address("10.0.0.2")
    assert forward.excepts == ("corp.example",)
    assert [(one.plugin, one.zones, one.falls) for one in first.local] == [
        ("hosts", ("0.10.in-addr.arpa", "1.10.in-addr.arpa", "a.example"), (".",)),
        ("kubernetes", ("cluster.local", "in-addr.arpa"), ("in-addr.arpa",)),
    ]
    assert second.keys == (("x.example", 853),)


def test_a_snippet_that_imports_itself_comes_to_an_end() -> None:
    """As does a file."""
    corefile.read_blocks(b"(a) {\nimport a\nimport a\n}\n. {\nimport a\n}\n", {})
    corefile.read_blocks(b"import x\n", {}, lambda _: [b"import x\nimport x\n" * 100])
