"""The statements of dhclient.conf(5) that have nothing to do with options: they are got past.

What is wrong in one of them may take the next along, so each is taken as dhclient does
(``parse_client_statement`` of ISC's ``client/clparse.c``).
"""

from dnsguard.formats.dhclient.executable import Scope
from dnsguard.formats.dhclient.expressions import skip_expression
from dnsguard.formats.dhclient.tokens import Kind, Tokens
from dnsguard.formats.dhclient.values import read_ipv4


def skip_key(tokens: Tokens, scope: Scope) -> bool:
    """Take a key and its block; a ``;`` may follow (``parse_key``, common/parse.c:2958)."""
    if scope.interface is not None:
        tokens.fail()
        return True
    skip_expression(tokens)
    if tokens.peek().is_sign(b"{"):
        tokens.take()
        tokens.skip_to_brace(1)
    if tokens.peek().is_sign(b";"):
        tokens.take()
    return False


def take_policy(tokens: Tokens, word: str) -> bool:
    """Take what ``require`` or ``ignore`` is about; False if that is none (client/clparse.c:525)."""
    match tokens.take().word:
        case "authentication":
            fits = word == "require"
        case "bootp":
            fits = False  # ISC's test is the wrong way round
        case _:
            fits = word == "ignore"
    return fits or tokens.fail()


def take_one_of(tokens: Tokens, *words: str) -> bool:
    """Take one of these words; False after another one."""
    return tokens.take().word in words or tokens.fail()


def skip_setting(tokens: Tokens, word: str) -> bool:
    """Take a setting that has nothing to do with options; say whether it was one."""
    match word:
        case "timeout" | "retry" | "select-timeout" | "reboot" | "backoff-cutoff":
            is_fine = _skip_number(tokens)
        case "initial-interval" | "initial-delay":
            is_fine = _skip_number(tokens)
        case "do-forward-update" | "do-forward-updates":
            tokens.take()
            is_fine = take_one_of(tokens, "on", "true", "off", "false")
        case "media" | "hardware" | "anycast-mac" | "omapi" | "vendor":
            tokens.skip_to_semi()
            return True
        case "reject":
            tokens.take()
            is_fine = _skip_addresses(tokens)
        case _:
            return False
    if is_fine:
        tokens.take_semi()
    return True


def _skip_addresses(tokens: Tokens) -> bool:
    """``parse_reject_statement`` (client/clparse.c:2233), up to its ``;``."""
    while read_ipv4(tokens) is not None:
        if tokens.peek().is_sign(b"/"):
            tokens.take()
            tokens.take()
        if not tokens.peek().is_sign(b","):
            return True
        tokens.take()
    return tokens.fail()


def _skip_number(tokens: Tokens) -> bool:
    """``parse_lease_time`` (common/parse.c:657)."""
    tokens.take()
    return tokens.take().kind is Kind.NUMBER or tokens.fail()
