"""Kubespray's Corefiles, for the chain of the tests (:mod:`lab.chain`)."""

from lab.guard import NODELOCAL, UPSTREAM

CLUSTER_DNS = "10.233.0.3"
INSIDE = "kubernetes.default.svc.cluster.local."
OUTSIDE = "www.example.org."
SERVICE, WORLD = "10.233.0.1", "198.51.100.7"
"""What the one and the other name resolve to."""
NODELOCAL_COREFILE = f"""
cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {{
    errors
    cache {{
        success 9984 30
        denial 9984 5
    }}
    reload
    loop
    bind {NODELOCAL}
    forward . {CLUSTER_DNS} {{
        force_tcp
    }}
    prometheus :9253
    health {NODELOCAL}:9254
}}
.:53 {{
    errors
    cache 30
    reload
    loop
    bind {NODELOCAL}
    forward . /etc/resolv.conf
    prometheus :9253
}}
"""
CLUSTER_COREFILE = f"""
cluster.local:53 {{
    errors
    template IN A {{
        match ^kubernetes[.]default[.]svc[.]cluster[.]local[.]$
        answer "{{{{ .Name }}}} 5 IN A {SERVICE}"
        fallthrough
    }}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
    bind {CLUSTER_DNS}
}}
.:53 {{
    errors
    health :8080
    forward . /etc/resolv.conf
    loop
    cache 30
    reload
    bind {CLUSTER_DNS}
}}
"""
UPSTREAM_COREFILE = f"""
cluster.local:53 {{
    template ANY ANY {{
        rcode NXDOMAIN
    }}
    bind {UPSTREAM}
}}
.:53 {{
    template IN A {{
        answer "{{{{ .Name }}}} 30 IN A {WORLD}"
    }}
    template IN NS . {{
        match ^[.]$
        answer ". 1 IN NS a.root-servers.net."
        fallthrough
    }}
    template ANY ANY {{
        rcode NOERROR
    }}
    bind {UPSTREAM}
}}
"""


def make_second(corefile: str) -> str:
    """Return the secondary's Corefile: what listens without SO_REUSEPORT, elsewhere."""
    return corefile.replace(":9253", ":9255").replace(":9254", ":9256")
