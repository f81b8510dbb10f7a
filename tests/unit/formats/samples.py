"""Real files: Debian 12's dhclient.conf and hooks, and what Kubespray makes of them."""

DEBIAN = b"""\
# Configuration file for /sbin/dhclient.
#
# This is a sample configuration file for dhclient. See dhclient.conf's
#	man page for more information about the syntax of this file

option rfc3442-classless-static-routes code 121 = array of unsigned integer 8;

send host-name = gethostname();
request subnet-mask, broadcast-address, time-offset, routers,
	domain-name, domain-name-servers, domain-search, host-name,
	dhcp6.name-servers, dhcp6.domain-search, dhcp6.fqdn, dhcp6.sntp-servers,
	netbios-name-servers, netbios-scope, interface-mtu,
	rfc3442-classless-static-routes, ntp-servers;

#supersede domain-name "fugue.com home.vix.com";
#prepend domain-name-servers 127.0.0.1;
#lease {
#  interface "eth0";
#  option domain-name-servers 127.0.0.1;
#}
"""
"""isc-dhcp-client 4.4.3-P1-2: /etc/dhcp/dhclient.conf, some of its comments left out."""


def _kubespray(*statements: str) -> bytes:
    """Return the file with the block at its top, as Ansible's blockinfile puts it there."""
    block = "\n".join(("# Ansible entries BEGIN", *statements, "# Ansible entries END", ""))
    return block.encode() + DEBIAN


_DOMAINS = (
    'supersede domain-name "cluster.local";',
    'supersede domain-search "default.svc.cluster.local", "svc.cluster.local";',
)
REAL = ("10.99.0.2", "10.99.0.3")
"""What the DHCP server offers."""
KUBESPRAY: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "2.14-2.17 docker_dns": (DEBIAN, REAL),
    "2.14-2.17 host_resolvconf": (
        _kubespray(*_DOMAINS, "supersede domain-name-servers 10.233.0.3;"),
        ("10.233.0.3",),
    ),
    "up to 2.25, early": (_kubespray(*_DOMAINS, "supersede domain-name-servers ;"), REAL),
    "2.18, 2.19": (
        _kubespray(*_DOMAINS, "supersede domain-name-servers 10.233.0.3;"),
        ("10.233.0.3",),
    ),
    "2.20": (
        _kubespray(*_DOMAINS, "supersede domain-name-servers 169.254.25.10, 10.233.0.3;"),
        ("169.254.25.10", "10.233.0.3"),
    ),
    "2.21-2.23": (
        _kubespray(*_DOMAINS, "supersede domain-name-servers 169.254.25.10;"),
        ("169.254.25.10",),
    ),
    "2.24-2.26": (
        _kubespray(*_DOMAINS, "supersede domain-name-servers 169.254.25.10, 10.99.0.2;"),
        ("169.254.25.10", "10.99.0.2"),
    ),
    "2.26, early": (_kubespray(*_DOMAINS, ""), REAL),
    "2.27": (
        _kubespray(
            "supersede domain-name-servers 169.254.25.10,10.99.0.2;",
            "supersede domain-name cluster.local;",
            "supersede domain-search default.svc.cluster.local,svc.cluster.local;",
        ),
        ("169.254.25.10", "10.99.0.2"),
    ),
    "2.28 and later": (
        _kubespray(
            "supersede domain-name-servers 169.254.25.10,10.99.0.2;",
            'supersede domain-name "cluster.local";',
            'supersede domain-search "default.svc.cluster.local","svc.cluster.local";',
        ),
        ("169.254.25.10", "10.99.0.2"),
    ),
    "2.28 and later, systemd-resolved": (
        _kubespray(
            "supersede domain-name-servers 169.254.25.10,127.0.0.53;",
            'supersede domain-name "cluster.local";',
            'supersede domain-search "default.svc.cluster.local","svc.cluster.local";',
        ),
        ("169.254.25.10", "127.0.0.53"),
    ),
}
"""By Kubespray's version: dhclient.conf, and the nameservers that dhclient makes of REAL."""

STATEMENTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "supersede": ("supersede domain-name-servers 1.1.1.1;", ("1.1.1.1",)),
    "supersede, two": ("supersede domain-name-servers 1.1.1.1, 2.2.2.2;", ("1.1.1.1", "2.2.2.2")),
    "without a blank": ("supersede domain-name-servers 1.1.1.1,2.2.2.2;", ("1.1.1.1", "2.2.2.2")),
    "prepend": ("prepend domain-name-servers 1.1.1.1;", ("1.1.1.1", *REAL)),
    "append": ("append domain-name-servers 1.1.1.1;", (*REAL, "1.1.1.1")),
    "default": ("default domain-name-servers 1.1.1.1;", REAL),
    "send": ("send domain-name-servers 1.1.1.1;", REAL),
    "an offered one again": ("prepend domain-name-servers 10.99.0.3;", ("10.99.0.3", *REAL)),
    "the last supersede wins": (
        "supersede domain-name-servers 1.1.1.1; supersede domain-name-servers 2.2.2.2;",
        ("2.2.2.2",),
    ),
    "prepend, then supersede": (
        "prepend domain-name-servers 1.1.1.1; supersede domain-name-servers 2.2.2.2;",
        ("2.2.2.2",),
    ),
    "supersede, then prepend": (
        "supersede domain-name-servers 2.2.2.2; prepend domain-name-servers 1.1.1.1;",
        ("1.1.1.1", "2.2.2.2"),
    ),
    "an interface block": (
        'interface "eth0" { supersede domain-name-servers 1.1.1.1; }',
        ("1.1.1.1",),
    ),
    "another interface's": (
        'interface "eth1" { supersede domain-name-servers 1.1.1.1; }',
        REAL,
    ),
    "a block before a global one wins": (
        (
            'interface "eth0" { supersede domain-name-servers 1.1.1.1; }'
            " supersede domain-name-servers 2.2.2.2;"
        ),
        ("1.1.1.1",),
    ),
    "a block adds to a global one behind it": (
        (
            'interface "eth0" { append domain-name-servers 1.1.1.1; }'
            " supersede domain-name-servers 2.2.2.2;"
        ),
        ("2.2.2.2", "1.1.1.1"),
    ),
    "empty: three more are lost": (
        (
            "supersede domain-name-servers ; retry 1; retry 2; retry 3;"
            " append domain-name-servers 1.1.1.1;"
        ),
        (*REAL, "1.1.1.1"),
    ),
    "empty: the third is lost": (
        "supersede domain-name-servers ; retry 1; retry 2; append domain-name-servers 1.1.1.1;",
        REAL,
    ),
    "empty, in a block: its brace is lost, and the rest of the file is in the block": (
        (
            'interface "eth1" { supersede domain-name-servers ; } retry 1; retry 2; retry 3;'
            " supersede domain-name-servers 1.1.1.1;"
        ),
        REAL,
    ),
    "unquoted: two more are lost": (
        (
            "supersede domain-name cluster.local; retry 1; retry 2;"
            " append domain-name-servers 1.1.1.1;"
        ),
        (*REAL, "1.1.1.1"),
    ),
    "unquoted: the second is lost": (
        "supersede domain-name cluster.local; retry 1; append domain-name-servers 1.1.1.1;",
        REAL,
    ),
    "no comma": ("supersede domain-name-servers 1.1.1.1 2.2.2.2;", REAL),
    "quoted addresses": ('supersede domain-name-servers "1.1.1.1";', REAL),
    "modulo 256": ("supersede domain-name-servers 257.1.1.1;", ("1.1.1.1",)),
    "an octal look": ("supersede domain-name-servers 010.1.1.1;", ("10.1.1.1",)),
    "three numbers": ("supersede domain-name-servers 1.1.1;", REAL),
    "case": ("SuperSede Domain-Name-Servers 1.1.1.1;", ("1.1.1.1",)),
    "with its space": ("supersede dhcp.domain-name-servers 1.1.1.1;", ("1.1.1.1",)),
    "by its code": ("supersede unknown-6 1.1.1.1;", ("1.1.1.1",)),
    "as bytes": ("supersede domain-name-servers = 01:01:01:01;", ("1.1.1.1",)),
    "option at the top is a definition": ("option domain-name-servers 1.1.1.1;", REAL),
    "a comment": ("# supersede domain-name-servers 1.1.1.1;", REAL),
    "a comment within": (
        "supersede # who;\n domain-name-servers 1.1.1.1 # {\n;",
        ("1.1.1.1",),
    ),
    "braces and semicolons in a string": (
        r'supersede host-name "a;}{\";"; supersede domain-name-servers 1.1.1.1;',
        ("1.1.1.1",),
    ),
    "escapes in a string": (
        r'supersede host-name "\141\x62\"\\"; supersede domain-name-servers 1.1.1.1;',
        ("1.1.1.1",),
    ),
    "a semicolon behind a block": (
        'interface "eth0" { retry 1; }; append domain-name-servers 1.1.1.1;',
        REAL,
    ),
    "an unknown option": (
        (
            'supersede wpad "x"; append domain-name-servers 1.1.1.1;'
            " append domain-name-servers 2.2.2.2;"
        ),
        (*REAL, "2.2.2.2"),
    ),
    "an option of its own": (
        'option wpad code 252 = string; supersede wpad "x"; append domain-name-servers 1.1.1.1;',
        (*REAL, "1.1.1.1"),
    ),
    "a missing semicolon": (
        (
            "send host-name = gethostname() supersede domain-name-servers 1.1.1.1;"
            " retry 1; append domain-name-servers 2.2.2.2;"
        ),
        REAL,
    ),
    "a lease": (
        'lease { interface "eth0"; fixed-address 10.99.0.60; option domain-name-servers 1.1.1.1; }',
        REAL,
    ),
    "an alias": (
        (
            'alias { interface "eth0"; fixed-address 192.5.5.213;'
            " option subnet-mask 255.255.255.255; option domain-name-servers 1.1.1.1; }"
        ),
        REAL,
    ),
    "a condition that fails": (
        'if option host-name = "nobody" { supersede domain-name-servers 1.1.1.1; }',
        REAL,
    ),
    "not for us": ("on expiry { supersede domain-name-servers 1.1.1.1; }", REAL),
    "not asked for": ("request subnet-mask, routers;", ()),
    "not asked for, default": (
        "request subnet-mask, routers; default domain-name-servers 1.1.1.1;",
        ("1.1.1.1",),
    ),
    "not asked for, prepend": (
        "request subnet-mask, routers; prepend domain-name-servers 1.1.1.1;",
        ("1.1.1.1",),
    ),
    "asked for in addition": (
        "request subnet-mask; also request domain-name-servers;",
        REAL,
    ),
    "not asked for on this interface": (
        'interface "eth0" { request subnet-mask; }',
        (),
    ),
    "a block takes over what was asked before": (
        'request subnet-mask; interface "eth0" { retry 1; } also request domain-name-servers;',
        (),
    ),
}
"""A dhclient.conf for each form of statement, and what dhclient makes of REAL on eth0."""
