"""The errors a person sees, each with what to do about it.

The exit statuses are sysexits.h's, as systemd and Debian's tools use them.
"""

DEGRADED = 2
"""The exit status of a command that has found something wrong."""
EX_USAGE = 64
EX_IOERR = 74
EX_NOPERM = 77
EX_CONFIG = 78


class DnsguardError(Exception):
    """Raised when a command can't go on; ``str()`` is one line for the operator."""

    status = 1


class OutputError(Exception):
    """Raised when what a command says can't be written: a full disk, a closed descriptor."""

    status = EX_IOERR


class ReaderGoneError(OutputError):
    """Raised when who read it has gone, as head(1) does: no error, and nothing to say."""

    status = 128 + 13
    """What a shell makes of SIGPIPE, of which C programs die here."""


class ConfigError(DnsguardError):
    """Raised when the configuration can't be used; names file, key and remedy."""

    status = EX_CONFIG

    def __init__(self, what: str, remedy: str) -> None:
        """Tell what is so, and what helps apart from it."""
        super().__init__(f"{what}: {remedy}")
        self.what = what
        self.remedy = remedy


class UsageError(DnsguardError):
    """Raised when the command line makes no sense."""

    status = EX_USAGE


class NoDaemonError(DnsguardError):
    """Raised when no daemon can be asked."""


class AlreadyRunningError(DnsguardError):
    """Raised when a second daemon is started on the same files."""


class ProtocolError(DnsguardError):
    """Raised when what answers is no daemon of this version."""


class SilentDaemonError(ProtocolError):
    """Raised when a daemon is there and says nothing: it hangs, or is about to end."""


class RefusedError(DnsguardError):
    """Raised when the daemon could do what it is asked, and has a reason not to."""


class NotPermittedError(RefusedError):
    """Raised when somebody but root commands."""

    status = EX_NOPERM


class ForeignStateError(DnsguardError):
    """Raised when the state on disk is not one this version can read."""
