"""A hook's text made into a tree of commands, by recursive descent.

Nothing is run here; what the tree would do is gone through by
:mod:`dnsguard.formats.dhclient.rehearsal`. What is no shell gives some tree as well.
"""

from collections.abc import Iterator
from functools import lru_cache

from dnsguard.formats.dhclient.shell.lexemes import lex
from dnsguard.formats.dhclient.shell.tree import (
    UNKNOWN,
    Body,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Pipeline,
    Redirection,
    Simple,
    Stage,
    Substitution,
    While,
)

DEEPEST = 40
"""Constructs within each other; a deeper script is not understood."""

_CLOSING = frozenset({"then", "do", "else", "elif", "fi", "done", "esac"})


@lru_cache(maxsize=64)  # dhclient's hooks are looked at again and again, and seldom change
def parse(script: bytes) -> Body | None:
    """Return a script's commands, None where they are nested too deep to be followed."""
    parser = _Parser(list(lex(script)))
    try:
        return list(parser.parse_all())
    except _TooDeepError:
        return None


class _TooDeepError(Exception):
    """Raised when constructs stand within too many others."""


class _Parser:
    """Recursive descent; each call takes at least one token, or there is none left."""

    def __init__(self, tokens: list[tuple[str, str, int]]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def parse_all(self) -> Iterator[Pipeline]:
        """Yield the commands up to the end; what closes nothing is skipped."""
        while self._at < len(self._tokens):
            yield from self._parse_list(frozenset())
            self._at += 1  # a word that closes nothing

    def _peek(self, ahead: int = 0) -> tuple[str, str, int]:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else ("end", "", 0)

    def _is(self, *texts: str) -> bool:
        kind, text, _ = self._peek()
        return kind in ("word", "control") and text in texts

    def _take(self, *texts: str) -> bool:
        if self._is(*texts):
            self._at += 1
            return True
        return False

    def _skip_lines(self) -> None:
        while self._peek()[0] in ("line", "document"):
            self._at += 1

    def _parse_list(self, stop: frozenset[str]) -> Body:
        """Take commands up to a word of ``stop``, which is left."""
        self._depth += 1
        if self._depth > DEEPEST:
            raise _TooDeepError
        found: Body = []
        operator = ""
        while self._peek()[0] != "end" and not self._is(*stop):
            if self._peek()[0] in ("line", "document") or self._is(";", "&"):
                self._at += 1
                continue
            if self._is(*_CLOSING, ")", "}", ";;", ";&", ";;&", "`"):
                break
            before = self._at
            pipeline = self._parse_pipeline()
            if pipeline is not None:
                pipeline.operator = operator
                found.append(pipeline)
            elif self._at == before:
                self._at += 1
            operator = self._peek()[1] if self._is("&&", "||") else ""
            if operator:
                self._at += 1
                self._skip_lines()
        self._depth -= 1
        return found

    def _parse_pipeline(self) -> Pipeline | None:
        begin = self._at
        is_negated = False
        while self._take("!"):
            is_negated = not is_negated
        stages = []
        while True:
            before = self._at
            stages.append(self._parse_stage())
            if self._at == before or not self._take("|"):
                break
            self._skip_lines()
        _move_document(stages)
        return Pipeline(stages, is_negated) if self._at > begin else None

    def _parse_stage(self) -> Stage:  # noqa: PLR0911 -- a construct, a case
        line = self._peek()[2]
        if self._take("if"):
            return self._parse_redirections(If(list(self._parse_branches())))
        if self._take("case"):
            return self._parse_redirections(self._parse_case())
        if self._take("for"):
            return self._parse_redirections(self._parse_for())
        if self._take("while", "until"):
            self._parse_list(frozenset({"do"}))
            return self._parse_redirections(While(self._parse_block("do", "done")))
        if self._is("{") or self._is("("):
            return self._parse_redirections(self._parse_group())
        if self._take("function"):
            name = self._peek()[1]
            self._at += 1
            if self._take("("):
                self._take(")")
            return self._parse_redirections(self._parse_function(name, line))
        if self._peek()[0] == "word" and self._peek(1)[1:2] == ("(",) and self._peek(2)[1] == ")":
            name = self._peek()[1]
            self._at += 3
            return self._parse_redirections(self._parse_function(name, line))
        return self._parse_simple()

    def _parse_branches(self) -> Iterator[tuple[Body | None, Body]]:
        while True:
            condition = self._parse_list(frozenset({"then"}))
            self._take("then")
            yield condition, self._parse_list(frozenset({"elif", "else", "fi"}))
            if not self._take("elif"):
                break
        if self._take("else"):
            yield None, self._parse_list(frozenset({"fi"}))
        self._take("fi")

    def _parse_block(self, first: str, last: str) -> Body:
        self._skip_lines()
        self._take(first)
        body = self._parse_list(frozenset({last}))
        self._take(last)
        return body

    def _parse_case(self) -> Case:
        word = self._peek()[1]
        self._at += 1
        self._skip_lines()
        self._take("in")
        branches = []
        while self._peek()[0] != "end" and not self._take("esac"):
            if self._peek()[0] in ("line", "document") or self._take("(", ";;", ";&", ";;&"):
                self._skip_lines()
                continue
            patterns = []
            while self._peek()[0] == "word" or self._is("|"):
                patterns += [self._peek()[1]] if self._peek()[0] == "word" else []
                self._at += 1
            if not self._take(")"):
                self._at += 1
                continue
            branches.append((patterns, self._parse_list(frozenset({";;", ";&", ";;&", "esac"}))))
        return Case(word, branches)

    def _parse_for(self) -> For:
        name = self._peek()[1]
        self._at += 1
        words = [UNKNOWN]
        if self._take("in"):
            words = []
            while self._peek()[0] == "word":
                words.append(self._peek()[1])
                self._at += 1
            if self._is("$(", "`"):
                words.append(UNKNOWN)
                self._parse_substitution("")
        self._take(";")
        return For(name, words, self._parse_block("do", "done"))

    def _parse_group(self) -> Group:
        closing = "}" if self._is("{") else ")"
        self._at += 1
        body = self._parse_list(frozenset({closing}))
        self._take(closing)
        return Group(body)

    def _parse_function(self, name: str, line: int) -> Function:
        self._skip_lines()
        body = (
            self._parse_group().body if self._is("{", "(") else self._parse_list(frozenset({"\n"}))
        )
        return Function(name, line, body)

    def _parse_redirections(self, command: Command) -> Stage:
        stage = Stage(command)
        while self._peek()[0] == "redirect":
            self._parse_redirection(stage)
        return stage

    def _parse_simple(self) -> Stage:
        command = Simple(self._peek()[2])
        stage = Stage(command)
        while True:
            kind, text, _ = self._peek()
            if kind == "word":
                command.words.append(text)
                self._at += 1
            elif kind == "redirect":
                self._parse_redirection(stage)
            elif kind == "control" and text in ("$(", "`"):
                is_value = bool(command.words) and str(command.words[-1]).endswith("=")
                prefix = str(command.words.pop()) if is_value else ""
                command.words.append(self._parse_substitution(prefix))
            elif kind == "document":
                command.document = _cut_document(text, is_indented=command.is_indented)
                self._at += 1
            else:
                return stage

    def _parse_substitution(self, prefix: str) -> Substitution:
        closing = ")" if self._peek()[1] == "$(" else "`"
        self._at += 1
        body = self._parse_list(frozenset({closing}))
        self._take(closing)
        return Substitution(prefix, body)

    def _parse_redirection(self, stage: Stage) -> None:
        operator = self._peek()[1]
        self._at += 1
        kind, word, line = self._peek()
        if kind != "word":
            return
        self._at += 1
        if operator == "<<-" and isinstance(stage.command, Simple):
            stage.command.is_indented = True
        is_output = ">" in operator and operator.lstrip("0123456789") != ">&"
        if is_output and not operator.startswith("2"):
            stage.redirections.append(Redirection(word, line, adds=">>" in operator))


def _cut_document(text: str, *, is_indented: bool) -> str:
    """Return a here-document without the line that ends it."""
    lines = text.removesuffix("\n").split("\n")[:-1]
    return "".join(f"{line.lstrip(chr(9)) if is_indented else line}\n" for line in lines)


def _move_document(stages: list[Stage]) -> None:
    """``cat <<E | tee FILE``: it stands behind the line, and is the first command's."""
    first, last = stages[0].command, stages[-1].command
    if len(stages) > 1 and isinstance(first, Simple) and isinstance(last, Simple):
        first.document, last.document = first.document or last.document, None
