"""The table of ``dnsguard upstreams``."""

from typing import Any

from dnsguard.candidates import is_served, render
from dnsguard.page import Line, Page

ENTRY: dict[str, Any] = {
    "address": "10.0.0.2",
    "source": "lease",
    "origin": "/var/lib/dhcp/dhclient.eth0.leases:12",
    "seen": 1000.0,
    "in_use": True,
    "refused": None,
    "why_not": None,
    "udp_ms": 1.5,
    "tcp_ms": None,
}
REFUSED = ENTRY | {
    "address": "169.254.25.10",
    "in_use": False,
    "refused": "a cluster address",
    "why_not": "never used: a cluster address",
    "udp_ms": None,
}


def test_each_line_says_who_whence_how_old_and_whether_it_answers() -> None:
    """And the line below why one is not used."""
    text = render({"at": 1000.0 + 7200, "transport": "udp", "upstreams": [ENTRY, REFUSED]})
    head, used, refused, why = (line.text for line in text)
    assert head.split() == ["ADDRESS", "SOURCE", "AGE", "UDP", "TCP", "FROM"]
    assert used.split() == ["*", "10.0.0.2", "lease", "2", "h", "1.5", "ms", "-", ENTRY["origin"]]
    assert refused.split()[0] == "169.254.25.10"
    assert why.strip() == "never used: a cluster address"


def test_a_narrow_window_has_the_last_column_below() -> None:
    """Nothing is cut, and nothing is broken in the middle of a word."""
    origin = "backup: /etc/resolv.conf.7113.2026-03-02@09:14:51~ and where it was before that"
    lines = render(
        {"at": 1000.0, "transport": "udp", "upstreams": [ENTRY | {"origin": origin}]},
        Page(width=60),
    )
    assert max(len(line.text) for line in lines) <= 60
    assert " ".join(line.text.strip() for line in lines).endswith(f"from {origin}")


def test_nobody_known_is_said() -> None:
    """An empty table would look like a fault."""
    assert render({"at": 0.0, "transport": "udp", "upstreams": []}) == (
        Line("no source names any nameserver"),
    )


def test_served_is_who_has_one_that_answers_and_may_be_used() -> None:
    """Cluster DNS that answers is no upstream, and over another transport is no answer."""

    def is_so(*entries: dict[str, Any], transport: str = "udp") -> bool:
        return is_served({"transport": transport, "upstreams": [*entries]})

    over_tcp = ENTRY | {"udp_ms": None, "tcp_ms": 1.0}
    assert is_so(REFUSED, ENTRY)
    assert not is_so(ENTRY, transport="tcp")
    assert is_so(over_tcp, transport="tcp")
    assert not is_so(over_tcp)
    assert not is_so(REFUSED | {"udp_ms": 1.0})
    assert not is_so()
