"""Prometheus' text formats, beside the text that its own library makes of the same metrics."""

import math
from collections.abc import Iterator
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from dnsguard.formats import prometheus

names = st.from_regex(r"dnsguard_[a-z_]{1,8}[a-z]", fullmatch=True)
words = st.text(st.sampled_from('ab "\\\nä{},='), max_size=8)
values = st.one_of(
    st.integers(-10, 10**9),
    st.booleans(),
    st.floats(-1e9, 1e9).map(lambda value: round(value, 6)),
    st.floats(1e5, 9e9),  # beyond it writes e+010, which Go does not
    st.sampled_from([math.inf, -math.inf, math.nan, 0.0, 1e5, 1e6, 123456.5, 1234567.0]),
)
labels = st.dictionaries(st.sampled_from(["leg", "le", "mode"]), words, max_size=3)


@st.composite
def families(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["counter", "gauge", "histogram"]))
    name = draw(names.filter(lambda name: not name.endswith(("_total", "_created"))))
    suffixes = st.sampled_from(["_bucket", "_sum", "_count"] if kind == "histogram" else [""])
    sample = st.builds(
        lambda labels, value, suffix: {"labels": labels, "value": value, "suffix": suffix},
        labels,
        values,
        suffixes,
    )
    return {
        "name": f"{name}_total" if kind == "counter" else name,
        "kind": kind,
        "about": draw(words),
        "samples": draw(st.lists(sample, max_size=3)),
    }


class _Theirs(Collector):
    def __init__(self, family: dict[str, Any]) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        family = self._family
        name = family["name"].removesuffix("_total")
        metric = Metric(name, family["about"], family["kind"])
        for sample in family["samples"]:
            suffix = "_total" if family["kind"] == "counter" else sample["suffix"]
            metric.add_sample(name + suffix, sample["labels"], sample["value"])
        yield metric


def _registry(family: dict[str, Any]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Theirs(family))
    return registry


@given(families())
def test_the_text_is_the_librarys(family: dict[str, Any]) -> None:
    """Byte for byte, whatever a label says and however large a number is."""
    assert prometheus.write_text([family]) == generate_latest(_registry(family))


@given(families())
def test_openmetrics_is_the_librarys(family: dict[str, Any]) -> None:
    """The other format, too."""
    theirs = openmetrics.generate_latest(_registry(family))  # type: ignore[no-untyped-call]
    assert prometheus.write_openmetrics([family]) == theirs
