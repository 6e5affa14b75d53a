"""What may be kept of what was read: the text rule over all texts of a value, or of each item of a list."""

from __future__ import annotations

from collections.abc import Iterator

from harness import Json
from harness.http.status import as_list, as_mapping
from harness_builder.stops import Stop, stop_text

from .values import blank


def sieve(value: Json) -> Json | Stop:
    """The value, or the stop where its texts may not be kept; they are read as one, keys of objects among them."""
    return stop_text(*texts(value)) or value


def sieve_items(value: Json) -> Json | Stop:
    """A list with a stop in the place of each item that may not be kept; what is no list is one item."""
    if not isinstance(value, list):
        return sieve(value)
    items = [(item, sieve(item)) for item in as_list(value)]
    return [blank(sieved) if isinstance(sieved, Stop) else item for item, sieved in items]


def texts(value: Json) -> Iterator[str]:
    """All texts in a JSON value, in order."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in as_mapping(value).items():
            yield name
            yield from texts(each)
    elif isinstance(value, list):
        for each in as_list(value):
            yield from texts(each)
