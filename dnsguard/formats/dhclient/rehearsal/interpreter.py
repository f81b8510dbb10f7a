"""The shell's part of a rehearsal: pipelines, conditions, loops, assignments and calls.

A condition that can't be told has both its branches gone through, as what may be done.
What is too long or too deep ends the rehearsal, and is said to be unclear.
"""

import re
from typing import NoReturn

from dnsguard.formats.dhclient.rehearsal.commands import Call, Result, run_command
from dnsguard.formats.dhclient.rehearsal.conditions import match_pattern
from dnsguard.formats.dhclient.rehearsal.environment import LONGEST, Environment
from dnsguard.formats.dhclient.shell import tree
from dnsguard.formats.dhclient.shell.tree import UNKNOWN, Body, Simple

FUNCTION = "make_resolv_conf"
"""dhclient-script's, which a hook may call and replace."""

_MOST_STEPS = 4096
_DEEPEST_CALL = 50
"""Constructs and calls within each other: a function that calls itself has an end here."""

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)(\+?)=(.*)", re.DOTALL)
_PREFIXES = frozenset({"sudo", "command", "exec", "builtin", "busybox", "env", "nohup"})
_DECLARING = frozenset({"local", "export", "readonly", "declare", "typeset"})


class _Left(Exception):  # noqa: N818 -- no error
    """Raised by return, and by exit for all that follows."""

    def __init__(self, *, is_all: bool) -> None:
        super().__init__()
        self.is_all = is_all


class _LoopLeft(Exception):  # noqa: N818 -- no error
    """Raised by break and continue."""

    def __init__(self, *, is_break: bool) -> None:
        super().__init__()
        self.is_break = is_break
        self.said = ""
        """By the commands before, in the same round."""


