"""Figures of what dnsguard costs, as bars, as a table and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench_report import Bar, finite, percentile, table


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One question and what was measured, each time it was."""

    name: str
    values: Sequence[float]
    unit: str
    limit: float | None = None

    @property
    def median(self) -> float:
        return percentile(self.values, 0.5)


def bars(figures: Sequence[Figure]) -> list[Bar]:
    return [
        Bar(
            name=figure.name + (", median" if len(figure.values) > 1 else ""),
            value=figure.median,
            limit=figure.limit,
            unit=figure.unit,
        )
        for figure in figures
        if figure.limit is not None
    ]


def text(figures: Sequence[Figure]) -> str:
    rows = [
        [
            figure.name,
            str(len(figure.values)),
            f"{figure.median:.1f}{figure.unit}",
            f"{max(figure.values):.1f}{figure.unit}",
        ]
        for figure in figures
    ]
    return table(["", "runs", "median", "worst"], rows)


def as_json(figures: Sequence[Figure]) -> dict[str, object]:
    return {
        "figures": [
            {
                "name": figure.name,
                "unit": figure.unit.strip(),
                "runs": len(figure.values),
                "median": finite(figure.median),
                "worst": finite(max(figure.values)),
            }
            for figure in figures
        ]
    }
