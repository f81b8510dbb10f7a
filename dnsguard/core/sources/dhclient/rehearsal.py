"""What the hooks of dhclient-script(8) would leave in resolv.conf, told without running them.

Their commands are gone through as the shell would: conditions on ``reason``, ``interface``,
what DHCP says, files that are there and units that are enabled are decided; functions,
loops over words, here-documents, temporary files, ``echo``, ``printf``, ``cat``, ``tee``,
``cp``, ``mv`` and the usual ``sed`` are followed. What that does not reach is said to be
unknown, never guessed: a condition (what hangs on it may be so or not), a program (nobody
knows what it writes), a text that is computed.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from dnsguard.core.sources.dhclient import filters, hooks, shell
from dnsguard.core.sources.dhclient.shell import UNKNOWN, Body, Simple

FUNCTION = "make_resolv_conf"
_FILE = "/etc/resolv.conf"
_MOST_STEPS = 4096
_DEEPEST_CALL = 50
"""Constructs and calls within each other: a function that calls itself has an end here."""
_LONGEST = 1 << 16
"""Characters of a text; dhclient-script's are never so long."""

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?)=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*|[0-9@*#?$!])|\{([A-Za-z_]\w*|[0-9@*])([^}]{0,99})\})")
_COMPUTED = re.compile(r"\$\([^)]*\)|`[^`]*`")
_QUIET = frozenset(
    {
        *(":", "true", "logger", "mkdir", "chmod", "chown", "chgrp", "touch", "sync", "sleep"),
        *("grep", "egrep", "fgrep", "cmp", "diff", "readlink", "realpath", "mktemp", "stat"),
        *("date", "hostname", "ip", "ifconfig", "route", "systemctl", "service", "pidof"),
        *("set", "unset", "shift", "umask", "trap", "wait", "read", "cd", "which", "type"),
        *("md5sum", "sha256sum", "basename", "dirname", "cut", "tr", "head", "tail", "sort"),
        *("uniq", "wc", "awk", "env", "export", "flock", "resolvectl", "busctl", "sed"),
        *("break", "continue", "restorecon", "sysctl", "ping", "kill", "id", "uname", "test"),
    }
)
"""Programs that leave resolv.conf alone if they are not told its name."""
_PREFIXES = frozenset({"sudo", "command", "exec", "builtin", "busybox", "env", "nohup"})
_DNS = frozenset(
    {
        *("new_domain_name_servers", "new_domain_name", "new_domain_search"),
        *("new_dhcp6_name_servers", "new_dhcp6_domain_search"),
    }
)
"""dhclient's variables that dhclient-script makes resolv.conf from."""
_DECLARING = frozenset({"local", "export", "readonly", "declare", "typeset"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What the hooks would find."""

    values: Mapping[str, str] = field(default_factory=dict)
    """dhclient's variables; what is not in it can't be told."""
    files: Mapping[str, bytes | None] = field(default_factory=dict)
    """The files that the hooks name; None: not there."""
    enabled: frozenset[str] = frozenset()
    """Units of systemd's that are enabled, of those the hooks ask about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A hook, by its path."""

    path: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a hook does something to resolv.conf."""

    path: str
    line: int
    how: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What is left in the end."""

    text: str | None
    """None: it can't be told."""
    wrote: tuple[Place, ...] = ()
    """What was written for certain, in this order."""
    may_write: tuple[Place, ...] = ()
    """Where something may be written that is not in the text."""
    replaced: Place | None = None
    """The hook whose make_resolv_conf is in the place of dhclient-script's, for certain."""
    is_replacement_certain: bool = True
    is_own_written: bool = False
    """Whether a replacement is taken to write what dhclient-script would have."""
    passes: bool = True
    """Whether what DHCP says gets into the file, or may."""
    unclear: tuple[str, ...] = ()
    """Why it can't be told."""


Writer = Callable[[str, Mapping[str, str]], str | None]
"""What dhclient-script's own make_resolv_conf makes of a file, None: nothing.

It is given dhclient's variables that hooks have set to something else.
"""


def rehearse(
    enter: Sequence[Script],
    exit: Sequence[Script],  # noqa: A002 -- that is dhclient's word
    scene: Scene,
    current: str,
    own: Writer | None,
) -> Outcome:
    """Return what is left of a file after the hooks and what they stand around.

    :param own: None where dhclient-script doesn't call make_resolv_conf at all.
    """
    shell_ = _Shell(scene, current, own)
    for script in enter:
        shell_.source(script)
    shell_.call_make_resolv_conf(is_called=own is not None)
    for script in exit:
        shell_.source(script)
    return shell_.outcome()


class _Left(Exception):  # noqa: N818 -- no error
    """Raised by return, and by exit for all that follows."""

    def __init__(self, *, is_all: bool) -> None:
        super().__init__()
        self.is_all = is_all


@dataclass(slots=True)
class _Defined:
    path: str
    line: int
    body: Body
    is_certain: bool


class _Shell:
    """One run of the script: variables, files and functions as they come to be."""

    def __init__(self, scene: Scene, current: str, own: Writer | None) -> None:
        self._scene = scene
        self._own = own
        self._variables: dict[str, str] = {}
        self._files: dict[str, str] = {_FILE: current}
        self._functions: dict[str, _Defined] = {}
        self._path = ""
        self._certainty = True
        self._may_have_left = False
        self._may_have_ended = False
        self._has_ended = False
        self._steps = 0
        self._nesting = 0
        self._wrote: list[Place] = []
        self._may: list[Place] = []
        self._unclear: list[str] = []
        self._programs: list[str] = []
        self._passes = True
        self._is_own_written = False

    def source(self, script: Script) -> None:
        """Go through one hook."""
        if self._has_ended:
            return
        self._path = script.path
        body = shell.parse(script.content)
        if body is None:
            self._unclear.append(f"{script.path} is too involved to be followed")
            return
        self._run_to_its_end(body)

    def call_make_resolv_conf(self, *, is_called: bool) -> None:
        """Do what dhclient-script does between the hooks."""
        if self._has_ended or not is_called:
            return
        if self._may_have_ended:
            self._unclear.append(f"{self._path} may end dhclient-script")
        defined = self._functions.get(FUNCTION)
        if defined is None:
            self._write_own()
        elif not defined.is_certain:
            self._unclear.append(f"{defined.path}:{defined.line} may replace {FUNCTION}")
        else:
            self._call_replacement(defined)

    def _call_replacement(self, defined: _Defined) -> None:
        before, wrote, may = self._files[_FILE], len(self._wrote), len(self._may)
        self._programs.clear()
        self._path = defined.path
        self._run_to_its_end(defined.body)
        tells = _mentions_dns(defined.body)
        programs, is_written = self._programs, len(self._wrote) > wrote
        if "resolvconf" in programs or (tells and not _is_told(self._files[_FILE])):
            # As much as is known: what DHCP says comes out, maybe with more.
            self._files[_FILE] = before
            self._is_own_written = True
            self._write_own()
            return
        self._passes = tells
        if programs and not is_written:
            self._unclear.append(f"{defined.path} runs {', '.join(dict.fromkeys(programs))}")
        elif len(self._may) > may and not is_written:
            self._unclear.append(f"{defined.path} writes on a condition that can't be told")

    def _write_own(self) -> None:
        if self._own is None:
            return
        changed = {name: value for name, value in self._variables.items() if name in _DNS}
        is_known = UNKNOWN not in "".join(changed.values())
        text = self._own(self._files[_FILE], changed) if is_known else UNKNOWN
        if text is not None:
            self._files[_FILE] = text

    def outcome(self) -> Outcome:
        defined = self._functions.get(FUNCTION)
        text = self._files[_FILE]
        unclear = list(self._unclear)
        if not _is_told(text):
            last = f"{self._wrote[-1].path}:{self._wrote[-1].line}" if self._wrote else "a hook"
            unclear.append(f"{last} writes what can't be told from its text")
        return Outcome(
            text=None if unclear else text.replace(UNKNOWN, "..."),
            wrote=tuple(self._wrote),
            may_write=tuple(dict.fromkeys(self._may)),
            replaced=None
            if defined is None
            else Place(path=defined.path, line=defined.line, how=FUNCTION),
            is_replacement_certain=defined is None or defined.is_certain,
            is_own_written=self._is_own_written,
            passes=self._passes,
            unclear=tuple(dict.fromkeys(unclear)),
        )

    def _run_to_its_end(self, body: Body) -> None:
        try:
            self._run(body)
        except _Left as left:
            self._has_ended = self._has_ended or left.is_all
        self._may_have_left = self._may_have_ended

    # -- control flow ------------------------------------------------------------------

    def _run(self, body: Body, given: str = "") -> tuple[bool | None, str]:
        """Run commands; return the last one's status and all that they say."""
        if self._nesting > _DEEPEST_CALL:
            self._unclear.append("the hooks do more than can be followed")
            raise _Left(is_all=True)
        self._nesting += 1
        try:
            return self._run_each(body, given)
        finally:
            self._nesting -= 1

    def _run_each(self, body: Body, given: str) -> tuple[bool | None, str]:
        status: bool | None = True
        said = ""
        for pipeline in body:
            is_due = pipeline.operator == "" or _is_due(pipeline.operator, status=status)
            if is_due is False:
                continue
            with self._while_certain(is_due is True):
                now, text = self._pipe(pipeline, given)
            status = now if is_due else None
            said = (said + text)[:_LONGEST]
        return status, said

    @contextmanager
    def _while_certain(self, is_certain: bool) -> Iterator[None]:  # noqa: FBT001 -- it is the claim
        before = self._certainty
        self._certainty = before and is_certain
        try:
            yield
        finally:
            self._certainty = before

    @property
    def _is_certain(self) -> bool:
        """Whether what is done now is done at all."""
        return self._certainty and not self._may_have_left

    def _leave(self, *, is_all: bool) -> tuple[bool | None, str]:
        if self._is_certain:
            raise _Left(is_all=is_all)
        self._may_have_left = True
        self._may_have_ended = self._may_have_ended or is_all
        return None, ""

    def _pipe(self, pipeline: shell.Pipeline, given: str) -> tuple[bool | None, str]:
        status: bool | None = True
        for stage in pipeline.stages:
            self._steps += 1
            if self._steps > _MOST_STEPS:
                self._unclear.append("the hooks do more than can be followed")
                raise _Left(is_all=True)
            status, given = self._stage(stage, given)
        if pipeline.is_negated and status is not None:
            status = not status
        return status, given

    def _stage(self, stage: shell.Stage, given: str) -> tuple[bool | None, str]:
        status, said = self._command(stage.command, given)
        for one in stage.redirections:
            word = self._expand(one.word)
            if not word.startswith("&"):
                self._write(word, said, adds=one.adds, line=one.line, how=">")
        return status, "" if stage.redirections else said

    def _command(  # noqa: PLR0911 -- a construct, a case
        self, command: shell.Command, given: str
    ) -> tuple[bool | None, str]:
        match command:
            case Simple():
                return self._simple(command, given)
            case shell.If():
                return self._if(command)
            case shell.Case():
                return self._case(command)
            case shell.For():
                return self._for(command)
            case shell.While():
                with self._while_certain(False):
                    self._run(command.body)
                return None, UNKNOWN
            case shell.Group():
                return self._run(command.body, given)
            case shell.Function():
                self._functions[command.name] = _Defined(
                    self._path, command.line, command.body, self._is_certain
                )
        return True, ""

    def _if(self, command: shell.If) -> tuple[bool | None, str]:
        said = ""
        is_open = True
        for condition, body in command.branches:
            holds: bool | None = True
            if condition is not None:
                with self._while_certain(is_open):
                    holds, _ = self._run(condition)
            if holds is False:
                continue
            with self._while_certain(is_open and holds is True):
                status, text = self._run(body)
            if holds:
                return (status, text) if is_open else (None, UNKNOWN)
            is_open = False
        return (True, said) if is_open else (None, UNKNOWN)

    def _case(self, command: shell.Case) -> tuple[bool | None, str]:
        word = self._expand(command.word)
        is_open = True
        for patterns, body in command.branches:
            matches = [_matches(word, self._expand(one)) for one in patterns]
            if True in matches:
                with self._while_certain(is_open):
                    status, text = self._run(body)
                return (status, text) if is_open else (None, UNKNOWN)
            if None in matches:
                with self._while_certain(False):
                    self._run(body)
                is_open = False
        return (True, "") if is_open else (None, UNKNOWN)

    def _for(self, command: shell.For) -> tuple[bool | None, str]:
        words = " ".join(self._expand(word) for word in command.words).split()
        said = ""
        for word in words:
            self._set(command.name, word)
            with self._while_certain(UNKNOWN not in word):
                _, text = self._run(command.body)
            said = (said + text)[:_LONGEST]
        return True, said

    # -- commands ----------------------------------------------------------------------

    def _simple(self, command: Simple, given: str) -> tuple[bool | None, str]:
        words = [self._word(word) for word in command.words]
        raw = [word if isinstance(word, str) else "" for word in command.words]
        if command.document is not None:
            given = self._expand(command.document, quotes=False)
        while words and (
            words[0] in _PREFIXES | _DECLARING or _ASSIGNMENT.fullmatch(raw[0] or words[0])
        ):
            match = _ASSIGNMENT.fullmatch(words[0])
            if match is not None:
                before = self._variables.get(match[1], "") if match[2] else ""
                self._set(match[1], before + match[3])
            elif words[0] in _DECLARING:
                for word in words[1:]:
                    inner = _ASSIGNMENT.fullmatch(word)
                    if inner is not None:
                        self._set(inner[1], inner[3])
                return True, ""
            words, raw = words[1:], raw[1:]
        if not words:
            return True, given if command.document is not None else ""
        if raw[0].startswith(("'", '"')):
            raw[0] = words[0]
        return self._builtin(words, given, command.line)

    def _builtin(  # noqa: C901, PLR0911, PLR0912 -- a command, a case
        self, words: list[str], given: str, line: int
    ) -> tuple[bool | None, str]:
        name = words[0].rpartition("/")[2]
        arguments = [word for word in words[1:] if not word.startswith("-")]
        match name:
            case _ if words[0] in self._functions or name == FUNCTION:
                return self._call(words[0])
            case ":" | "true":
                return True, ""
            case "false":
                return False, ""
            case "return" | "exit":
                return self._leave(is_all=name == "exit")
            case "[" | "test" | "[[":
                closed = words[1:-1] if words[-1] in ("]", "]]") else words[1:]
                return self._test(closed), ""
            case "echo":
                return True, filters.echo(words[1:])
            case "printf":
                return True, filters.printf(words[1:])
            case "cat":
                return True, "".join(self._read(one) for one in arguments) if arguments else given
            case "tee":
                for one in arguments:
                    self._write(one, given, adds="-a" in words, line=line, how="tee")
                return True, given
            case "cp" | "mv" | "install" | "ln" if len(arguments) > 1:
                text = self._read(arguments[-2])
                self._write(arguments[-1], text, adds=False, line=line, how=name)
                return True, ""
            case "sed":
                return self._sed(words[1:], given, line)
            case "grep" | "egrep" if "-v" in words and arguments:
                source = self._read(arguments[1]) if arguments[1:] else given
                return None, filters.grep(arguments[0], source)
            case "unset":
                for one in arguments:
                    self._set(one, "")
                    if "-f" in words and self._is_certain:
                        self._functions.pop(one, None)
                return True, ""
            case "grep" | "egrep" if "-q" in words and len(arguments) == 2:
                return filters.has(arguments[0], self._read(arguments[1])), ""
            case "systemctl":
                return self._systemctl(words), ""
            case "rm" | "unlink":
                for one in arguments:
                    self._write(one, "", adds=False, line=line, how=name)
                return True, ""
            case "truncate" | "dd" | "rsync" | "ed" | "ex" | "perl":
                for one in arguments:
                    target = one.removeprefix("of=")
                    if self._is_file(target):
                        self._write(target, UNKNOWN, adds=False, line=line, how=name)
                return None, UNKNOWN
            case "resolvconf" if {"-a", "-u"}.isdisjoint(words):
                return True, ""
            case "mktemp":
                return True, f"{UNKNOWN}{self._path}:{line}\n"
            case "command":
                return None, UNKNOWN
        if name not in _QUIET:
            self._programs.append(name)
        return None, UNKNOWN

    def _call(self, name: str) -> tuple[bool | None, str]:
        defined = self._functions.get(name)
        if defined is None:
            if self._is_certain:
                self._write_own()
            return True, ""
        path, self._path = self._path, defined.path
        may_have_left = self._may_have_left
        try:
            with self._while_certain(defined.is_certain):
                return self._run(defined.body)
        except _Left as left:
            if left.is_all:
                raise
            return None, UNKNOWN
        finally:
            self._path = path
            self._may_have_left = may_have_left or self._may_have_ended

    def _systemctl(self, words: Sequence[str]) -> bool | None:
        if "is-enabled" not in words:
            return None
        unit = words[-1] if "." in words[-1] else f"{words[-1]}.service"
        return None if UNKNOWN in unit else unit in self._scene.enabled

    def _test(self, words: list[str]) -> bool | None:  # noqa: C901, PLR0911 -- a form, a case
        for operator, of_both in (("-o", any), ("-a", all), ("||", any), ("&&", all)):
            if operator in words[1:-1]:
                at = words.index(operator, 1)
                sides = [self._test(words[:at]), self._test(words[at + 1 :])]
                decides = of_both is any
                return decides if decides in sides else None if None in sides else not decides
        match words:
            case ["!", *rest]:
                found = self._test(rest)
                return None if found is None else not found
            case ["-n", text]:
                return _is_some(text)
            case ["-z", text]:
                some = _is_some(text)
                return None if some is None else not some
            case ["-e" | "-f" | "-x" | "-r" | "-s" | "-w", path]:
                return self._is_there(path)
            case [left, "=" | "==", right]:
                return _matches(left, right)
            case [left, "!=", right]:
                same = _matches(left, right)
                return None if same is None else not same
            case [text]:
                return _is_some(text)
            case []:
                return False
        return None

    def _is_there(self, path: str) -> bool | None:
        if self._is_file(path):
            return True
        if path in self._scene.files:
            return self._scene.files[path] is not None
        return None

    def _sed(self, words: Sequence[str], given: str, line: int) -> tuple[bool | None, str]:
        in_place = any(word.startswith(("-i", "--in-place")) for word in words)
        programs = [words[at + 1] for at, word in enumerate(words[:-1]) if word == "-e"]
        rest = [word for word in words if not word.startswith("-") and word not in programs]
        if not programs and rest:
            programs, rest = rest[:1], rest[1:]
        is_silent = "-n" in words
        for path in rest if in_place else ():
            if self._is_file(path) or path in self._files:
                text = UNKNOWN if is_silent else filters.edited(programs, self._read(path))
                self._write(path, text, adds=False, line=line, how="sed -i")
        if in_place:
            return True, ""
        source = "".join(map(self._read, rest)) if rest else given
        return True, UNKNOWN if is_silent else filters.edited(programs, source)

    # -- variables and files -----------------------------------------------------------

    def _set(self, name: str, value: str) -> None:
        self._variables[name] = value if self._is_certain else UNKNOWN

    def _word(self, word: "str | shell.Substitution") -> str:
        if isinstance(word, str):
            return self._expand(word)
        with self._while_certain(True):
            _, said = self._run(word.body)
        return word.prefix + said.rstrip("\n")

    def _expand(self, word: str, *, quotes: bool = True) -> str:
        """Return a word as the shell does, ``UNKNOWN`` for what can't be told."""
        parts = re.split(r"('[^']*')", word) if quotes else [word]
        found = []
        for part in parts:
            if quotes and part[:1] == "'" and part[-1:] == "'" and len(part) > 1:
                found.append(part[1:-1])
                continue
            text = _COMPUTED.sub(UNKNOWN, part)
            text = _VARIABLE.sub(self._value, text)
            if quotes:
                text = re.sub(r"\\\n", "", text.replace('"', ""))
                text = re.sub(r"\\([^nt\\])", r"\1", text)
            found.append(text)
        return "".join(found)[:_LONGEST]

    def _value(self, match: re.Match[str]) -> str:
        name, rest = match[1] or match[2], match[3] or ""
        if name in self._variables:
            value = self._variables[name]
        else:
            value = self._scene.values.get(name, UNKNOWN)
        if rest.startswith((":-", ":=")) and value in ("", UNKNOWN):
            return rest[2:].strip("\"'") if not value else UNKNOWN
        if rest.startswith("%%") and UNKNOWN not in value:
            return value.partition(rest[2:].removesuffix("*"))[0]
        return value if not rest or rest.startswith((":-", ":=", "-")) else UNKNOWN

    def _is_file(self, path: str) -> bool:
        return path == _FILE or hooks.names_resolv_conf(path)

    def _read(self, path: str) -> str:
        key = _FILE if self._is_file(path) else path
        if key in self._files:
            return self._files[key]
        content = self._scene.files.get(path)
        return UNKNOWN if content is None else content.decode("utf-8", "replace")

    def _write(self, path: str, text: str, *, adds: bool, line: int, how: str) -> None:
        is_ours = self._is_file(path)
        key = _FILE if is_ours else path
        place = Place(path=self._path, line=line, how=how)
        if not self._is_certain:
            if is_ours:
                self._may.append(place)
            else:
                self._files[key] = UNKNOWN
            return
        self._files[key] = ((self._files.get(key, "") if adds else "") + text)[:_LONGEST]
        if is_ours:
            self._wrote.append(place)


def _is_due(operator: str, *, status: bool | None) -> bool | None:
    return None if status is None else status == (operator == "&&")


def _is_some(text: str) -> bool | None:
    bare = text.replace(UNKNOWN, "")
    return True if bare else None if UNKNOWN in text else False


def _matches(word: str, pattern: str) -> bool | None:
    if pattern == "*":
        return True
    if UNKNOWN in word or UNKNOWN in pattern:
        return None
    parts = [re.escape(part) for part in pattern.split("*")]
    return re.fullmatch(".*".join(parts[:9]), word, re.DOTALL) is not None


def _is_told(text: str) -> bool:
    """Tell whether the nameservers are known; what stands in other lines may not be."""
    return not any(
        line.startswith(UNKNOWN) or (UNKNOWN in line and line.startswith("nameserver"))
        for line in text.split("\n")
    )


def _mentions_dns(body: Body) -> bool:
    """Tell whether commands use what DHCP says of nameservers."""
    return "name_servers" in repr(body)
