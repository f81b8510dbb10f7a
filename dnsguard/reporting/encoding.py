"""From the values of ``reporting`` to what json.dumps() takes."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

from dnsguard.reporting.problem import Problem


def to_json(value: object) -> object:
    """Return a value for JSON: a dataclass as an object, its fields in their order.

    What JSON has no word for is text: an address, a problem.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, tuple | list):
        return [to_json(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): to_json(one) for key, one in value.items()}
    if is_dataclass(value) and not isinstance(value, Problem):
        return {one.name: to_json(getattr(value, one.name)) for one in fields(value)}
    return str(value)
