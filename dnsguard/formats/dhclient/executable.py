"""The executable statements of dhclient.conf(5): those that change options, and ``if``.

``parse_executable_statement`` of ISC's ``common/parse.c``, with its two ways to fail.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

from dnsguard.formats.dhclient import options
from dnsguard.formats.dhclient.expressions import read_constant, skip_expression
from dnsguard.formats.dhclient.options import Names
from dnsguard.formats.dhclient.statements import Statement, Verb
from dnsguard.formats.dhclient.tokens import NAMES, Kind, Tokens
from dnsguard.formats.dhclient.values import Value, read_value

DEEPEST = 16
"""Blocks within each other beyond this are skipped."""

_KEPT = frozenset(
    {options.SERVERS, options.SERVERS6, options.DOMAIN, options.SEARCH, options.SEARCH6}
)
_EVENTS = frozenset({"expiry", "commit", "release", "transmission"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Where a statement stands."""

    interface: str | None = None
    path: str | None = None
    is_conditional: bool = False
    is_void: bool = False
    """Within ``on``, which has no effect on a client's lease."""
    depth: int = 0

    def descend(self) -> "Scope":
        return replace(self, depth=self.depth + 1)


class ParseResult(Enum):
    """What became of an executable statement."""

    TAKEN = auto()
    NONE = auto()  # none, though words may be gone; ISC's lose = 0
    LOST = auto()  # wrong, and skipped; ISC's lose = 1


class StatementReader:
    """Takes executable statements; a method a production of the grammar."""

    def __init__(self, names: Names) -> None:
        self.statements: list[Statement] = []
        self._names = names

    def take(  # noqa: C901, PLR0911 -- a keyword, a case
        self, tokens: Tokens, scope: Scope
    ) -> ParseResult:
        """Take one statement, or what dhclient skips for it."""
        token = tokens.peek()
        if token.kind not in NAMES:
            return ParseResult.NONE
        tokens.take()
        match token.word:
            case "supersede" | "option":
                return self._take_assignment(tokens, scope, Verb.SUPERSEDE)
            case "prepend" | "append" | "send" | "default":
                return self._take_assignment(tokens, scope, Verb(token.word))
            case "if":
                return self._take_if(tokens, replace(scope, is_conditional=True))
            case "switch":
                return self._take_block(tokens, replace(scope, is_conditional=True))
            case "case":
                return _take_case(tokens, scope)
            case "on":
                return self._take_on(tokens, replace(scope, is_void=True))
            case "allow" | "deny" | "ignore":  # not for clients (parse_allow_deny)
                tokens.fail()
                return ParseResult.NONE
            case "set" | "define" | "eval" | "execute" | "log" | "return" | "zone" | "key":
                return _take_other(tokens, token.word)
            case "add":
                is_class = tokens.take().kind is Kind.STRING or tokens.fail()
                return ParseResult.TAKEN if is_class and tokens.take_semi() else ParseResult.LOST
            case "unset" | "break" | "parse-vendor-option" | "db-time-format":
                return _take_other(tokens, token.word)
        # A variable's name is an expression, and nothing may follow it.
        if tokens.peek().is_sign(b"("):
            skip_expression(tokens)
        return ParseResult.TAKEN if tokens.take_semi() else ParseResult.LOST

    def _take_assignment(self, tokens: Tokens, scope: Scope, verb: Verb) -> ParseResult:
        """Take ``NAME VALUE;`` (``parse_option_statement``, common/parse.c:4881)."""
        line = tokens.find_line()
        if verb is Verb.DEFAULT and tokens.peek().is_sign(b":"):
            tokens.take()
            return ParseResult.TAKEN if scope.is_conditional else ParseResult.LOST
        name = self._names.read(tokens)
        form = self._names.find_format(name)
        if name is None or form is None:
            return ParseResult.LOST
        value = Value()
        is_computed = tokens.peek().is_sign(b"=")
        is_empty = tokens.peek().is_sign(b";") and form != "Z"
        if is_computed:
            tokens.take()
            is_computed = not read_constant(tokens, value)
        elif is_empty:
            # Its ``;`` is gone now, and yet one is due: so the next statement goes, too.
            tokens.take()
        elif not read_value(tokens, form, value):
            return ParseResult.NONE
        if not tokens.take_semi():
            return ParseResult.NONE
        if name in _KEPT and not is_empty and not scope.is_void:
            statement = Statement(
                verb=verb,
                option=name,
                addresses=tuple(value.addresses),
                texts=tuple(value.texts),
                interface=scope.interface,
                line=line,
                path=scope.path,
                is_computed=is_computed,
                is_conditional=scope.is_conditional,
            )
            self.statements.append(statement)
        return ParseResult.TAKEN

    def _take_if(self, tokens: Tokens, scope: Scope) -> ParseResult:
        """Take a condition, its block, and what follows from ``else``.

        ``parse_if_statement``, common/parse.c:3301.
        """
        while True:
            outcome = self._take_block(tokens, scope)
            if outcome is not ParseResult.TAKEN or tokens.peek().word not in ("else", "elsif"):
                return outcome
            if tokens.take().word == "else":
                if tokens.peek().word != "if":
                    return self._take_block(tokens, scope)
                tokens.take()

    def _take_on(self, tokens: Tokens, scope: Scope) -> ParseResult:
        """Take events and a block (``parse_on_statement``, common/parse.c:3106)."""
        while tokens.take().word in _EVENTS:
            if tokens.peek().is_sign(b";"):
                tokens.take()
                return ParseResult.TAKEN
            if tokens.peek().word != "or":
                return self._take_block(tokens, scope)
            tokens.take()
        tokens.fail()
        return ParseResult.LOST

    def _take_block(self, tokens: Tokens, scope: Scope) -> ParseResult:
        """Take an expression and a block of executable statements."""
        skip_expression(tokens)
        if not tokens.take().is_sign(b"{"):
            tokens.fail()
            return ParseResult.LOST
        if scope.depth == DEEPEST:
            tokens.skip_to_brace(1)
            return ParseResult.TAKEN
        while (outcome := self.take(tokens, scope.descend())) is ParseResult.TAKEN:
            pass
        if outcome is ParseResult.LOST:
            # "Try to even things up": the first right brace ends it, whosever it is.
            while not tokens.take().is_sign(b"}") and tokens.peek().kind is not Kind.END:
                pass
            return ParseResult.LOST
        if tokens.take().is_sign(b"}"):
            return ParseResult.TAKEN
        tokens.fail()
        return ParseResult.LOST


def _take_case(tokens: Tokens, scope: Scope) -> ParseResult:
    if not scope.is_conditional:
        tokens.fail()
        return ParseResult.LOST
    while not tokens.peek().is_sign(b":;{}") and tokens.peek().kind is not Kind.END:
        tokens.take()
    if tokens.take().is_sign(b":"):
        return ParseResult.TAKEN
    tokens.fail()
    return ParseResult.LOST


def _take_other(tokens: Tokens, word: str) -> ParseResult:
    """Take a statement that can't change an option."""
    if word in ("set", "define", "unset", "db-time-format"):
        tokens.take()
    if tokens.peek().is_sign(b"="):
        tokens.take()
        if tokens.peek().is_sign(b";"):
            tokens.fail()
            return ParseResult.NONE
    skip_expression(tokens)
    if tokens.peek().is_sign(b"{"):
        tokens.take()
        tokens.skip_to_brace(1)
        return ParseResult.TAKEN
    # After a wrong eval or execute, ISC forgets to return.
    is_taken = tokens.take_semi() or word in ("eval", "execute")
    return ParseResult.TAKEN if is_taken else ParseResult.LOST
