"""A simple reading of YAML: the block style in which netplan and cloud-init write.

Mappings, sequences, plain and quoted scalars, ``[...]`` and ``{...}``; all scalars stay
text. Anchors, tags, block scalars, several documents and keys that aren't plain are not
read: what they stand for is left out or stays text. No YAML library is standard, and
what only names nameservers needs none.
"""

import re
from itertools import islice

MAX_BYTES = 1 << 16
"""Read from the top; what stands behind is not."""
MOST_LINES = 4000
MOST_PIECES = 5_000
DEEPEST = 32

Node = str | list["Node"] | dict[str, "Node"]

_KEY = re.compile(r"(\"[^\"]*\"|'[^']*'|[^\s\"'\[\]{}#,&*!|>%@`-][^:#]*|-[^\s:#][^:#]*):(?:[ ]+|$)")
_COMMENT = re.compile(r"(?:^|[ \t])#")
_FLOW = re.compile(
    r"\"(?:[^\"\\]|\\.)*\"|'[^']*'|[\[\]{},]|:(?=[\s,\[\]{}]|$)|(?:[^\s\[\]{},:]|:(?![\s,\[\]{}]|$))+|\s+"
)


def read(content: bytes) -> Node:
    """Return what a file says as mappings, sequences and texts; any bytes will do."""
    text = content[:MAX_BYTES].decode("utf-8", "replace")
    lines = []
    for raw in text.split("\n")[:MOST_LINES]:
        line = _uncommented(raw.rstrip())
        if line.strip() and not line.startswith(("---", "...", "%")):
            lines.append((len(line) - len(line.lstrip(" ")), line.strip()))
    return _Block(lines).read(0, 0)


def _uncommented(line: str) -> str:
    match = _COMMENT.search(line)
    if match is None:
        return line
    before = line[: match.start()]
    is_quoted = before.count('"') % 2 or before.count("'") % 2
    return line if is_quoted else before.rstrip()


class _Block:
    """A cursor over the lines of a file: how far each is indented, and its text."""

    def __init__(self, lines: list[tuple[int, str]]) -> None:
        self._lines = lines
        self._at = 0
        self._pieces_left = MOST_PIECES

    def read(self, indentation: int, depth: int) -> Node:
        """Take a node that is indented at least as far."""
        if self._at == len(self._lines) or self._lines[self._at][0] < indentation:
            return ""
        indentation, line = self._lines[self._at]
        if depth > DEEPEST:
            self._skip(indentation)
            return ""
        if _is_item(line):
            return self._sequence(indentation, depth)
        if _KEY.match(line):
            return self._mapping(indentation, depth)
        self._at += 1
        return self._flow(line)

    def _sequence(self, indentation: int, depth: int) -> Node:
        items: list[Node] = []
        while self._is_at(indentation) and _is_item(self._lines[self._at][1]):
            line = self._lines[self._at][1]
            rest = line[1:].lstrip()
            if rest:
                # What follows "- " is indented by as much as it stands behind it.
                self._lines[self._at] = (indentation + len(line) - len(rest), rest)
            else:
                self._at += 1
            items.append(self.read(indentation + 1, depth + 1))
            self._skip(indentation + 1)
        return items

    def _mapping(self, indentation: int, depth: int) -> Node:
        mapping: dict[str, Node] = {}
        while self._is_at(indentation) and (match := _KEY.match(self._lines[self._at][1])):
            value = self._lines[self._at][1][match.end() :]
            self._at += 1
            if value:
                mapping[_unquoted(match[1].strip())] = self._flow(value)
            else:
                # A sequence may stand as far left as its key.
                is_item = self._is_at(indentation) and _is_item(self._lines[self._at][1])
                below = self.read(indentation + (not is_item), depth + 1)
                mapping[_unquoted(match[1].strip())] = below
            self._skip(indentation + 1)
        return mapping

    def _is_at(self, indentation: int) -> bool:
        return self._at < len(self._lines) and self._lines[self._at][0] == indentation

    def _skip(self, indentation: int) -> None:
        while self._at < len(self._lines) and self._lines[self._at][0] >= indentation:
            self._at += 1

    def _flow(self, text: str) -> Node:
        """Return a scalar, or a collection in brackets, which may go on in the next lines."""
        if text[:1] not in ("[", "{"):
            return _unquoted(text)
        parts, depth = [text], _depth(text)
        while depth > 0 and self._at < len(self._lines):
            parts.append(self._lines[self._at][1])
            depth += _depth(parts[-1])
            self._at += 1
        matches = islice(_FLOW.finditer(" ".join(parts)), self._pieces_left)
        pieces = [match.group() for match in matches]
        self._pieces_left -= len(pieces)
        return _Flow(pieces).read(0)


class _Flow:
    """A cursor over the pieces of a collection in brackets."""

    def __init__(self, pieces: list[str]) -> None:
        self._pieces = [piece for piece in pieces if not piece.isspace()]
        self._at = 0

    def read(self, depth: int) -> Node:
        piece = self._next()
        if depth > DEEPEST:
            return ""
        if piece == "[":
            return self._sequence(depth)
        if piece == "{":
            return self._mapping(depth)
        words = [piece]
        while self._peek() not in ("", ",", "]", "}", ":"):
            words.append(self._next())
        return _unquoted("".join(words))

    def _sequence(self, depth: int) -> Node:
        items: list[Node] = []
        while self._peek() not in ("", "]"):
            if self._peek() in (",", ":", "}"):
                self._next()
            else:
                items.append(self.read(depth + 1))
        self._next()
        return items

    def _mapping(self, depth: int) -> Node:
        mapping: dict[str, Node] = {}
        while self._peek() not in ("", "}"):
            if self._peek() in (",", ":", "]"):
                self._next()
                continue
            key = self.read(depth + 1)
            if self._peek() == ":":
                self._next()
            value = self.read(depth + 1) if self._peek() not in ("", ",", "}") else ""
            if isinstance(key, str):
                mapping[key] = value
        self._next()
        return mapping

    def _peek(self) -> str:
        return self._pieces[self._at] if self._at < len(self._pieces) else ""

    def _next(self) -> str:
        piece = self._peek()
        self._at += 1
        return piece


def _is_item(line: str) -> bool:
    return line == "-" or line.startswith("- ")


def _depth(text: str) -> int:
    return sum(map(text.count, "[{")) - sum(map(text.count, "]}"))


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
