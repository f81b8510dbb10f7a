"""Lines for the journal, written by structlog.

On stderr, which systemd hands to journald; the level goes in front as sd-daemon(3)
wants it, and the journal has the time already. On a terminal the time stands in front.
"""

import os
import sys
import time

import structlog

from dnsguard.core.event import Event, Level, Repeats

_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}
"""syslog(3)."""
_LEVELS = {Level.DEBUG: 10, Level.INFO: 20, Level.WARNING: 30, Level.ERROR: 40}


class Journal:
    """Where events become lines. Call it with one."""

    def __init__(self, level: Level) -> None:
        self._repeats = Repeats()
        self._under_systemd = _is_journal(sys.stderr.fileno())
        self.set_level(level)

    def set_level(self, level: Level) -> None:
        processors: list[structlog.typing.Processor] = [_flatten]
        if not self._under_systemd:
            processors.append(structlog.processors.TimeStamper(fmt="iso"))
        processors.append(self._render)
        self._log = structlog.wrap_logger(
            structlog.PrintLogger(sys.stderr),
            processors=processors,
            wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        )

    def __call__(self, event: Event) -> None:
        if self._repeats.allows(event, time.monotonic()):
            self._write(event)

    def flush(self) -> None:
        """Write the counts of what was held back, once its time is over."""
        for event in self._repeats.due(time.monotonic()):
            self._write(event)

    def _write(self, event: Event) -> None:
        getattr(self._log, event.level)(event.name, **dict(event.details))

    def _render(
        self, _: structlog.typing.WrappedLogger, level: str, line: structlog.typing.EventDict
    ) -> str:
        name, at = line.pop("event"), line.pop("timestamp", None)
        pairs = structlog.processors.LogfmtRenderer()(None, level, line)
        prefix = f"<{_PRIORITIES[level]}>" if self._under_systemd else f"{at} {level:7} "
        return f"{prefix}{name} {pairs}".rstrip()


def _flatten(
    _: structlog.typing.WrappedLogger, __: str, line: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """One line stays one line, whatever a file name or an error holds."""
    return {key: " ".join(str(value).split()) for key, value in line.items()}


def _is_journal(descriptor: int) -> bool:
    """Tell whether journald reads stderr (systemd.exec(5), $JOURNAL_STREAM)."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
