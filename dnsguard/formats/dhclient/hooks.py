"""Hooks of dhclient-script(8): whether a shell script writes to resolv.conf, and where.

A judgment from the text, not a proof. Seen are redirections, ``tee``, ``sed -i`` and its
like, ``cp``, ``mv``, ``ln``, ``install``, ``rm``, ``truncate``, ``dd`` with resolv.conf
as their target, by name or by a variable that was given its name; ``resolvconf -a`` and
``-u``, which make the file anew; and a call of ``make_resolv_conf``. That holds within
functions and ``$(...)``, for nobody knows which are called. Not seen: what another
program or a sourced file does, a path put together from pieces, a function's ``$1``.
Comments, here-documents and quoted text are no commands.

At most :data:`MAX_BYTES` of a script are read.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import dropwhile

MAX_BYTES = 1 << 15

_FUNCTION = "make_resolv_conf"
_LEX = re.compile(
    r"""
    (?P<blank>(?:[ \t\r]|\\\n)+)
  | (?P<comment>\#[^\n]*)
  | (?P<line>\n)
  | (?P<redirect>[0-9]*(?:<<<|<<-?|>>|>\||>&|<&|<>|&>>|&>|>|<))
  | (?P<control>;;&|;;|;&|;|&&|&|\|\||\||\$\(|`|\(|\)|\{(?=\s)|\}(?=[\s;)]|\Z))
  | (?P<word>(?:[^\s;&|<>()`'"\\$]|\\.|'[^']*'|"(?:[^"\\]|\\.)*"|\$(?!\()|['"\\])+)
    """,
    re.VERBOSE | re.DOTALL,
)
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)([^}]{0,99})\})")
RESOLVED = re.compile(
    r"(?:\$\(|`)[ \t]*[/\w]*(?:readlink|realpath)(?:[ \t]+-[-\w]*){0,9}"
    r"[ \t]+([^\s)`>|;&]{1,99})[^)`\n]{0,99}[)`]"
)
"""``$(readlink -f FILE)``, which is FILE to us."""
_LONGEST = 1024
"""Characters; a longer word is no path."""
_PATH = re.compile(r"(?:/etc/|/run/resolvconf/|/var/run/resolvconf/|(?:.*\$.*/)?)resolv\.conf")
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


def writes_resolv_conf(script: bytes) -> tuple[int, ...]:
    """Return the lines of a hook that seem to write to resolv.conf, each once."""
    return tuple(sorted({write.line for write in writes(script)}))


def writes(script: bytes) -> tuple[Write, ...]:
    """Return the places where a hook seems to write to resolv.conf."""
    if b"resolv" not in script[:MAX_BYTES]:
        return ()
    commands = tuple(_commands(script))
    judge = _Judge(redefines=any(command.defines == _FUNCTION for command in commands))
    return tuple(write for command in commands for write in judge.judge(command))


def redefines_make_resolv_conf(script: bytes) -> int | None:
    """Return the line where a hook puts its own function in the place of dhclient-script's.

    An enter hook that does keeps dhclient from resolv.conf, unless another hook, sourced
    after it in the order of run-parts(8), does the same.
    """
    for command in _commands(script):
        if command.defines == _FUNCTION:
            return command.line
    return None


def names_resolv_conf(path: str) -> bool:
    """Tell whether a path is resolv.conf's, as far as it is known."""
    return bool(_PATH.fullmatch(path))


@dataclass(slots=True)
class _Command:
    """A simple command: words, and targets of output redirections with their lines."""

    line: int
    words: list[str] = field(default_factory=list)
    targets: list[tuple[int, str]] = field(default_factory=list)
    defines: str | None = None


def _commands(script: bytes) -> Iterator[_Command]:
    """Cut a script into simple commands; what doesn't fit is skipped."""
    text = RESOLVED.sub(r"\1", script[:MAX_BYTES].decode("utf-8", "replace"))
    command = _Command(1)
    redirect = ""
    for kind, lexeme, line in lexemes(text):
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


def lexemes(text: str) -> Iterator[tuple[str, str, int]]:
    """Return the kind, the text and the line of all that matters.

    A here-document comes where the line ends that it begins behind.
    """
    line, at = 1, 0
    delimiters: list[str] = []
    is_delimiter = False
    while at < len(text):
        match = _LEX.match(text, at)
        if match is None:
            at += 1
            continue
        kind, found = str(match.lastgroup), match.group()
        if is_delimiter and kind == "word":
            delimiters.append(_unquote(found))
        begin, at = at, match.end()
        if kind == "line" and delimiters:
            at, delimiters = _after_documents(text, at, delimiters), []
            yield "document", text[match.end() : at], line
        if kind not in ("blank", "comment"):
            is_delimiter = kind == "redirect" and found.lstrip("0123456789") in ("<<", "<<-")
            yield kind, found, line
        line += text.count("\n", begin, at)


def _after_documents(text: str, at: int, delimiters: Sequence[str]) -> int:
    """Return where the here-documents that begin here end."""
    for delimiter in delimiters:
        is_within = True
        while is_within and at < len(text):
            line, _, _ = text[at : at + _LONGEST].partition("\n")
            is_within = line.lstrip("\t").rstrip(" \t") != delimiter
            at = text.find("\n", at) + 1 or len(text)
    return at


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
        how = self._how(list(dropwhile(_is_prefix, command.words)))
        if how is not None and command.defines is None:
            yield Write(command.line, how)

    def _how(self, words: Sequence[str]) -> str | None:
        """Return how a command writes to resolv.conf, None if it doesn't."""
        name = _name(words[0]) if words else ""
        arguments = [word for word in words[1:] if not word.startswith("-")]
        flags = [_unquote(word) for word in words[1:] if word.startswith("-")]
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
        text = _VARIABLE.sub(self._expand, _unquote(word))
        return text == _MARK or bool(_PATH.fullmatch(text))

    def _expand(self, match: re.Match[str]) -> str:
        name, rest = match[1] or match[2], match[3] or ""
        if name in self._paths:
            return _MARK
        return rest.lstrip(":-=") if rest.startswith((":-", ":=", "-", "=")) else match[0]


def _is_prefix(word: str) -> bool:
    """Tell whether a command may still begin behind this word."""
    return _name(word) in _PREFIXES or _ASSIGNMENT.fullmatch(word) is not None


def _name(word: str) -> str:
    return _unquote(word).rpartition("/")[2]


def _unquote(word: str) -> str:
    return word.replace('"', "").replace("'", "").replace("\\", "")
