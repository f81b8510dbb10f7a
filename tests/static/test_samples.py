"""The documents' samples agree with each other and with the code that makes one of another.

That they are what a node says is for the boot ring (tests/boot/test_samples.py).
"""

import json
import re
import shlex
import time

import pytest
from lab.samples import EVENTS, FILE, JOURNAL

from dnsguard.commands import events
from dnsguard.formats import guarded_resolvconf, resolvconf
from static.manual import page, section


def _entries() -> list[bytes]:
    """Return the journal's lines of dnsguard as journalctl tells them to ``dnsguard events``."""
    found = []
    for line in JOURNAL:
        told = re.match(r"(.{15}) \w+ dnsguard\[\d+\]: (\w+) ?(.*)", line)
        if told is None:
            continue  # systemd's own
        at = time.mktime(time.strptime(f"2026 {told[1]}", "%Y %b %d %H:%M:%S"))
        fields = dict(word.split("=", 1) for word in shlex.split(told[3]))
        own = {f"DNSGUARD_{key.upper()}": value for key, value in fields.items()}
        entry = {"__REALTIME_TIMESTAMP": f"{at:.0f}000000", "DNSGUARD_EVENT": told[2], **own}
        found.append(json.dumps(entry).encode())
    return found


def test_the_events_are_those_of_the_journal() -> None:
    """``dnsguard events`` makes README.md's one sample of the other.

    A moment is a second here: a sample taken across one is to be taken anew.
    """
    moments = events._moments(events._read(iter(_entries())))
    told = [
        time.strftime("%H:%M:%S  ", time.localtime(entry.at)) + sentence
        for moment in moments
        for entry, sentence in events.read(moment)
    ]
    assert told == EVENTS


def _shown(page_name: str, within: str) -> str:
    """Return the first literal display of a manual's section."""
    found = re.search(
        r"^\.Bd -literal[^\n]*\n(.*?)^\.Ed$",
        section(page(page_name), within),
        re.MULTILINE | re.DOTALL,
    )
    assert found is not None
    return found[1]


@pytest.mark.parametrize(
    "sample", ["\n".join(FILE), _shown("dnsguard.8", "THE FILE")], ids=["README", "dnsguard.8"]
)
def test_a_guarded_file_is_one(sample: str) -> None:
    """Taken apart it is the poison, and guarded again the same."""
    guarded = sample.encode()
    foreign = guarded_resolvconf.unguard(guarded)
    assert [*map(str, resolvconf.read_addresses(foreign))] == ["169.254.25.10"]
    assert guarded_resolvconf.guard(foreign, resolvconf.read_addresses(guarded)) == guarded


def test_the_line_for_a_link_is_the_one_that_is_read() -> None:
    """As dnsguard(8) has it, in the place of a network manager's link."""
    (line,) = re.findall(r"^\.Dl (# in the place.*)", page("dnsguard.8"), re.MULTILINE)
    assert guarded_resolvconf.read_link_marker(line.encode()) == "../run/NetworkManager/resolv.conf"
