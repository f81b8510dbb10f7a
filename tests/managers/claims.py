"""Assertions whose failure says all there is: pytest cuts what it finds out by itself."""

from collections.abc import Iterable, Mapping


def nothing(what: str, found: Mapping[str, object] | Iterable[object]) -> None:
    """Assert that this is empty; else every item of it is told."""
    lines = (
        [f"{key}: {value}" for key, value in found.items()]
        if isinstance(found, Mapping)
        else [str(one) for one in found]
    )
    assert not lines, f"{what}:\n" + "\n".join(lines)
