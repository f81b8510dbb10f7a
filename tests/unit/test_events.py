"""What happened, for people: one sentence for one thing, whatever the journal has of it."""

import json
from collections.abc import Mapping

import pytest

from dnsguard import events, sentences
from dnsguard.core.kinds import MESSAGE_IDS

BECAUSE = {
    "nodelocal": "silent: nothing listens on 169.254.25.10",
    "handover": "waits until NodeLocalDNS is healthy",
    "upstream": "verified",
    "file": "names 169.254.25.10 (cluster address)",
}
SERVERS = {"nameservers": "192.0.2.1"}


def _line(at: float, event: str, **fields: str) -> bytes:
    own = {f"DNSGUARD_{key.upper()}": value for key, value in fields.items()}
    told = {"__REALTIME_TIMESTAMP": str(int(at * 1e6)), "PRIORITY": "6", "MESSAGE": event}
    return json.dumps({**told, "DNSGUARD_EVENT": event, "DNSGUARD_SUMMARY": "x", **own}).encode()


def _told(*lines: bytes | None) -> list[list[str]]:
    moments = events._moments(events._read(iter(lines)))
    return [[sentence for _, sentence in events.told(moment)] for moment in moments]


def test_one_switch_is_one_sentence() -> None:
    """The file, the mode and the file for pods are written within one moment."""
    assert _told(
        _line(1.0, "resolv_conf_written", result="done", **SERVERS, **BECAUSE),
        _line(1.001, "mode_changed", mode="guarding", **SERVERS, **BECAUSE),
        _line(1.002, "pod_file_written", **SERVERS),
        _line(9.0, "mode_changed", mode="handed-over", nameservers="169.254.25.10 192.0.2.1"),
    ) == [
        ["guarding: NodeLocalDNS failing: nothing listens on 169.254.25.10; resolv.conf 192.0.2.1"],
        ["handed-over: NodeLocalDNS answers; resolv.conf 169.254.25.10 192.0.2.1"],
    ]


def test_one_repair_is_one_sentence() -> None:
    """With who it was, as far as that is known."""
    written = _line(1.0, "resolv_conf_written", result="done", **SERVERS, **BECAUSE)
    known = _line(1.0, "resolv_conf_trampled", writer="dhclient", evidence="its hook", tramples="1")
    unknown = _line(1.0, "resolv_conf_trampled", writer="unknown", evidence="none", tramples="1")
    overwritten = "/etc/resolv.conf was overwritten"
    assert _told(written, known, None, written, unknown) == [
        [f"{overwritten} by dhclient (its hook); repaired: resolv.conf 192.0.2.1"],
        [f"{overwritten} (writer unknown); repaired: resolv.conf 192.0.2.1"],
    ]


@pytest.mark.parametrize(
    ("file", "result", "expected"),
    [
        ("names 192.0.2.7", "done", "before, it named 192.0.2.7"),
        ("names no nameserver", "done", "before, it named no nameserver"),
        ("missing: No such file", "done", "before, it was missing: No such file"),
        ("names 1.1.1.1", "link-replaced", "named 1.1.1.1; a file is in the place of the link"),
        ("names 1.1.1.1", "link-restored", "named 1.1.1.1; the link is back in its place"),
    ],
)
def test_a_write_tells_what_was_before(file: str, result: str, expected: str) -> None:
    """In the past tense, and what became of a manager's link."""
    ((said,),) = _told(_line(1.0, "resolv_conf_written", result=result, file=file, **SERVERS))
    assert said.startswith("resolv.conf 192.0.2.1; before, it ")
    assert said.endswith(expected)


def test_a_hold_is_one_sentence() -> None:
    """For how long, by whom."""
    assert _told(
        _line(1.0, "resolv_conf_written", result="done", **SERVERS, **BECAUSE),
        _line(1.0, "mode_changed", mode="held", **SERVERS, **BECAUSE),
        _line(1.1, "hold_set", hold="upstream", by="root", seconds="1800"),
    ) == [["held to upstream by root for 30 min; resolv.conf 192.0.2.1"]]


def test_a_storm_is_told_while_it_lasts() -> None:
    """A moment has an end, though the next line comes at once."""
    lines = [_line(n / 10, "pod_file_written", **SERVERS) for n in range(20)]
    assert len(_told(*lines)) > 3


@pytest.mark.parametrize("event", MESSAGE_IDS)
def test_every_event_is_a_sentence(event: str) -> None:
    """Without its fields, too, as from a daemon of another version."""
    assert sentences.summary(event, {}).replace(" ", "").isprintable()
    assert event not in sentences._SENTENCES or "_" not in sentences.summary(event, {})
    assert set(sentences._SENTENCES) == set(MESSAGE_IDS)


@pytest.mark.parametrize(
    ("event", "fields", "expected"),
    [
        ("mode_changed", {"mode": "held"}, "To end it: dnsguard release"),
        ("mode_changed", {"mode": "handed-over", **BECAUSE}, "Nothing to do."),
        ("mode_changed", {"mode": "guarding", **BECAUSE}, "Look at its pod"),
        ("upstream_changed", {"upstream": "none: x"}, "Name one in upstream.servers"),
        ("upstream_changed", {"upstream": "verified"}, "Nothing to do."),
        ("resolv_conf_written", {"result": "link-replaced"}, "symbolic link"),
        ("started", {}, ""),
    ],
)
def test_the_catalog_speaks_of_the_case(
    event: str, fields: Mapping[str, str], expected: str
) -> None:
    """By a field, since the words of an entry are the same for all of its kind."""
    assert expected in sentences.advice(event, fields)


def test_json_is_as_the_journal_has_it() -> None:
    """Every entry an object, without what is there for the catalog."""
    (event,) = (one for one in events._read(iter([_line(1.5, "started", version="1")])) if one)
    assert event == {
        "at": 1.5,
        "event": "started",
        "level": "info",
        "message": "started",
        "fields": {"version": "1"},
    }
