"""Debian's own dhclient-script decides whether ours makes the file that it makes."""

from collections.abc import Iterator, Mapping
from itertools import product

import pytest
from lab.dhclient import Machine
from lab.dhcp import network

from dnsguard.formats.dhclient import records as told
from dnsguard.formats.dhclient import script

pytestmark = pytest.mark.integration


FILES = (
    b"",
    b"search old.example\nnameserver 192.0.2.1\n nameserver 192.0.2.2\n#nameserver 192.0.2.3\n",
    b"NameServer\t1.1.1.1\nnameserverless\nwwnameserver 1\n\\wnameserver 2\nWnameserver 3",
    b"nameserver 1.1.1.1\r\nnameserver \xff\n\x00nameserver 2.2.2.2\nnameserver\x003.3.3.3\n\n",
    b"options ndots:5\n",
)
DOMAINS = ("", "a.b", "a.b.", "a b", "c  a.b ", " a.b")
SEARCHES = ("", "a.b", "a.b. x.", "x. a.b", "x y z", "a b")
SERVERS4 = ("", "1.1.1.1", "1.1.1.1 10.0.0.1 9.9.9.9 8.8.8.8")
SERVERS_6 = ("", "::1 fe80::1 fe80:1::1", "::ffff:1.2.3.4 ::1.2.3.4 2001:db8::1")
_RUN = (
    "eval \"$(sed -n '/^wait_for_rw()/,/^}/p; /^make_resolv_conf()/,/^}/p' /sbin/dhclient-script)\""
    " && make_resolv_conf"
)
_KEYS = {
    "domain_name": "domain",
    "domain_search": "search",
    "domain_name_servers": "nameservers",
    "dhcp6_domain_search": "search",
    "dhcp6_name_servers": "nameservers",
}


def _record(reason: str, values: Mapping[str, str]) -> bytes:
    """Return what our hook would write of these variables."""
    lines = [f"{_KEYS[name]} {value}" for name, value in values.items()]
    header = ["dnsguard-dhclient 1", f"reason {reason}", "interface eth0"]
    return "\n".join((*header, *lines)).encode()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with network() as (node, _):
        made = Machine(tmp_path_factory.mktemp("script"), node)
        yield made
        made.close()


@pytest.mark.parametrize("current", FILES)
def test_the_real_script_makes_the_same_file(machine: Machine, current: bytes) -> None:
    """Debian's own make_resolv_conf, with every combination of what it may be told."""
    four = [
        {"domain_name": domain, "domain_search": search, "domain_name_servers": servers}
        for domain, search, servers in product(DOMAINS, SEARCHES, SERVERS4)
    ]
    six = [
        {"dhcp6_domain_search": search, "dhcp6_name_servers": servers}
        for search, servers in product(SEARCHES, SERVERS_6)
    ]
    for values in (*four, *six):
        machine.file.write_bytes(current)
        environ = [f"new_{name}={value}" for name, value in values.items() if value]
        done = machine.run("env", "interface=eth0", *environ, "sh", "-c", _RUN)
        assert done.returncode == 0, done.stderr
        reason = "BOUND6" if values in six else "BOUND"
        record = told.parse(_record(reason, values))
        assert record is not None
        found = script.make_resolv_conf(record, current)
        assert (current if found is None else found) == machine.file.read_bytes(), values
