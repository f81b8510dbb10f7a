"""Lines for the journal, written by structlog.

Under systemd each is an entry with fields of its own (DNSGUARD_EVENT=, DNSGUARD_MODE=, a
MESSAGE_ID that the catalog explains); its text is the line that goes to stderr elsewhere.
Where python3-systemd is missing the level goes in front of that, as sd-daemon(3) wants it.
On a terminal the time stands in front.
"""

import math
import re
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog

from dnsguard import page, terminal
from dnsguard.host.journal import Fields, Outbox, can_send, is_journal
from dnsguard.reporting import sentences
from dnsguard.reporting.events import Event, Level, Repeats
from dnsguard.reporting.message_ids import MESSAGE_IDS

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}
"""syslog(3)."""
_LEVELS = {Level.DEBUG: 10, Level.INFO: 20, Level.WARNING: 30, Level.ERROR: 40}
LONGEST = 4096
"""Characters of a field's value: entries stay small whatever a file name or an error holds."""

_BLANKS = re.compile(r"[ \t\n]+")
_Dict = structlog.typing.EventDict


class Journal:
    """Where events become lines. Call it with one."""

    def __init__(self, level: Level) -> None:
        self._repeats = Repeats()
        self._is_bare = is_journal()
        self._outbox = Outbox() if self._is_bare and can_send() else None
        self._has_prefix = self._is_bare and self._outbox is None
        self._send: Callable[[Any], None] = terminal.log
        if self._outbox is not None:
            self._send = self._outbox.put
        self.set_level(level)

    def set_level(self, level: Level) -> None:
        processors: list[structlog.typing.Processor] = [_flatten]
        if not self._is_bare:
            processors.append(structlog.processors.TimeStamper(fmt="iso"))
        processors.append(self._render)
        self._log = structlog.wrap_logger(
            _Sender(self._send),
            processors=processors,
            wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        )

    def __call__(self, event: Event) -> None:
        if self._repeats.allows(event, time.monotonic()):
            self._write(event)

    def flush(self, now: float | None = None) -> None:
        """Write the last of what was held back, once its time is over, with its count."""
        for event in self._repeats.due(time.monotonic() if now is None else now):
            self._write(event)
        lost = 0 if self._outbox is None else self._outbox.take_lost()
        if lost:
            means = "journald was too slow to take them"
            details = (("lines", str(lost)), ("means", means))
            self._write(Event(name="lines_lost", level=Level.WARNING, details=details))

    def close(self) -> None:
        """Write what is still held back, and have the last words sent."""
        self.flush(math.inf)
        if self._outbox is not None:
            self._outbox.close()

    def _write(self, event: Event) -> None:
        getattr(self._log, event.level)(event.name, **dict(event.details))

    def _render(
        self, _: structlog.typing.WrappedLogger, level: str, line: _Dict
    ) -> str | tuple[tuple[Fields], dict[str, object]]:
        name, at = line.pop("event"), line.pop("timestamp", None)
        pairs = structlog.processors.LogfmtRenderer()(None, level, line)
        text = f"{name} {pairs}".rstrip()
        if self._outbox is not None:
            return (_make_entry(name, level, text, line),), {}
        prefix = "" if self._is_bare else f"{at} {level:7} "
        return f"<{_PRIORITIES[level]}>{text}" if self._has_prefix else prefix + text


class _Sender:
    """What structlog writes to in the place of a stream."""

    def __init__(self, write: Callable[[Any], None]) -> None:
        self.debug = self.info = self.warning = self.error = write


def _make_entry(name: str, level: str, text: str, details: Mapping[str, str]) -> Fields:
    """Return the fields of one entry (systemd.journal-fields(7))."""
    advice = sentences.advice(name, details)
    own = {f"DNSGUARD_{key.upper()}": value[:LONGEST] for key, value in details.items()}
    return {
        "MESSAGE": text[: 2 * LONGEST],
        "PRIORITY": str(_PRIORITIES[level]),
        "MESSAGE_ID": MESSAGE_IDS[name],
        "SYSLOG_IDENTIFIER": "dnsguard",
        **own,
        "DNSGUARD_EVENT": name,
        # For the catalog, which can't tell one case from another.
        "DNSGUARD_SUMMARY": sentences.summary(name, details)[:LONGEST],
        **({"DNSGUARD_ADVICE": advice} if advice else {}),
    }


def _flatten(_: structlog.typing.WrappedLogger, __: str, line: _Dict) -> _Dict:
    """One line stays one line that any terminal can show, whatever a file name or an error holds.

    python3-systemd refuses what can't be encoded, and a name on the disk may be such.
    """
    return {key: page.escape(_BLANKS.sub(" ", str(value)).strip()) for key, value in line.items()}
