"""A small real nameserver, as a process of its own: the upstream, or NodeLocalDNS.

``python3 -m dnsguard.demo.nameserver ADDRESS [RESOLV_CONF]``. It writes "ready" once it
listens, and serves over UDP until it is killed. With a resolv.conf it is NodeLocalDNS:
names of the cluster are its own, all others go to the first nameserver in that file, as
``forward . /etc/resolv.conf`` does in a pod. Without one it knows everything else.
"""

import socket
import sys
from pathlib import Path

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from dnsguard.core import resolvconf

CLUSTER = dns.name.from_text("cluster.local.")
SERVICE, WORLD = "10.233.0.1", "198.51.100.7"
"""The A record of every name inside, and of every name outside of the cluster."""
TTL = 30
PATIENCE = 0.2
"""Seconds that a forwarded question may take."""


def main() -> None:
    address, *pod_file = sys.argv[1:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            wire, peer = server.recvfrom(4096)
            reply = _forward(wire, Path(pod_file[0])) if pod_file else _world(wire)
            server.sendto(reply, peer)


def _world(wire: bytes) -> bytes:
    query = dns.message.from_wire(wire)
    if _is_of_cluster(query):
        reply = dns.message.make_response(query)
        reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply.to_wire()
    return _answer(query, WORLD)


def _forward(wire: bytes, pod_file: Path) -> bytes:
    query = dns.message.from_wire(wire)
    if _is_of_cluster(query):
        return _answer(query, SERVICE)
    upstream = resolvconf.nameservers(pod_file.read_bytes())[0].address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside:
        outside.settimeout(PATIENCE)
        outside.connect((str(upstream), 53))
        outside.send(wire)
        try:
            return outside.recv(4096)
        except OSError:
            reply = dns.message.make_response(query)
            reply.set_rcode(dns.rcode.SERVFAIL)
            return reply.to_wire()


def _is_of_cluster(query: dns.message.Message) -> bool:
    return query.question[0].name.is_subdomain(CLUSTER)


def _answer(query: dns.message.Message, address: str) -> bytes:
    reply = dns.message.make_response(query)
    asked = query.question[0]
    if asked.rdtype == dns.rdatatype.A:
        reply.answer.append(dns.rrset.from_text(asked.name, TTL, "IN", "A", address))
    return reply.to_wire()


if __name__ == "__main__":
    main()
