"""Expressions of dhcp-eval(5): skipped, and not computed, but for the bytes of addresses."""

from ipaddress import IPv4Address

from dnsguard.formats.dhclient.tokens import NAMES, NUMERIC, Kind, Tokens
from dnsguard.formats.dhclient.values import Value


def skip_expression(tokens: Tokens) -> None:
    """Skip an expression (dhcp-eval(5)): operands with operators between them.

    It ends where neither can follow: there a ``;`` or a brace is due.
    """
    while True:
        _skip_operand(tokens)
        is_sign = tokens.peek().is_sign(b"=!~+-*/&|^")
        if not is_sign and tokens.peek().word not in ("and", "or"):
            return
        while tokens.peek().is_sign(b"=!~+-*/&|^") or tokens.peek().word in ("and", "or"):
            tokens.take()


def _skip_operand(tokens: Tokens) -> None:
    while tokens.peek().word in ("not", "exists", "option", "config-option", "check", "pick"):
        tokens.take()
    if tokens.peek().kind is Kind.STRING:
        tokens.take()
    while tokens.peek().kind in (*NAMES, Kind.NUMBER):
        tokens.take()
        if not tokens.peek().is_sign(b".:"):
            break
        tokens.take()
    if tokens.peek().is_sign(b"("):
        _skip_parentheses(tokens)


def _skip_parentheses(tokens: Tokens) -> None:
    depth = 0
    while not tokens.peek().is_sign(b";{}") and tokens.peek().kind is not Kind.END:
        token = tokens.take()
        depth += token.is_sign(b"(") - token.is_sign(b")")
        if not depth:
            return


def read_constant(tokens: Tokens, value: Value) -> bool:
    """Take an expression; say whether it is the bytes of addresses: ``= 0a:00:00:01``.

    A dotted address is no expression: dhclient takes its first number and complains.
    """
    if tokens.peek().kind not in NUMERIC:
        skip_expression(tokens)
        return False
    octets = bytearray()
    while tokens.peek().kind in NUMERIC:
        octets.append(_parse_hexadecimal(tokens.take().text))
        if not tokens.peek().is_sign(b":"):
            break
        tokens.take()
    whole = range(0, len(octets) - 3, 4)
    value.addresses += [IPv4Address(bytes(octets[at : at + 4])) for at in whole]
    return True


def _parse_hexadecimal(text: bytes) -> int:
    try:
        return int(text[-8:], 16) & 0xFF
    except ValueError:  # a HEX token may begin with any letter
        return 0
