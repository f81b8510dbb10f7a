"""Prometheus' text formats, made by prometheus-client.

Its import costs 70 ms and 11 MiB: only what is asked for metrics loads this.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

Family = Mapping[str, Any]
"""core.metrics' families as they go over the control socket; ``Any`` is what JSON is."""


class _Collector(Collector):
    """What prometheus-client collects from."""

    def __init__(self, families: Sequence[Family]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family in self._families:
            name = family["name"].removesuffix("_total")
            metric = Metric(name, family["about"], family["kind"])
            for sample in family["samples"]:
                suffix = "_total" if family["kind"] == "counter" else sample["suffix"]
                metric.add_sample(name + suffix, dict(sample["labels"]), sample["value"])
            yield metric


def text(families: Sequence[Family]) -> bytes:
    """Return the metrics in the text format 0.0.4."""
    return generate_latest(_registry(families))


def negotiate(families: Sequence[Family], accept: str) -> tuple[bytes, str]:
    """Return the metrics as an ``Accept`` header prefers them, and their content type."""
    encode: Callable[[CollectorRegistry], bytes]
    encode, content_type = choose_encoder(accept)
    return encode(_registry(families)), content_type


def _registry(families: Sequence[Family]) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(families))
    return registry