class Interpreter:
    """Goes through commands, one after the other, and has the environment change."""

    def __init__(self, environment: Environment) -> None:
        self.has_ended = False
        """Whether a hook has ended dhclient-script."""
        self.may_have_ended = False
        self.unclear: list[str] = []
        """Why it can't be told what is done."""
        self._environment = environment
        self._steps = 0
        self._nesting = 0

    def run_to_its_end(self, body: Body) -> None:
        """Go through a whole hook, or a function called for its own sake."""
        try:
            self._run(body)
        except _Left as left:
            self.has_ended = self.has_ended or left.is_all
        self._environment.may_have_left = self.may_have_ended

    # -- control flow ------------------------------------------------------------------

    def _run(self, body: Body, given: str = "") -> Result:
        """Run commands; return the last one's status and all that they say."""
        if self._nesting > _DEEPEST_CALL:
            self._give_up()
        self._nesting += 1
        try:
            return self._run_each(body, given)
        finally:
            self._nesting -= 1

    def _run_each(self, body: Body, given: str) -> Result:
        status: bool | None = True
        said = ""
        for pipeline in body:
            is_due = pipeline.operator == "" or _is_due(pipeline.operator, status=status)
            if is_due is False:
                continue
            try:
                with self._environment.while_certain(is_due is True):
                    now, text = self._run_pipeline(pipeline, given)
            except _LoopLeft as left:
                left.said = said + left.said
                raise
            status = now if is_due else None
            said = (said + text)[:LONGEST]
        return status, said

    def _give_up(self) -> NoReturn:
        self.unclear.append("the hooks do more than can be followed")
        raise _Left(is_all=True)

    def _leave(self, *, is_all: bool) -> Result:
        if self._environment.is_certain:
            raise _Left(is_all=is_all)
        self._environment.may_have_left = True
        self.may_have_ended = self.may_have_ended or is_all
        return None, ""

    def _leave_loop(self, *, is_break: bool) -> Result:
        if not self._environment.loops:  # sh says so, and goes on
            return True, ""
        if self._environment.is_certain:
            raise _LoopLeft(is_break=is_break)
        self._environment.may_have_left_loop = True
        return None, ""

    def _run_pipeline(self, pipeline: tree.Pipeline, given: str) -> Result:
        status: bool | None = True
        for stage in pipeline.stages:
            self._steps += 1
            if self._steps > _MOST_STEPS:
                self._give_up()
            status, given = self._run_stage(stage, given)
        if pipeline.is_negated and status is not None:
            status = not status
        return status, given

    def _run_stage(self, stage: tree.Stage, given: str) -> Result:
        status, said = self._run_command(stage.command, given)
        for one in stage.redirections:
            word = self._environment.expand(one.word)
            if not word.startswith("&"):
                self._environment.write(word, said, adds=one.adds, line=one.line, how=">")
        return status, "" if stage.redirections else said

    def _run_command(  # noqa: PLR0911 -- a construct, a case
        self, command: tree.Command, given: str
    ) -> Result:
        match command:
            case Simple():
                return self._run_simple(command, given)
            case tree.If():
                return self._run_if(command)
            case tree.Case():
                return self._run_case(command)
            case tree.For():
                return self._run_for(command)
            case tree.While():
                with self._environment.in_loop(), self._environment.while_certain(False):
                    self._run(command.body)
                return None, UNKNOWN
            case tree.Group():
                return self._run(command.body, given)
            case tree.Function():
                self._environment.define(command.name, command.line, command.body)
        return True, ""

    def _run_if(self, command: tree.If) -> Result:
        is_open = True  # no branch was taken for certain
        for condition, body in command.branches:
            holds: bool | None = True
            if condition is not None:
                with self._environment.while_certain(is_open):
                    holds, _ = self._run(condition)
            if holds is False:
                continue
            with self._environment.while_certain(is_open and holds is True):
                status, text = self._run(body)
            if holds:
                return (status, text) if is_open else (None, UNKNOWN)
            is_open = False
        return (True, "") if is_open else (None, UNKNOWN)

    def _run_case(self, command: tree.Case) -> Result:
        environment = self._environment
        word = environment.expand(command.word)
        is_open = True
        for patterns, body in command.branches:
            matches = [match_pattern(word, environment.expand(one)) for one in patterns]
            if True in matches:
                with environment.while_certain(is_open):
                    status, text = self._run(body)
                return (status, text) if is_open else (None, UNKNOWN)
            if None in matches:
                with environment.while_certain(False):
                    self._run(body)
                is_open = False
        return (True, "") if is_open else (None, UNKNOWN)

    def _run_for(self, command: tree.For) -> Result:
        words = " ".join(map(self._environment.expand, command.words)).split()
        said = ""
        with self._environment.in_loop():
            for word in words:
                self._environment.set_variable(command.name, word)
                try:
                    with self._environment.while_certain(UNKNOWN not in word):
                        _, text = self._run(command.body)
                except _LoopLeft as left:
                    said = (said + left.said)[:LONGEST]
                    if left.is_break:
                        break
                    continue
                said = (said + text)[:LONGEST]
        return True, said

    # -- simple commands ---------------------------------------------------------------

    def _run_simple(self, command: Simple, given: str) -> Result:
        """Run a command behind its assignments and prefixes."""
        words = [self._expand(word) for word in command.words]
        raw = [word if isinstance(word, str) else "" for word in command.words]
        if command.document is not None:
            given = self._environment.expand(command.document, quotes=False)
        while words and (
            words[0] in _PREFIXES | _DECLARING or _ASSIGNMENT.fullmatch(raw[0] or words[0])
        ):
            match = _ASSIGNMENT.fullmatch(words[0])
            if match is not None:
                self._assign(match)
            elif words[0] in _DECLARING:
                self._declare(words[1:])
                return True, ""
            words, raw = words[1:], raw[1:]
        if not words:
            return True, given if command.document is not None else ""
        return self._call(Call(words, given, command.line))

    def _expand(self, word: "str | tree.Substitution") -> str:
        if isinstance(word, str):
            return self._environment.expand(word)
        _, said = self._run(word.body)
        return word.prefix + said.rstrip("\n")

    def _assign(self, match: re.Match[str]) -> None:
        """``NAME=VALUE``, ``NAME+=VALUE``."""
        before = self._environment.get_variable(match[1]) if match[2] else ""
        self._environment.set_variable(match[1], before + match[3])

    def _declare(self, words: list[str]) -> None:
        """``export NAME=VALUE ...``."""
        for word in words:
            match = _ASSIGNMENT.fullmatch(word)
            if match is not None:
                self._environment.set_variable(match[1], match[3])

    def _call(self, call: Call) -> Result:
        """Run a function, a builtin that leaves, or else a program."""
        if call.words[0] in self._environment.functions or call.name == FUNCTION:
            return self._call_function(call.words[0])
        if call.name in ("return", "exit"):
            return self._leave(is_all=call.name == "exit")
        if call.name in ("break", "continue"):
            return self._leave_loop(is_break=call.name == "break")
        return run_command(call, self._environment)

    def _call_function(self, name: str) -> Result:
        environment = self._environment
        defined = environment.functions.get(name)
        if defined is None:
            if environment.is_certain:
                environment.write_own()
            return True, ""
        path, environment.path = environment.path, defined.path
        may_have_left = environment.may_have_left
        try:
            with environment.while_certain(defined.is_certain):
                return self._run(defined.body)
        except _Left as left:
            if left.is_all:
                raise
            return None, UNKNOWN
        finally:
            environment.path = path
            environment.may_have_left = may_have_left or self.may_have_ended


def _is_due(operator: str, *, status: bool | None) -> bool | None:
    return None if status is None else status == (operator == "&&")
