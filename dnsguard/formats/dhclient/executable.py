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

    def inside(self) -> "Scope":
        return replace(self, depth=self.depth + 1)


class Outcome(Enum):
    """What became of an executable statement."""

    TAKEN = auto()
    NONE = auto()  # none, though words may be gone; ISC's lose = 0
    LOST = auto()  # wrong, and skipped; ISC's lose = 1


class Executable:
    """Takes executable statements; a method a production of the grammar."""

    def __init__(self, names: Names) -> None:
        self.statements: list[Statement] = []
        self._names = names

    def take(  # noqa: C901, PLR0911 -- a keyword, a case
        self, tokens: Tokens, scope: Scope
    ) -> Outcome:
        """Take one statement, or what dhclient skips for it."""
        token = tokens.peek()
        if token.kind not in NAMES:
            return Outcome.NONE
        tokens.next()
        match token.word:
            case "supersede" | "option":
                return self._assign(tokens, scope, Verb.SUPERSEDE)
            case "prepend" | "append" | "send" | "default":
                return self._assign(tokens, scope, Verb(token.word))
            case "if":
                return self._if(tokens, replace(scope, is_conditional=True))
            case "switch":
                return self._block(tokens, replace(scope, is_conditional=True))
            case "case":
                return _case(tokens, scope)
            case "on":
                return self._on(tokens, replace(scope, is_void=True))
            case "allow" | "deny" | "ignore":  # not for clients (parse_allow_deny)
                tokens.fail()
                return Outcome.NONE
            case "set" | "define" | "eval" | "execute" | "log" | "return" | "zone" | "key":
                return _no_option(tokens, token.word)
            case "add":
                is_class = tokens.next().kind is Kind.STRING or tokens.fail()
                return Outcome.TAKEN if is_class and tokens.semi() else Outcome.LOST
            case "unset" | "break" | "parse-vendor-option" | "db-time-format":
                return _no_option(tokens, token.word)
        # A variable's name is an expression, and nothing may follow it.
        if tokens.peek().is_sign(b"("):
            skip_expression(tokens)
        return Outcome.TAKEN if tokens.semi() else Outcome.LOST

    def _assign(self, tokens: Tokens, scope: Scope, verb: Verb) -> Outcome:
        """Take ``NAME VALUE;`` (``parse_option_statement``)."""
        line = tokens.line()
        if verb is Verb.DEFAULT and tokens.peek().is_sign(b":"):
            tokens.next()
            return Outcome.TAKEN if scope.is_conditional else Outcome.LOST
        name = self._names.read(tokens)
        form = self._names.format(name)
        if name is None or form is None:
            return Outcome.LOST
        value = Value()
        is_computed = tokens.peek().is_sign(b"=")
        is_empty = tokens.peek().is_sign(b";") and form != "Z"
        if is_computed:
            tokens.next()
            is_computed = not read_constant(tokens, value)
        elif is_empty:
            # Its ``;`` is gone now, and yet one is due: so the next statement goes, too.
            tokens.next()
        elif not read_value(tokens, form, value):
            return Outcome.NONE
        if not tokens.semi():
            return Outcome.NONE
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
        return Outcome.TAKEN

    def _if(self, tokens: Tokens, scope: Scope) -> Outcome:
        """Take a condition, its block, and what follows from ``else`` (``parse_if_statement``)."""
        while True:
            outcome = self._block(tokens, scope)
            if outcome is not Outcome.TAKEN or tokens.peek().word not in ("else", "elsif"):
                return outcome
            if tokens.next().word == "else":
                if tokens.peek().word != "if":
                    return self._block(tokens, scope)
                tokens.next()

    def _on(self, tokens: Tokens, scope: Scope) -> Outcome:
        """Take events and a block (``parse_on_statement``)."""
        while tokens.next().word in _EVENTS:
            if tokens.peek().is_sign(b";"):
                tokens.next()
                return Outcome.TAKEN
            if tokens.peek().word != "or":
                return self._block(tokens, scope)
            tokens.next()
        tokens.fail()
        return Outcome.LOST

    def _block(self, tokens: Tokens, scope: Scope) -> Outcome:
        """Take an expression and a block of executable statements."""
        skip_expression(tokens)
        if not tokens.next().is_sign(b"{"):
            tokens.fail()
            return Outcome.LOST
        if scope.depth == DEEPEST:
            tokens.skip_to_brace(1)
            return Outcome.TAKEN
        while (outcome := self.take(tokens, scope.inside())) is Outcome.TAKEN:
            pass
        if outcome is Outcome.LOST:
            # "Try to even things up": the first right brace ends it, whosever it is.
            while not tokens.next().is_sign(b"}") and tokens.peek().kind is not Kind.END:
                pass
            return Outcome.LOST
        if tokens.next().is_sign(b"}"):
            return Outcome.TAKEN
        tokens.fail()
        return Outcome.LOST


def _case(tokens: Tokens, scope: Scope) -> Outcome:
    if not scope.is_conditional:
        tokens.fail()
        return Outcome.LOST
    while not tokens.peek().is_sign(b":;{}") and tokens.peek().kind is not Kind.END:
        tokens.next()
    if tokens.next().is_sign(b":"):
        return Outcome.TAKEN
    tokens.fail()
    return Outcome.LOST


def _no_option(tokens: Tokens, word: str) -> Outcome:
    """Take a statement that can't change an option."""
    if word in ("set", "define", "unset", "db-time-format"):
        tokens.next()
    if tokens.peek().is_sign(b"="):
        tokens.next()
        if tokens.peek().is_sign(b";"):
            tokens.fail()
            return Outcome.NONE
    skip_expression(tokens)
    if tokens.peek().is_sign(b"{"):
        tokens.next()
        tokens.skip_to_brace(1)
        return Outcome.TAKEN
    # After a wrong eval or execute, ISC forgets to return.
    is_taken = tokens.semi() or word in ("eval", "execute")
    return Outcome.TAKEN if is_taken else Outcome.LOST
