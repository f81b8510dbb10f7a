"""Readers of dnsguard.toml: one for each kind of value, from what TOML holds to what a policy takes."""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

from dnsguard.formats.address import IPAddress, parse_address

_Choice = TypeVar("_Choice", bound=StrEnum)
_LABEL = r"[A-Za-z0-9_-]{1,63}"
_NAME = re.compile(rf"\.|{_LABEL}(\.{_LABEL})*\.?")
_NAME_MAX = 253
_URL = re.compile(r"(http://[!-~]+)?")
_SHORTEST = 0.05
_PORT_MAX = 65535
_LONGEST = 100
"""Characters of what is quoted from it in an error."""


class Listen(NamedTuple):
    """Where something is served."""

    address: str
    port: int


class InvalidError(ValueError):
    """Raised by a reader; says what was expected."""


def read_address(value: object) -> IPAddress:
    if not isinstance(value, str):
        raise InvalidError('an IP address in quotes, such as "10.0.0.2"')
    try:
        return parse_address(value)
    except ValueError:
        raise InvalidError(f"an IP address, {cut(repr(value))} is none") from None


def read_addresses(value: object) -> tuple[IPAddress, ...]:
    if not isinstance(value, list):
        raise InvalidError('a list of IP addresses, such as ["10.0.0.2"]')
    return tuple(dict.fromkeys(read_address(entry) for entry in value))


def read_servers(value: object) -> tuple[IPAddress, ...]:
    found = read_addresses(value)
    for address in found:
        if address.is_unspecified or address.is_multicast:
            raise InvalidError(f"addresses of servers, {address} can't be one")
    return found


def read_switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidError("true or false")
    return value


def read_name(value: object) -> str:
    if not isinstance(value, str) or len(value) > _NAME_MAX or not _NAME.fullmatch(value):
        raise InvalidError('a domain name in quotes (RFC 1035, 2.3.4), such as "example.com"')
    return value


def read_url(value: object) -> str:
    expected = 'an http:// URL of an IP address, "http://169.254.25.10:9254/health"'
    if not isinstance(value, str) or not _URL.fullmatch(value):
        raise InvalidError(expected)
    try:
        parts = urlsplit(value)
        if value:
            parse_address(parts.hostname or "")
        is_port = parts.port != 0
    except ValueError:  # a name, which DNS would have to know, or no port's number
        is_port = False
    if not is_port:
        raise InvalidError(expected)
    return value


def read_directory(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"(/[^\0\n]+)?", value):
        raise InvalidError("the absolute path of a directory in quotes, or empty")
    return value


def read_listen(value: object) -> Listen | None:
    expected = 'a port as "9353", or address and port as "127.0.0.1:9353" or "[::]:9353"; or empty'
    if not isinstance(value, str):
        raise InvalidError(expected)
    if not value:
        return None
    host, _, port = value.rpartition(":")
    is_number = port.isascii() and port.isdigit() and len(port) <= len(str(_PORT_MAX))
    if not (is_number and 0 < int(port) <= _PORT_MAX):
        raise InvalidError(expected)
    try:
        # A bare port is for this node only: what is to be reached says its address.
        address = parse_address(host.strip("[]") or "127.0.0.1")
    except ValueError:
        raise InvalidError(expected) from None
    return Listen(str(address), int(port))


def read_count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 100:
        raise InvalidError("a whole number from 1 to 100")
    return value


def seconds_reader(longest: int, shortest: float = _SHORTEST) -> Callable[[object], float]:
    def read(value: object) -> float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        # Compared as it is: no float holds an int of 400 digits.
        if not is_number or not shortest <= value <= longest:  # type: ignore[operator]
            raise InvalidError(f"a number of seconds from {shortest:g} to {longest}")
        return float(value)  # type: ignore[arg-type]

    return read


def choice_reader(choices: type[_Choice]) -> Callable[[object], _Choice]:
    def read(value: object) -> _Choice:
        try:
            return choices(str(value))
        except ValueError:
            raise InvalidError("one of " + ", ".join(f'"{choice}"' for choice in choices)) from None

    return read


def cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
