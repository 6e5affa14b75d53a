"""What the fields of a config are held to, beyond their type. Each raises what pydantic turns into an error."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Final, cast

import pydantic
from pydantic_core import PydanticCustomError

from harness import HarnessError, UnknownName
from harness.http.status import as_mapping
from harness.settings import nearest

#: pydantic's kind of an error -> how a person would say it
_WORDS: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "string_type": "must be a text, not {given}",
    "bool_type": "must be true or false, not {given}",
    "int_type": "must be a whole number, not {given}",
    "float_type": "must be a number, not {given}",
    "list_type": "must be a list, not {given}",
    "dict_type": "must be a mapping, not {given}",
    "literal_error": "must be {expected}",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a number that is not infinite",
    "too_short": "must not be empty",
}
UNKNOWN: Final = "unknown_key"  # a key, or a name, that there is not
WRONG: Final = "wrong"


def wrong(message: str, remedy: str = "") -> PydanticCustomError:
    """A value that cannot be."""
    return PydanticCustomError(WRONG, "{message}", {"message": message, "remedy": remedy})


def unknown(message: str, name: str, known: Iterable[str]) -> PydanticCustomError:
    """A name that there is not, with the nearest that there is."""
    return PydanticCustomError(UNKNOWN, "{message}", {"message": message, "remedy": nearest(name, known)})


def held(error: HarnessError) -> PydanticCustomError:
    """What a check of elsewhere found, to be told with the key that it is about."""
    kind = UNKNOWN if isinstance(error, UnknownName) else WRONG
    return PydanticCustomError(kind, "{message}", {"message": error.what, "remedy": error.remedy})


class Strict(pydantic.BaseModel):
    """A section: exactly its keys, of exactly their types."""

    model_config: ClassVar[pydantic.ConfigDict] = pydantic.ConfigDict(strict=True, frozen=True, extra="forbid")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _known(cls, value: Any) -> Any:
        if value is None:
            return {}  # a section whose keys are all commented out
        if not isinstance(value, Mapping):
            raise wrong(f"must be a mapping of keys to values, not {spoken(value)}")
        for key in cast("Mapping[object, Any]", value):
            if str(key) not in cls.model_fields:
                raise unknown(f"there is no key {str(key)!r}", str(key), cls.model_fields)
        return cast("Any", value)


def worded(kind: str, message: str, given: object, context: Mapping[str, Any]) -> str:
    """What is wrong with a value, from pydantic's error."""
    return _WORDS[kind].format(given=spoken(given), **context) if kind in _WORDS else message


def spoken(value: object) -> str:
    """What a value of YAML is, in words."""
    kinds: Mapping[type, str] = {str: "a text", bool: "a yes or no", list: "a list", type(None): "nothing"}
    return kinds.get(type(value), f"{value}" if isinstance(value, int | float) else "a mapping")


def _one_line(text: str) -> str:
    if not text.strip():
        raise wrong("is empty")
    if any(unicodedata.category(each) in ("Cc", "Zl", "Zp", "Cs") for each in text):
        raise wrong("must stand on one line")
    return text.strip()


def _of_seeds(name: str) -> str:
    """The name of a source is the first part of the keys of its seeds, before `/` and `#`."""
    if set(name) & set("/#"):
        raise wrong(f"{name!r} holds a / or a #, which part the keys of seeds")
    return name


def _a_ref(ref: str) -> str:
    scheme, _, name = ref.partition("/")
    if not scheme.strip() or not name.strip():
        raise wrong(f"{ref!r} is no model or painter", "write SCHEME/NAME, such as openai/NAME: see `harness models`")
    return ref


Line = Annotated[str, pydantic.AfterValidator(_one_line)]  #: one line that is not empty
SourceName = Annotated[Line, pydantic.AfterValidator(_of_seeds)]
Ref = Annotated[Line, pydantic.AfterValidator(_a_ref)]
Count = Annotated[int, pydantic.Field(ge=1)]
Size = Annotated[int, pydantic.Field(ge=64, le=4096)]
Price = Annotated[float, pydantic.Field(ge=0, allow_inf_nan=False)]
Amount = Annotated[float, pydantic.Field(gt=0, allow_inf_nan=False)]


def named(key: str) -> pydantic.BeforeValidator:
    """A text stands for a section of which it is the one key."""
    return pydantic.BeforeValidator(lambda value: {key: value} if isinstance(value, str) else value)


def known_keys(known: tuple[str, ...], what: str) -> pydantic.BeforeValidator:
    """A mapping has no other keys than these."""

    def check(value: Any) -> Any:
        for key in as_mapping(value):
            if key not in known:
                raise unknown(f"there is no {what} {str(key)!r}", str(key), known)
        return value

    return pydantic.BeforeValidator(check)
