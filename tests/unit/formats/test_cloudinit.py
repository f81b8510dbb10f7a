"""cloud-init's network data, in JSON and in the YAML that it writes."""

import json

import pytest

from dnsguard.formats import cloudinit
from dnsguard.host import yaml_text

NETPLAN = b"""\
# This file is generated from information provided by the datasource.
network:
    version: 2
    ethernets:
        eth0:
            addresses:
            - 10.99.0.58/24
            match:
                macaddress: 52:54:00:12:34:56
            nameservers:
                addresses:
                - 10.99.0.2
                - "2001:db8::53"
                search:
                - real.example
            set-name: eth0
        eth1: {dhcp4: true, nameservers: {addresses: [10.99.0.3, fe80::1%eth1]}}
"""
"""/etc/netplan/50-cloud-init.yaml"""
VERSION1 = b"""\
version: 1
config:
  - type: physical
    name: eth0
    subnets:
      - type: static
        address: 10.99.0.58
        dns_nameservers: [10.99.0.2,
          '10.99.0.3']   # both
        dns_search: [real.example]
  - type: nameserver
    address:
    - 10.99.0.4
    interface: eth1
"""
OPENSTACK = {
    "links": [{"id": "tap1", "type": "bridge", "ethernet_mac_address": "fa:16:3e:00:00:01"}],
    "networks": [
        {
            "id": "network0",
            "type": "ipv4",
            "link": "tap1",
            "services": [{"type": "dns", "address": "10.99.0.3"}],
        }
    ],
    "services": [{"type": "dns", "address": "10.99.0.2"}, {"type": "ntp", "address": "9.9.9.9"}],
}


def _told(found: tuple[cloudinit.Nameserver, ...]) -> list[tuple[str, str | None]]:
    return [(str(one.address), one.interface) for one in found]


def test_netplans_format_is_read() -> None:
    """Version 2, block and flow style."""
    assert _told(cloudinit.parse(yaml_text.load(NETPLAN))) == [
        ("10.99.0.2", "eth0"),
        ("2001:db8::53", "eth0"),
        ("10.99.0.3", "eth1"),
        ("fe80::1%eth1", "eth1"),
    ]


def test_version_1_is_read() -> None:
    """Nameservers of a subnet and those that stand by themselves."""
    assert _told(cloudinit.parse(yaml_text.load(VERSION1))) == [
        ("10.99.0.2", "eth0"),
        ("10.99.0.3", "eth0"),
        ("10.99.0.4", "eth1"),
    ]


def test_openstacks_data_is_read() -> None:
    """Its services of type dns, wherever they hang."""
    content = json.dumps({"ds": {"network_json": OPENSTACK}}).encode()
    assert _told(cloudinit.parse_json(content)) == [("10.99.0.3", None), ("10.99.0.2", None)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[" * 100_000,
        b'{"nameservers": [1, null, {"addresses": 5}], "type": "dns", "address": {}}',
        b'{"nameservers": {"addresses": "nonsense"}}',
        b"\xff\xfe",
        b'{"a": ' * 500 + b"1" + b"}" * 500,
        b"9" * 10_000,
        b'{"nameservers": ["10.0.0.2"]}' + b" " * cloudinit.MAX_BYTES,
    ],
)
def test_what_is_no_network_data_names_nothing(content: bytes) -> None:
    """Neither does a file that is too long."""
    assert cloudinit.parse_json(content) == ()
