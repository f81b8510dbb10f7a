"""A small real nameserver, as a process of its own: the upstream, or NodeLocalDNS.

``python3 -m dnsguard.demo.nameserver ADDRESS [RESOLV_CONF]``. It writes "ready" once it
listens, and serves over UDP and TCP until it is killed. With a resolv.conf it is NodeLocalDNS:
names of the cluster are its own, all others go to the first nameserver in that file, as
``forward . /etc/resolv.conf`` does in a pod. Without one it knows everything else.
"""

import socket
import socketserver
import sys
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from dnsguard import terminal
from dnsguard.formats import resolvconf

CLUSTER = dns.name.from_text("cluster.local.")
SERVICE, WORLD = "10.233.0.1", "198.51.100.7"
"""The A record of every name inside, and of every name outside of the cluster."""
TTL = 30
PATIENCE = 0.2
"""Seconds that a forwarded question may take."""


def main() -> None:
    address, *pod_file = sys.argv[1:]
    pods = Path(pod_file[0]) if pod_file else None
    udp = socketserver.ThreadingUDPServer((address, 53), partial(_Datagram, pods))
    tcp = _Tcp((address, 53), partial(_Stream, pods))
    terminal.say("ready")
    terminal.flush()
    Thread(target=tcp.serve_forever).start()
    udp.serve_forever()


class _Tcp(socketserver.ThreadingTCPServer):
    allow_reuse_address = True  # its predecessor was killed, and left connections behind


class _Datagram(socketserver.DatagramRequestHandler):
    def __init__(self, pod_file: Path | None, *request: Any) -> None:  # noqa: ANN401 -- socketserver's
        self._pod_file = pod_file
        super().__init__(*request)

    def handle(self) -> None:
        self.wfile.write(_reply(self.rfile.read(), self._pod_file))


class _Stream(socketserver.StreamRequestHandler):
    def __init__(self, pod_file: Path | None, *request: Any) -> None:  # noqa: ANN401 -- socketserver's
        self._pod_file = pod_file
        super().__init__(*request)

    def handle(self) -> None:
        length = int.from_bytes(self.rfile.read(2), "big")
        reply = _reply(self.rfile.read(length), self._pod_file)
        self.wfile.write(len(reply).to_bytes(2, "big") + reply)


def _reply(wire: bytes, pod_file: Path | None) -> bytes:
    return _world(wire) if pod_file is None else _forward(wire, pod_file)


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
