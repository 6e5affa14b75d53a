"""What the columns of a parquet file are to a task: plain values, images, or nothing it can use.

An image is bytes, or the hub's struct of `bytes` and `path`, or a list of either. Its bytes are never read to list the
records: a record names the place of an image, `data/SD.parquet#image/12`, and the image is read from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from harness.readers.untyped import Untyped, arrow

BYTES: Final = "bytes"  #: the field of the hub's struct that holds an image


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageColumn:
    """A column of images.

    Attributes:
        name: of the column.
        data: the leaf that holds the bytes, by its path in the file.
        shape: a leaf that says how many images each record has and which are null; the smallest one that does.
        several: each record holds a list of images.
        struct: an image is the hub's struct, not bare bytes.
    """

    name: str
    data: str
    shape: str
    several: bool
    struct: bool


def plain_columns(schema: Untyped) -> list[str]:
    """The columns whose values are texts, numbers, truth values, nulls, and lists and objects of these."""
    return [field.name for field in schema if _plain(field.type)]


def image_columns(schema: Untyped, leaves: list[str]) -> list[ImageColumn]:
    """The columns of images.

    Args:
        schema: of the file, as Arrow sees it.
        leaves: path of every leaf in the file, such as `images.list.element.bytes`.
    """
    found = (_image(field, [leaf for leaf in leaves if _under(leaf, field.name)]) for field in schema)
    return [column for column in found if column is not None]


def _image(field: Untyped, leaves: list[str]) -> ImageColumn | None:
    several = _is_list(field.type)
    kind = field.type.value_type if several else field.type
    struct: bool = arrow.types.is_struct(kind) and kind.get_field_index(BYTES) >= 0
    if not _is_bytes(kind.field(BYTES).type if struct else kind):
        return None
    data = next(leaf for leaf in leaves if not struct or leaf.endswith(f".{BYTES}"))
    names = [leaf for leaf in leaves if struct and several and leaf.endswith(".path")]
    return ImageColumn(name=field.name, data=data, shape=names[0] if names else data, several=several, struct=struct)


def _under(leaf: str, name: str) -> bool:
    return leaf == name or leaf.startswith(f"{name}.")


def _plain(kind: Untyped) -> bool:
    types = arrow.types
    if _is_list(kind):
        return _plain(kind.value_type)
    if types.is_dictionary(kind):
        return _plain(kind.value_type)
    if types.is_struct(kind):
        return all(_plain(field.type) for field in _fields(kind))
    tests = (types.is_string, types.is_large_string, types.is_boolean, types.is_integer, types.is_floating)
    return types.is_null(kind) or any(test(kind) for test in tests)


def _fields(struct: Untyped) -> Iterator[Untyped]:
    return (struct.field(number) for number in range(struct.num_fields))


def _is_list(kind: Untyped) -> bool:
    types = arrow.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _is_bytes(kind: Untyped) -> bool:
    types = arrow.types
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))
