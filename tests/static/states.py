"""The tables of docs/states.md, and the world that they are about."""

from collections.abc import Iterable

from dnsguard import config
from dnsguard.core.policy import fill_policy
from dnsguard.formats.address import parse_address
from static.manual import ROOT

STATES = ROOT / "docs/states.md"
POLICY = fill_policy(config.defaults().policy, None)
NODELOCAL_ADDRESS = POLICY.nodelocal[0]
UPSTREAM = parse_address("192.0.2.53")
Row = dict[str, str]


def _tables() -> dict[str, list[Row]]:
    """Return the tables of docs/states.md by the header they stand under."""
    tables: dict[str, list[Row]] = {}
    header = ""
    names: list[str] = []
    for line in STATES.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            header, names = line.removeprefix("## "), []
        elif line.startswith("|---"):
            tables[header] = []
        elif line.startswith("|"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if names:
                tables[header].append(dict(zip(names, cells, strict=True)))
            names = names or cells
    return tables


def _fits(row: Row, world: Row) -> bool:
    return all(
        row[name] == "any" or value in row[name].split(", ") for name, value in world.items()
    )


def check_claims(table: str, worlds: Iterable[tuple[Row, Row]]) -> None:
    """Hold every world's outcome against the first row that fits it."""
    rows, used = _tables()[table], set()
    for world, outcome in worlds:
        place = next((at for at, row in enumerate(rows) if _fits(row, world)), None)
        assert place is not None, f"{table}: no row for {world}, which leads to {outcome}"
        used.add(place)
        row = rows[place]
        claimed = {name: row[name] for name in outcome}
        assert claimed == outcome, f"{table}: wrong about {world}"
    assert [row for at, row in enumerate(rows) if at not in used] == [], (
        f"{table}: rows for nothing"
    )
