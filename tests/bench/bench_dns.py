"""The nameservers of the benches: real DNS over UDP and TCP that knows next to nothing.

usage: bench_dns.py ADDRESS [--cluster]

It prints one line when it listens. Every name exists and has one A record, save those of a
cluster, which a real upstream doesn't know and NodeLocalDNS (--cluster) does.
"""

import asyncio
import sys
from contextlib import suppress
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

CLUSTER = dns.name.from_text("cluster.local.")


KUBERNETES = "10.233.0.1"


def answer(query: dns.message.Message, *, knows_cluster: bool) -> dns.message.Message:
    response = dns.message.make_response(query, recursion_available=True)
    for question in query.question:
        is_clusters = question.name.is_subdomain(CLUSTER)
        if is_clusters and not knows_cluster:
            response.set_rcode(dns.rcode.NXDOMAIN)
        elif question.rdtype == dns.rdatatype.A:
            address = KUBERNETES if is_clusters else "192.0.2.1"
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "A", address))
        elif question.rdtype == dns.rdatatype.NS:
            response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "NS", "ns.test."))
    return response


def reply(wire: bytes) -> bytes | None:
    try:
        query = dns.message.from_wire(wire)
    except dns.exception.DNSException:
        return None
    return answer(query, knows_cluster="--cluster" in sys.argv).to_wire()


class Udp(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own UDP transport is none by inheritance in Python 3.11.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if (wire := reply(data)) is not None:
            self._transport.sendto(wire, addr)


async def serve_tcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer until whoever asks ends it, as CoreDNS does."""
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            length = int.from_bytes(await reader.readexactly(2), "big")
            if (wire := reply(await reader.readexactly(length))) is not None:
                writer.write(len(wire).to_bytes(2, "big") + wire)
    writer.close()


async def serve(address: str) -> None:
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Udp, (address, 53))
    server = await asyncio.start_server(serve_tcp, address, 53)
    print("listening", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
