"""The values of options, taken from a file the way dhclient takes them.

The option parsing of ISC's ``common/parse.c``. Only addresses and texts are kept.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address

from dnsguard.formats.address import IPAddress, inet_aton
from dnsguard.formats.dhclient.options import ANY
from dnsguard.formats.dhclient.tokens import NAMES, NUMERIC, Kind, Tokens


@dataclass(slots=True)
class Value:
    """What was read for an option; ``texts`` has host names and domains."""

    addresses: list[IPAddress] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def read_value(tokens: Tokens, form: str, value: Value) -> bool:
    """Take a value of this format up to its ``;`` (``parse_option_data``, common/parse.c:4774).

    False after a value that is none; dhclient has then skipped what is skipped here.

    :param form: letters of ``common/tables.c``; ``A`` repeats all, ``a`` the last one.
    """
    if form == ANY:
        while not tokens.peek().is_sign(b";{}") and tokens.peek().kind is not Kind.END:
            tokens.take()
        return True
    letters = form + "\0"
    at = 0
    while True:
        while letters[at] not in "Aa\0":
            letter, is_optional = letters[at], letters[at + 1] == "o"
            at += 1
            if letter in "oc." or (is_optional and tokens.peek().is_sign(b";")):
                continue
            reader = _Reader(tokens, value, is_optional=is_optional)
            if not reader.read(letter) and not is_optional:
                return False
        if letters[at] == "\0":
            return True
        if tokens.peek().is_sign(b","):
            tokens.take()
            at = 0 if letters[at] == "A" else at - 1
        elif letters[at] == "A" or letters[at + 1] == "\0":
            return True
        else:
            at += 1


def read_ipv4(tokens: Tokens) -> IPv4Address | None:
    """Take four numbers with dots between them (``parse_numeric_aggregate``, common/parse.c:701).

    Each counts modulo 256, as for dhclient, which complains and goes on.
    """
    octets = bytearray()
    while True:
        token = tokens.take()
        if token.kind is not Kind.NUMBER:
            tokens.fail()
            return None
        octets.append(_parse_octet(token.text))
        if len(octets) == 4:
            return IPv4Address(bytes(octets))
        token = tokens.peek()
        if not token.is_sign(b"."):
            if not token.is_sign(b"{}"):
                tokens.take()
            tokens.fail(taken=token)
            return None
        tokens.take()


def _parse_octet(text: bytes) -> int:
    # 10**8 is a multiple of 256, and int() refuses what is very long.
    value = int(text.lstrip(b"-")[-8:])
    return (-value if text[:1] == b"-" else value) & 0xFF


class _Reader:
    """Takes one element of a value; False where it is none."""

    def __init__(self, tokens: Tokens, value: Value, *, is_optional: bool) -> None:
        self._tokens = tokens
        self._value = value
        self._is_optional = is_optional

    def read(self, letter: str) -> bool:  # noqa: C901, PLR0911 -- a letter, a case
        """Take what one letter of a format stands for.

        ``parse_option_token``, common/parse.c:4940.
        """
        match letter:
            case "I":
                return self._read_ipv4_or_host()
            case "6":
                return self._read_ipv6()
            case "D":
                return self._read_domain_list()
            case "d":
                return self._read_domain()
            case "t" | "U":
                return self._read_text()
            case "X" | "E":
                return self._read_data()
            case "N":
                return self._tokens.take().kind in NAMES or self._tokens.fail()
            case "f":
                return self._read_word("true", "on", "false", "off", "ignore")
            case "T":
                return self._read_word("infinite") if self._is_name() else self._read_number()
            case "Z":
                return self._tokens.peek().is_sign(b";") or not self._tokens.fail()
        return self._read_number()

    def _is_name(self) -> bool:
        return self._tokens.peek().kind is Kind.NAME

    def _fail(self) -> bool:
        """Fail over a token already taken, unless the value may be missing."""
        taken = self._tokens.taken
        return not self._is_optional and self._tokens.fail(taken=taken)

    def _read_ipv4_or_host(self) -> bool:
        """After a bad address it takes the next words for a name.

        ``parse_ip_addr_or_hostname``, common/parse.c:268.
        """
        tokens = self._tokens
        token = tokens.peek()
        is_number = token.kind is Kind.NUMBER
        if is_number and tokens.peek(1).is_sign(b".") and tokens.peek(2).kind is Kind.NUMBER:
            address = read_ipv4(tokens)
            if address is not None:
                self._value.addresses.append(address)
                return True
        elif not is_number and token.kind not in NAMES:
            if not token.is_sign(b"{}"):
                tokens.take()
            return tokens.fail(taken=token)
        name = _read_host_name(tokens)
        address = inet_aton(name)
        if address is not None:  # gethostbyname(3) takes it as one, in all its notations
            self._value.addresses.append(address)
        elif name:
            self._value.texts.append(name)
        return bool(name)

    def _read_ipv6(self) -> bool:
        """``parse_ip6_addr`` (common/parse.c:372): what hangs together goes to inet_pton(3)."""
        tokens = self._tokens
        text = ""
        end = tokens.peek().start
        while tokens.peek().start == end and (
            tokens.peek().kind in NUMERIC or tokens.peek().is_sign(b".:")
        ):
            token = tokens.take()
            text += token.word
            end = token.end
        try:
            self._value.addresses.append(IPv6Address(text))
        except ValueError:
            return tokens.fail()
        return True

    def _read_domain_list(self) -> bool:
        """``parse_domain_list`` (common/parse.c:5650): strings, each a domain name."""
        tokens = self._tokens
        while True:
            token = tokens.take()
            name = token.text.decode("latin-1")
            if token.kind is not Kind.STRING or not _is_domain(name):
                # Whatever was taken, even a ``;``: skipped up to the next one.
                return not self._is_optional and tokens.fail()
            self._value.texts.append(name)
            if not tokens.peek().is_sign(b","):
                return True
            tokens.take()

    def _read_domain(self) -> bool:
        name = _read_host_name(self._tokens)
        if not name or not _is_domain(name):
            return self._tokens.fail()
        self._value.texts.append(name)
        return True

    def _read_text(self) -> bool:
        token = self._tokens.take()
        if token.kind is not Kind.STRING and token.kind not in NAMES:
            return self._fail()
        self._value.texts.append(token.text.decode("latin-1"))
        return True

    def _read_number(self) -> bool:
        return self._tokens.take().kind in NUMERIC or self._fail()

    def _read_word(self, *words: str) -> bool:
        token = self._tokens.take()
        return (token.kind in NAMES and token.word in words) or self._fail()

    def _read_data(self) -> bool:
        """Take a string, or hexadecimal numbers with colons between them.

        ``parse_cshl``, common/parse.c:2002.
        """
        tokens = self._tokens
        if tokens.peek().kind not in NUMERIC:
            is_string = tokens.take().kind is Kind.STRING
            return is_string or (not self._is_optional and tokens.fail())
        while tokens.take().kind in NUMERIC:
            if not tokens.peek().is_sign(b":"):
                return True
            tokens.take()
        return tokens.fail()


def _read_host_name(tokens: Tokens) -> str:
    """Take names with dots between them (``parse_host_name``, common/parse.c:196)."""
    parts = []
    while tokens.peek().kind in (*NAMES, Kind.NUMBER):
        parts.append(tokens.take().text.decode("latin-1"))
        if not tokens.peek().is_sign(b"."):
            break
        tokens.take()
    return ".".join(parts)


def _is_domain(name: str) -> bool:
    labels = name.removesuffix(".").split(".")
    return name in ("", ".") or (len(name) < 255 and all(0 < len(label) < 64 for label in labels))
