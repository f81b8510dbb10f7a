"""The programs and builtins that hooks use, each with what it says and what it writes.

A status is True, False, or None where it can't be told; what can't be told of the output
is ``UNKNOWN``. A program that is not known here is noted by its name: nobody knows what it
writes.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dnsguard.formats.dhclient.rehearsal import filters
from dnsguard.formats.dhclient.rehearsal.conditions import decide_test
from dnsguard.formats.dhclient.rehearsal.environment import Environment
from dnsguard.formats.dhclient.shell.tree import UNKNOWN

Result = tuple[bool | None, str]
"""The status, and the output."""

_QUIET = frozenset(
    {
        *(":", "true", "logger", "mkdir", "chmod", "chown", "chgrp", "touch", "sync", "sleep"),
        *("grep", "egrep", "fgrep", "cmp", "diff", "readlink", "realpath", "mktemp", "stat"),
        *("date", "hostname", "ip", "ifconfig", "route", "systemctl", "service", "pidof"),
        *("set", "unset", "shift", "umask", "trap", "wait", "read", "cd", "which", "type"),
        *("md5sum", "sha256sum", "basename", "dirname", "cut", "tr", "head", "tail", "sort"),
        *("uniq", "wc", "awk", "env", "export", "flock", "resolvectl", "busctl", "sed"),
        *("command", "restorecon", "sysctl", "ping", "kill", "id", "uname", "test"),
    }
)
"""Programs that leave resolv.conf alone if they are not told its name."""


@dataclass(frozen=True, slots=True)
class Call:
    """A command with its words as the shell has expanded them."""

    words: Sequence[str]
    given: str
    """What it reads from the pipe or the here-document."""
    line: int

    @property
    def name(self) -> str:
        return self.words[0].rpartition("/")[2]

    @property
    def arguments(self) -> list[str]:
        """The words that are no options."""
        return [word for word in self.words[1:] if not word.startswith("-")]


def run_command(call: Call, environment: Environment) -> Result:
    """Return a command's status and output, and have it write what it writes."""
    run = _COMMANDS.get(call.name)
    result = None if run is None else run(call, environment)
    if result is not None:
        return result
    if call.name not in _QUIET:
        environment.programs.append(call.name)
    return None, UNKNOWN


def _succeed(_call: Call, _environment: Environment) -> Result:
    return True, ""


def _fail(_call: Call, _environment: Environment) -> Result:
    return False, ""


def _run_test(call: Call, environment: Environment) -> Result:
    """``test WORDS``, ``[ WORDS ]``, ``[[ WORDS ]]``."""
    words = call.words
    closed = words[1:-1] if words[-1] in ("]", "]]") else words[1:]
    return decide_test(list(closed), environment.is_there), ""


def _run_echo(call: Call, _environment: Environment) -> Result:
    return True, filters.echo(call.words[1:])


def _run_printf(call: Call, _environment: Environment) -> Result:
    return True, filters.printf(call.words[1:])


def _run_cat(call: Call, environment: Environment) -> Result:
    files = call.arguments
    return True, "".join(map(environment.read, files)) if files else call.given


def _run_tee(call: Call, environment: Environment) -> Result:
    for one in call.arguments:
        environment.write(one, call.given, adds="-a" in call.words, line=call.line, how="tee")
    return True, call.given


def _run_copy(call: Call, environment: Environment) -> Result | None:
    """``cp``, ``mv`` and ``install``: of two files, the second says what the first one says."""
    if len(call.arguments) < 2:
        return None
    *_, source, target = call.arguments
    text = environment.read(source)
    environment.write(target, text, adds=False, line=call.line, how=call.name)
    return True, ""


def _run_sed(call: Call, environment: Environment) -> Result:
    words = call.words[1:]
    in_place = any(word.startswith(("-i", "--in-place")) for word in words)
    is_silent = "-n" in words
    programs, files = _split_sed(words)

    def edit(text: str) -> str:
        return UNKNOWN if is_silent else filters.apply_sed(programs, text)

    if not in_place:
        source = "".join(map(environment.read, files)) if files else call.given
        return True, edit(source)
    for path in filter(environment.is_followed, files):
        text = edit(environment.read(path))
        environment.write(path, text, adds=False, line=call.line, how="sed -i")
    return True, ""


