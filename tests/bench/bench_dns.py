"""The upstream of the benches: a real DNS server over UDP that knows next to nothing.

usage: bench_dns.py ADDRESS

It prints one line when it listens. Every name exists and has one A record, save those of a
cluster, which a real upstream doesn't know.
"""

import socket
import sys

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

CLUSTER = dns.name.from_text("cluster.local.")


def answer(query: dns.message.Message) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True)
    for question in query.question:
        if question.name.is_subdomain(CLUSTER):
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A:
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", "192.0.2.1"))
        elif question.rdtype == dns.rdatatype.NS:
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "NS", "ns.test."))
    return response


def main() -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((sys.argv[1], 53))
    print("listening", flush=True)
    while True:
        wire, client = server.recvfrom(4096)
        try:
            response = answer(dns.message.from_wire(wire))
        except dns.exception.DNSException:
            continue
        server.sendto(response.to_wire(), client)


if __name__ == "__main__":
    main()
