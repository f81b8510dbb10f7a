"""Whatever the size of a file, and whatever is in it: an answer, and soon."""

import time
from collections.abc import Callable
from functools import lru_cache

import pytest

from dnsguard.formats import (
    cloudinit,
    corefile,
    dhcp,
    dhcpcd,
    forwarders,
    ifupdown,
    networkd,
    networkmanager,
    shell_variables,
)
from dnsguard.formats.dhclient import conf, hooks, leases
from dnsguard.host import yaml_text
from unit.formats.samples import DEBIAN, KUBESPRAY
from unit.formats.test_cloudinit import NETPLAN
from unit.formats.test_corefile import NODELOCALDNS
from unit.formats.test_dhclient_hooks import KUBESPRAY as HOOK
from unit.formats.test_dhclient_leases import HONEST

SIZE = 10 << 20
BOUND = 0.1
"""Seconds of this thread, the best of three: a loaded machine is no failure."""

READERS: dict[str, Callable[[bytes], object]] = {
    "conf": conf.parse,
    "leases": leases.parse,
    "hooks": hooks.find_writes,
    "ifupdown": ifupdown.parse,
    "networkd network": networkd.parse_network,
    "networkmanager": networkmanager.parse,
    "networkmanager device": networkmanager.parse_device,
    "networkmanager connection": networkmanager.parse_connection,
    "corefile": corefile.parse,
    "cloudinit json": cloudinit.parse_json,
    "cloudinit yaml": lambda content: cloudinit.parse(yaml_text.load(content)),
    "dhcp": dhcp.decode,
    "dhcpcd": dhcpcd.parse_lease6,
    "dhcpcd conf": dhcpcd.parse_conf,
    "dnsmasq": forwarders.parse_dnsmasq,
    "unbound": forwarders.parse_unbound,
    "shell": lambda content: shell_variables.find_nameservers(content, "DNS", "IPV4DNS0"),
}
PIECES = {
    "leases": HONEST,
    "conf": b"".join(content for content, _ in KUBESPRAY.values()) + DEBIAN,
    "hook": HOOK,
    "corefile": NODELOCALDNS,
    "netplan": NETPLAN,
    "interfaces": b"iface eth0 inet static\n  dns-nameservers 1.1.1.1 2.2.2.2\n",
    "ini": b"[Network]\nDNS=1.1.1.1 8.8.8.8:53%eth0#x\n",
    "ini, one value": b"DNS=1.1.1.1 \\\n",
    "static": b"static domain_name_servers=1.1.1.1 2.2.2.2\n",
    "static, one line": b"static domain_name_servers= 1.1.1.1",
    "dnsmasq": b"server=1.1.1.1@eth0#53\n",
    "unbound": b"forward-zone:\nname: .\nforward-addr: 1.1.1.1@53\n",
    "shell": b"IPV4DNS0='1.1.1.1 2.2.2.2'\n",
    "json": b'{"nameservers": [',
    "include": b'include "x";',
    "NUL": b"\0",
    "blank": b" ",
    "line": b"\n",
    "joined": b"\\\n",
    "semicolon": b";",
    "brace": b"{",
    "bracket": b"[",
    "parenthesis": b"resolv $(",
    "quote": b'"',
    "quoted quote": b'"\\',
    "expansion": b"resolv ${a:-",
    "document": b"resolv <<a ",
    "block": b"lease {\n",
    "condition": b"if x {",
    "comment": b"#",
    "item": b"- ",
    "word": b"a",
}


@lru_cache(maxsize=1)  # the readers of a piece follow each other
def _large(piece: bytes) -> bytes:
    return (piece * (SIZE // len(piece) + 1))[:SIZE]


def _takes_no_time(read: Callable[[], object]) -> bool:
    for _ in range(3):
        start = time.thread_time()
        read()
        if time.thread_time() - start < BOUND:
            return True
    return False


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("piece", PIECES)
def test_ten_megabytes_take_no_time(reader: str, piece: str) -> None:
    """What is too much is cut off by each reader's rule, and nothing grows faster than its input."""
    content = _large(PIECES[piece])
    assert _takes_no_time(lambda: READERS[reader](content))


@pytest.mark.parametrize("piece", ["include", "conf"])
def test_ten_megabytes_that_include_themselves_take_no_time(piece: str) -> None:
    """The bounds hold for all files together."""
    content = PIECES["include"] + _large(PIECES[piece])
    assert _takes_no_time(lambda: conf.parse(content, {"x": content}))
