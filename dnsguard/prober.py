"""Put one of the plan's queries to a server: over UDP, TCP or HTTP."""

import secrets

from dnsguard.core.answers import Answer, Probe, ProbeKind, combine
from dnsguard.core.policy import Policy
from dnsguard.core.probes import wording
from dnsguard.host import health_url, probe


async def ask(query: Probe, policy: Policy) -> Answer:
    """Ask once and return what came of it, after ``policy.timeout`` seconds at most."""
    if query.leg.ask is ProbeKind.HTTP:
        return await health_url.ask(query.address, policy.health_url, timeout=policy.timeout)
    question = wording(query, policy, secrets.token_hex(8))
    timeout, tcp = policy.timeout, query.leg.tcp
    return combine(await probe.ask(query.address, question, timeout=timeout, tcp=tcp), question)
