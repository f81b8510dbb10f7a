"""Hooks of dhclient-script(8): whether a shell script writes to resolv.conf, and where.

A judgment from the text, not a proof. Seen are redirections, ``tee``, ``sed -i`` and its
like, ``cp``, ``mv``, ``ln``, ``install``, ``rm``, ``truncate``, ``dd`` with resolv.conf
as their target, by name or by a variable that was given its name; ``resolvconf -a`` and
``-u``, which make the file anew; and a call of ``make_resolv_conf``. That holds within
functions and ``$(...)``, for nobody knows which are called. Not seen: what another
program or a sourced file does, a path put together from pieces, a function's ``$1``.
Comments, here-documents and quoted text are no commands.

At most :data:`~dnsguard.formats.dhclient.shell.lexemes.MAX_BYTES` of a script are read.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile

from dnsguard.formats.dhclient.shell.lexemes import MAX_BYTES, lex, unquote

_FUNCTION = "make_resolv_conf"
_LONGEST = 1024
"""Characters; a longer word is no path."""
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)([^}]{0,99})\})")
_PATH = re.compile(r"(?:/etc/|/run/resolvconf/|/var/run/resolvconf/|(?:.*\$.*/)?)resolv\.conf")
_NAMED = re.compile(rb"(?<![\w$}.*?/-])/(?:[\w.+@-]{1,99}/){0,9}[\w.+@-]{1,99}(?![\w/*?$])")
_ENABLED = re.compile(rb"\bis-enabled[ \t]+(?:-[-\w]*[ \t]+){0,9}[\"']?([\w@.-]{1,99})")
_PREFIXES = frozenset(
    {
        *("then", "do", "else", "elif", "if", "while", "until", "!", "{", "}", "time"),
        *("sudo", "command", "exec", "builtin", "busybox", "env", "nohup", "eval"),
        *("local", "export", "readonly", "declare", "typeset"),
    }
)
"""What a command may stand behind."""
_LAST = frozenset({"cp", "mv", "ln", "install", "rsync", "link"})
_ANY = frozenset({"tee", "sponge", "rm", "unlink", "truncate", "ed", "ex", "patch", "dd"})
_IN_PLACE = frozenset({"sed", "perl", "awk", "gawk", "ruby"})
_MARK = "\0"
"""Stands for a variable that holds the path of resolv.conf."""


@dataclass(frozen=True, slots=True)
class Write:
    """One place where a script seems to write to resolv.conf."""

    line: int
    how: str
    """The command: ``>``, ``tee``, ``sed -i``, ..."""


def find_writes(script: bytes) -> tuple[Write, ...]:
    """Return the places where a hook seems to write to resolv.conf."""
    if b"resolv" not in script[:MAX_BYTES]:
        return ()
    commands = tuple(_split_commands(script))
    judge = _Judge(redefines=any(command.defines == _FUNCTION for command in commands))
    return tuple(write for command in commands for write in judge.judge(command))


def names_resolv_conf(path: str) -> bool:
    """Tell whether a path is resolv.conf's, as far as it is known."""
    return bool(_PATH.fullmatch(path))


def find_named_files(script: bytes) -> tuple[str, ...]:
    """Return the files that a script names by their whole paths."""
    found = _NAMED.findall(script[:MAX_BYTES])
    return tuple(dict.fromkeys(path.decode("utf-8", "surrogateescape") for path in found))


def find_asked_units(script: bytes) -> tuple[str, ...]:
    """Return the units that a script asks systemctl(1) about: whether they are enabled."""
    return tuple(dict.fromkeys(one.decode() for one in _ENABLED.findall(script[:MAX_BYTES])))


@dataclass(slots=True)
class _Command:
    """A simple command: words, and targets of output redirections with their lines."""

    line: int
    words: list[str] = field(default_factory=list)
    targets: list[tuple[int, str]] = field(default_factory=list)
    defines: str | None = None


def _split_commands(script: bytes) -> Iterator[_Command]:
    """Cut a script into simple commands; what doesn't fit is skipped."""
    command = _Command(1)
    redirect = ""
    for kind, lexeme, line in lex(script):
        match kind:
            case "redirect":
                redirect = lexeme.lstrip("0123456789")
            case "word" if not redirect:
                command.line = command.line if command.words else line
                command.words.append(lexeme)
            case "word":
                if ">" in redirect and not (redirect == ">&" and lexeme.isdigit()):
                    command.targets.append((line, lexeme))
                redirect = ""
            case "line" | "control":
                if lexeme == "(" and len(command.words) == 1:
                    command.defines = command.words[0]
                elif command.words[:1] == ["function"] and len(command.words) > 1:
                    command.defines = command.words[1]
                redirect = ""
                if command.words or command.targets:
                    yield command
                    command = _Command(line)
    yield command


class _Judge:
    """Goes through the commands of a script and remembers its variables."""

    def __init__(self, *, redefines: bool) -> None:
        self._redefines = redefines
        self._paths: set[str] = set()

    def judge(self, command: _Command) -> Iterator[Write]:
        for line, target in command.targets:
            if self._is_target(target):
                yield Write(line, ">")
        for word in command.words:
            match = _ASSIGNMENT.fullmatch(word)
            # Once is enough: which branch of an if was taken, nobody knows.
            if match is not None and self._is_target(match[2]):
                self._paths.add(match[1])
        how = self._find_how(list(dropwhile(_is_prefix, command.words)))
        if how is not None and command.defines is None:
            yield Write(command.line, how)

    def _find_how(self, words: Sequence[str]) -> str | None:
        """Return how a command writes to resolv.conf, None if it doesn't."""
        name = _get_name(words[0]) if words else ""
        arguments = [word for word in words[1:] if not word.startswith("-")]
        flags = [unquote(word) for word in words[1:] if word.startswith("-")]
        is_write = False
        if name == _FUNCTION:
            is_write = not self._redefines
        elif name == "resolvconf":
            is_write = not {"-a", "-u"}.isdisjoint(flags)
        elif name in _LAST:
            is_write = self._is_target((arguments or [""])[-1])
        elif name in _IN_PLACE:
            is_in_place = any(flag.startswith(("-i", "--in-place", "-pi")) for flag in flags)
            is_write = is_in_place and any(map(self._is_target, arguments))
            name = f"{name} -i"
        elif name in _ANY:
            is_write = any(self._is_target(word.removeprefix("of=")) for word in arguments)
        return name if is_write else None

    def _is_target(self, word: str) -> bool:
        """Tell whether a word names resolv.conf, itself or by a variable."""
        if len(word) > _LONGEST:
            return False
        text = _VARIABLE.sub(self._expand, unquote(word))
        return text == _MARK or bool(_PATH.fullmatch(text))

    def _expand(self, match: re.Match[str]) -> str:
        name, rest = match[1] or match[2], match[3] or ""
        if name in self._paths:
            return _MARK
        return rest.lstrip(":-=") if rest.startswith((":-", ":=", "-", "=")) else match[0]


def _is_prefix(word: str) -> bool:
    """Tell whether a command may still begin behind this word."""
    return _get_name(word) in _PREFIXES or _ASSIGNMENT.fullmatch(word) is not None


def _get_name(word: str) -> str:
    return unquote(word).rpartition("/")[2]