def _split_sed(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the programs, of ``-e`` or else the first word, and the files."""
    programs = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "-e"]
    rest = [word for word in words if not word.startswith("-") and word not in programs]
    if not programs and rest:
        programs, rest = rest[:1], rest[1:]
    return programs, rest


def _run_grep(call: Call, environment: Environment) -> Result | None:
    """``grep -v PATTERN [FILE]``, and ``grep -q PATTERN FILE``."""
    arguments = call.arguments
    if "-v" in call.words and arguments:
        source = environment.read(arguments[1]) if arguments[1:] else call.given
        return None, filters.drop_lines(arguments[0], source)
    if "-q" in call.words and len(arguments) == 2:
        return filters.has_match(arguments[0], environment.read(arguments[1])), ""
    return None


def _filter(
    change: Callable[[Sequence[str], str], str],
) -> Callable[[Call, Environment], Result | None]:
    """Return a program that reads the pipe; with a file's name it is not followed."""

    def run(call: Call, _environment: Environment) -> Result | None:
        said = UNKNOWN if UNKNOWN in call.given else change(call.words[1:], call.given)
        return None if said == UNKNOWN else (True, said)

    return run


def _print_field(words: Sequence[str], text: str) -> str:
    return filters.print_field(words[0], text) if len(words) == 1 else UNKNOWN


def _run_unset(call: Call, environment: Environment) -> Result:
    for one in call.arguments:
        environment.set_variable(one, "")
        if "-f" in call.words:
            environment.undefine(one)
    return True, ""


def _run_systemctl(call: Call, environment: Environment) -> Result:
    """``systemctl is-enabled UNIT``; whatever else it is asked can't be told."""
    last = call.words[-1]
    unit = last if "." in last else f"{last}.service"
    if "is-enabled" not in call.words or UNKNOWN in unit:
        return None, ""
    return environment.is_enabled(unit), ""


def _run_resolvconf(call: Call, _environment: Environment) -> Result | None:
    """resolvconf(8) makes the file anew for ``-a`` and ``-u`` only."""
    return (True, "") if {"-a", "-u"}.isdisjoint(call.words) else None


def _run_mktemp(call: Call, environment: Environment) -> Result:
    """Return a name that is the same for each run of this line, and that nothing else has."""
    return True, f"{UNKNOWN}{environment.path}:{call.line}\n"


def _spoil(call: Call, environment: Environment) -> Result:
    """After these, nobody knows what is in the files that they are told."""
    for one in call.arguments:
        target = one.removeprefix("of=")
        if environment.is_resolv_conf(target):
            environment.write(target, UNKNOWN, adds=False, line=call.line, how=call.name)
    return None, UNKNOWN


def _run_rm(call: Call, environment: Environment) -> Result:
    for one in call.arguments:
        environment.write(one, "", adds=False, line=call.line, how=call.name)
    return True, ""


_SPOILERS = ("truncate", "dd", "rsync", "ed", "ex", "perl")
_COMMANDS: dict[str, Callable[[Call, Environment], Result | None]] = {
    ":": _succeed,
    "true": _succeed,
    "false": _fail,
    "[": _run_test,
    "test": _run_test,
    "[[": _run_test,
    "echo": _run_echo,
    "printf": _run_printf,
    "cat": _run_cat,
    "tee": _run_tee,
    "cp": _run_copy,
    "mv": _run_copy,
    "install": _run_copy,
    "ln": _run_copy,
    "rm": _run_rm,
    "unlink": _run_rm,
    "sed": _run_sed,
    "grep": _run_grep,
    "egrep": _run_grep,
    "cut": _filter(filters.cut),
    "tr": _filter(filters.translate),
    "head": _filter(filters.head),
    "awk": _filter(_print_field),
    "unset": _run_unset,
    "systemctl": _run_systemctl,
    "resolvconf": _run_resolvconf,
    "mktemp": _run_mktemp,
    **dict.fromkeys(_SPOILERS, _spoil),
}
"""By name; None of one of them: it does nothing of what is followed here."""
