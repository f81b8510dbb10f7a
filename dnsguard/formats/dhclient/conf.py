"""dhclient.conf(5), gone through as dhclient does, to find the statements that count.

That takes ISC's own steps (``client/clparse.c``, ``common/parse.c``), because dhclient
drops more than a wrong statement: ``supersede domain-name-servers ;`` takes the three
statements after it along. ``tests/integration/dhclient_oracle`` compares this
with the real one.

The file is read from its top, at most :data:`MAX_BYTES` of it, and with what it includes
:data:`~dnsguard.formats.dhclient.tokens.MOST_TOKENS`. Expressions (dhcp-eval(5)) are taken to
be right and are not computed.
"""

from collections.abc import Mapping
from dataclasses import replace

from dnsguard.formats.dhclient.executable import DEEPEST, ParseResult, Scope, StatementReader
from dnsguard.formats.dhclient.leases import Lease, read_lease
from dnsguard.formats.dhclient.options import Names
from dnsguard.formats.dhclient.settings import skip_key, skip_setting, take_one_of, take_policy
from dnsguard.formats.dhclient.statements import Conf, Request, Script
from dnsguard.formats.dhclient.tokens import MOST_TOKENS, NAMES, Kind, Tokens

MAX_BYTES = 1 << 16
MOST_FILES = 16
"""Included files beyond these are left out."""


def parse(content: bytes, files: Mapping[str, bytes] | None = None) -> Conf:
    """Read a dhclient.conf; any bytes will do.

    :param files: the contents of included files by their names; others are left out.
    """
    reader = _Reader(files or {})
    reader.read_file(content, Scope())
    return Conf(
        statements=tuple(reader.executable.statements),
        requests=tuple(reader.requests),
        scripts=tuple(reader.scripts),
        includes=tuple(dict.fromkeys(reader.includes)),
        leases=tuple(reader.leases),
    )


