"""Ask a server's health URL, as kubelet does: any status from 200 to 399 is health.

A request by hand, and no more of HTTP/1.1 than its status line (RFC 9112, 4): http.client
blocks, and a thread that waits for a hung server would put off the daemon's stop.
"""

import asyncio
import time
from urllib.parse import urlsplit

from dnsguard.core.answers import Answer, Outcome, ProbeKind
from dnsguard.formats.address import IPAddress
from dnsguard.host.probe import unreachable

_PORT = 80
_LONGEST = 4096
"""Bytes of the status line that are read."""


async def ask(
    address: IPAddress,
    url: str,
    *,
    timeout: float,  # noqa: ASYNC109 - a lapsed timeout is an Answer here
) -> Answer:
    """Ask once; the answer is about ``address``, whatever host the URL names."""
    started = time.monotonic()
    outcome, rtt = Outcome.FAILED, None
    try:
        async with asyncio.timeout(timeout):
            status = await _read_status(url)
        if status is None:
            outcome, detail = Outcome.MALFORMED, "says no HTTP"
        elif 200 <= status < 400:
            outcome, detail, rtt = Outcome.ANSWERED, f"says {status}", time.monotonic() - started
        else:
            detail = f"says {status}"
    except TimeoutError:
        outcome, detail = Outcome.TIMED_OUT, f"gives no answer in {timeout:g} s"
    except OSError as error:
        outcome, detail = Outcome.UNREACHABLE, unreachable(error)
    return Answer(
        address=address,
        outcome=outcome,
        rtt=rtt,
        detail=detail,
        at=time.monotonic(),
        kind=ProbeKind.HTTP,
    )


async def _read_status(url: str) -> int | None:
    """Return the status code, None where the answer has none.

    :raises OSError: no connection, or it broke.
    """
    parts = urlsplit(url)
    target = f"{parts.path or '/'}{'?' * bool(parts.query)}{parts.query}"
    reader, writer = await asyncio.open_connection(
        parts.hostname, parts.port or _PORT, limit=_LONGEST
    )
    try:
        request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
        writer.write(request.encode())
        line = (await reader.readline()).split()
    except ValueError:  # a line without an end
        return None
    finally:
        writer.close()
    is_http = len(line) > 1 and line[0].startswith(b"HTTP/1.") and line[1].isdigit()
    return int(line[1]) if is_http else None
