"""A stand-in for NodeLocalDNS: it knows the cluster's names and forwards the others.

It runs inside the node, as a unit of its own, with Debian's dnspython. Usage:
nameserver.py LISTEN-ADDRESS UPSTREAM-ADDRESS
"""

import socket
import socketserver
import sys
from threading import Thread

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

_API_SERVER = "kubernetes.default.svc.cluster.local."
_API_SERVER_ADDRESS = "10.233.0.1"


class _Udp(socketserver.ThreadingUDPServer):
    daemon_threads = True


class _Tcp(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Datagram(socketserver.DatagramRequestHandler):
    def handle(self) -> None:
        self.wfile.write(_reply(self.rfile.read()))


class _Stream(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        length = int.from_bytes(self.rfile.read(2), "big")
        reply = _reply(self.rfile.read(length))
        self.wfile.write(len(reply).to_bytes(2, "big") + reply)


def _reply(wire: bytes) -> bytes:
    query = dns.message.from_wire(wire)
    name = query.question[0].name.to_text().lower()
    ours = name.endswith("cluster.local.")
    return _cluster_answer(query, name) if ours else _forwarded(wire)


def _cluster_answer(query: dns.message.Message, name: str) -> bytes:
    response = dns.message.make_response(query, recursion_available=True)
    response.flags |= dns.flags.AA
    if name != _API_SERVER:
        response.set_rcode(dns.rcode.NXDOMAIN)
    elif query.question[0].rdtype == dns.rdatatype.A:
        response.answer.append(dns.rrset.from_text(name, 30, "IN", "A", _API_SERVER_ADDRESS))
    return response.to_wire()


def _forwarded(wire: bytes) -> bytes:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as upstream:
        upstream.settimeout(2)
        upstream.connect((sys.argv[2], 53))
        upstream.send(wire)
        return upstream.recv(65535)


if __name__ == "__main__":
    tcp = _Tcp((sys.argv[1], 53), _Stream)
    Thread(target=tcp.serve_forever, daemon=True).start()
    with _Udp((sys.argv[1], 53), _Datagram) as server:
        server.serve_forever()
