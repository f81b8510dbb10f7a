"""The ring's tables: one a node, a row a moment, a column a way to ask."""

from collections.abc import Iterator
from itertools import groupby

from managers.asking import Way

ROW = "asked"
"""The property by which a test's report brings a row."""

Row = tuple[str, str, dict[str, str]]
"""The node, the moment, and by way what came of asking."""


def lay_out(rows: list[Row]) -> Iterator[str]:
    """Yield the lines of all tables."""
    ways = [str(way) for way in Way]
    for node, group in groupby(sorted(rows, key=_node), key=_node):
        lines = [["", *ways], *([row[1], *(row[2].get(way, "-") for way in ways)] for row in group)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
        yield ""
        yield node
        for line in lines:
            yield "  " + "  ".join(map(str.ljust, line, widths)).rstrip()


def _node(row: Row) -> str:
    return row[0]