class _Reader:
    """One pass over a file and what it includes; a method a production of the grammar."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.requests: list[Request] = []
        self.scripts: list[Script] = []
        self.includes: list[str] = []
        self.leases: list[Lease] = []
        self._files = files
        self._files_left = MOST_FILES
        self._tokens_left = MOST_TOKENS
        self._names = Names()
        self.executable = StatementReader(self._names)

    def read_file(self, content: bytes, scope: Scope) -> None:
        """Read one file (``read_client_conf_file``, client/clparse.c:259)."""
        tokens = Tokens(content[:MAX_BYTES], self._tokens_left)
        self._tokens_left -= tokens.count
        while tokens.peek().kind is not Kind.END:
            self._read_statement(tokens, scope)

    def _read_statement(self, tokens: Tokens, scope: Scope) -> None:  # noqa: C901 -- a keyword, a case
        """Take one statement (``parse_client_statement``, client/clparse.c:402)."""
        is_semi_due = False
        word = tokens.peek().word if tokens.peek().kind in NAMES else ""
        match word:
            case "request" | "require":
                tokens.take()
                is_semi_due = self._read_request(tokens, scope, word)
            case "also":
                tokens.take()
                self._read_also(tokens, scope)
            case "interface" | "pseudo":
                tokens.take()
                self._read_interface(tokens, scope, is_pseudo=word == "pseudo")
            case "option":
                tokens.take()
                is_semi_due = self._read_option(tokens, scope)
            case "include":
                tokens.take()
                self._read_include(tokens, scope)
            case "script":
                tokens.take()
                self._read_script(tokens, scope)
            case "lease" | "alias":
                tokens.take()
                lease = read_lease(tokens, version=4, at=tokens.find_line())
                self.leases += [lease] if lease is not None and word == "lease" else []
            case "key":
                tokens.take()
                is_semi_due = skip_key(tokens, scope)
            case "ignore":
                tokens.take()
                is_semi_due = take_policy(tokens, word)
            case "lease-id-format":
                tokens.take()
                take_one_of(tokens, "octal", "hex")
                is_semi_due = True
            case _:
                is_semi_due = not skip_setting(tokens, word) and self._read_executable(
                    tokens, scope
                )
        if is_semi_due:
            tokens.take_semi()

    def _read_executable(self, tokens: Tokens, scope: Scope) -> bool:
        outcome = self.executable.take(tokens, scope)
        if outcome is ParseResult.NONE:
            tokens.fail()
        return outcome is not ParseResult.TAKEN

    def _read_include(self, tokens: Tokens, scope: Scope) -> None:
        token = tokens.take()
        if token.kind is not Kind.STRING:
            tokens.fail()
            return
        path = token.text.decode("utf-8", "surrogateescape")
        self.includes.append(path)
        content = self._files.get(path)
        if content is not None and self._files_left:
            self._files_left -= 1
            self.read_file(content, replace(scope, path=path))
        tokens.take_semi()

    def _read_also(self, tokens: Tokens, scope: Scope) -> None:
        word = tokens.take().word
        if word in ("request", "require"):
            self._read_list(tokens, scope, is_required=word == "require", is_added=True)
        else:
            tokens.fail()

    def _read_request(self, tokens: Tokens, scope: Scope, word: str) -> bool:
        if word == "require" and tokens.peek().word == "authentication":
            return take_policy(tokens, word)
        self._read_list(tokens, scope, is_required=word == "require", is_added=False)
        return False

    def _read_list(
        self, tokens: Tokens, scope: Scope, *, is_required: bool, is_added: bool
    ) -> None:
        line = tokens.find_line()
        names = self._read_option_list(tokens)
        if names is None and (is_added or is_required or self.requests):
            return
        # A wrong first ``request`` leaves nothing of the default either.
        request = Request(
            is_required=is_required,
            is_added=is_added,
            options=names or (),
            interface=scope.interface,
            line=line,
        )
        self.requests.append(request)

    def _read_option_list(self, tokens: Tokens) -> tuple[str, ...] | None:
        """Take names up to a ``;`` (``parse_option_list``, client/clparse.c:873)."""
        names: list[str] = []
        while not tokens.peek().is_sign(b";"):
            if tokens.peek().kind not in NAMES:
                tokens.take()
                tokens.fail()
                return None
            name = self._names.read(tokens)
            if name is None:
                return None
            names.append(name)
            if tokens.peek().is_sign(b";"):
                break
            if not tokens.take().is_sign(b","):
                tokens.fail()
                return None
        tokens.take()
        return tuple(names)

    def _read_option(self, tokens: Tokens, scope: Scope) -> bool:
        """Take ``option NAME code ...`` or ``option space ...``: no value at this level."""
        is_inside = scope.interface is not None
        if tokens.peek().kind in NAMES and tokens.peek().word == "space":
            tokens.take()
            if not is_inside:
                self._names.add_space(tokens.peek().word)
            tokens.skip_to_semi()
            return is_inside
        name = self._names.read(tokens, allocate=True)
        if name is None:
            return False
        if tokens.take().word != "code" or is_inside:
            tokens.fail()
            return False
        self._names.define(tokens, name)
        return False

    def _read_script(self, tokens: Tokens, scope: Scope) -> None:
        token, line = tokens.take(), tokens.find_line()
        if token.kind is not Kind.STRING:
            tokens.fail()
        elif tokens.take_semi():
            path = token.text.decode("utf-8", "surrogateescape")
            self.scripts.append(Script(path=path, interface=scope.interface, line=line))

    def _read_interface(self, tokens: Tokens, scope: Scope, *, is_pseudo: bool) -> None:
        """Take a name and a block (``parse_interface_declaration``, client/clparse.c:947)."""
        name = tokens.take().text if is_pseudo else b""
        token = tokens.take()
        if token.kind is not Kind.STRING or not tokens.take().is_sign(b"{"):
            tokens.fail()
            return
        if scope.depth == DEEPEST:
            tokens.skip_to_brace(1)
            return
        interface = (name or token.text).decode("utf-8", "replace")
        # It takes over what is asked for so far; this marks the place.
        start = Request(
            is_required=False,
            is_added=True,
            options=(),
            interface=interface,
            line=tokens.find_line(),
        )
        self.requests.append(start)
        while not tokens.peek().is_sign(b"}"):
            if tokens.peek().kind is Kind.END:
                return
            self._read_statement(tokens, replace(scope.descend(), interface=interface))
        tokens.take()
