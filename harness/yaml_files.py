"""YAML files, read strictly: no key twice, no depth without end; and the line on which each value stands."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from harness.errors import HarnessError

if TYPE_CHECKING:
    import yaml

Place = tuple[str | int, ...]  #: keys and numbers from the top of the file to a value
#: words of an error of YAML's -> what to do about it
_ADVICE: Final[Mapping[str, str]] = {
    r"'\t' that cannot start": "indent with spaces: YAML takes no tabs",
    "cannot start any token": "put the text in quotes",
    "mapping values are not allowed": "indent keys of one mapping alike, and put a text that holds a colon in quotes",
    "undefined alias": "put a text that begins with * in quotes, or set the anchor (&name) before it",
    "could not determine a constructor": "put a text that begins with ! in quotes, or leave the tag out",
    "special characters": "take the character out",
    "another document": "leave out the line ---: the file holds one document",
    "for merging": "give << a mapping, such as the anchor of one (*name)",
    "unhashable key": "write each key as a text, in quotes if it begins with [, { or ?",
    "unknown escape": "put the text in single quotes, in which a backslash is a backslash",
    "integer string conversion": "put the number in quotes",
}
_MERGE: Final = "tag:yaml.org,2002:merge"  # the key `<<`, which may be repeated


@dataclass(frozen=True, slots=True, kw_only=True)
class YamlText:
    """A YAML text, read.

    Attributes:
        value: its content.
        where: of the file, for messages.
        lines: line of each key, and of each item of a list.
    """

    value: object
    where: str
    lines: Mapping[Place, int] = field(default_factory=dict[Place, int])

    def find(self, place: Place) -> str:
        """Where a value stands: file, line and key; the line of what holds it if it is not there itself."""
        known = next((place[:end] for end in range(len(place), 0, -1) if place[:end] in self.lines), ())
        line = f", line {self.lines[known]}" if known else ""
        return f"{self.where}{line}" + (f": {name_place(place)}" if place else "")


def name_place(place: Place) -> str:
    """A place as text: `data.files[2]`; numbers count from 1."""
    text = ""
    for part in place:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def load_yaml(path: Path, what: str) -> object:
    """The content of a YAML file.

    Raises:
        HarnessError: it cannot be read, is not YAML, is nested too deeply, or has a key twice. The message calls the
            file `what`.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise HarnessError(
            f"cannot read {what}: {error.strerror}",
            where=str(path),
            remedy="see whether it is there, is a file, and may be read",
        ) from None
    except UnicodeDecodeError as error:
        raise HarnessError(f"{what} is not YAML: {error}", where=str(path), remedy="save it as UTF-8") from None
    return parse_yaml(text, str(path), what).value


def parse_yaml(text: str, where: str, what: str) -> YamlText:
    """The content of a YAML text, and where its values stand. Raises as `load_yaml` does."""
    import yaml

    class Named(io.StringIO):  # YAML's errors show a stream's name
        name = Path(where).name

    lines: dict[Place, int] = {}
    try:
        loader: Any = yaml.SafeLoader(Named(text))
        node = loader.get_single_node()
        _check_keys(node, where)
        loaded: object = None if node is None else loader.construct_document(node)
        _find_lines(node, lines)
    except RecursionError:
        raise HarnessError(f"{what} is nested too deeply", where=where, remedy="use fewer levels") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a number of thousands of digits
        said = " ".join(str(error).split())
        raise HarnessError(f"{what} is not YAML: {said}", where=where, remedy=_advise(said)) from None
    return YamlText(value=loaded, where=where, lines=lines)


def _advise(said: str) -> str:
    """What to do about an error of YAML's."""
    found = (advice for word, advice in _ADVICE.items() if word in said)
    return next(found, "look at that line and the one before it: a quote, a bracket or a comma may be missing")


def _check_keys(root: yaml.Node | None, where: str) -> None:
    """Raise HarnessError for a repeated key; YAML would silently use the last."""
    import yaml

    seen, left = set[int](), [root]
    while left:
        node = left.pop()
        if id(node) in seen:  # an anchor's node is in several places, and may hold itself
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            left += node.value
        elif isinstance(node, yaml.MappingNode):
            lines: dict[tuple[str, str], int] = {}
            for key, value in node.value:
                left += (key, value)
                if not isinstance(key.value, str) or key.tag == _MERGE:
                    continue
                name, line = (key.tag, key.value), key.start_mark.line + 1
                if name in lines:
                    what = f"the key {key.value!r} is repeated; it is first in line {lines[name]}"
                    raise HarnessError(what, where=f"{where}, line {line}", remedy="remove one of them")
                lines[name] = line


def _find_lines(root: yaml.Node | None, lines: dict[Place, int]) -> None:
    """The line of each key and item. An anchor's node is entered once, so one that holds itself ends."""
    import yaml

    seen: set[int] = set()
    left: list[tuple[Place, yaml.Node | None]] = [((), root)]
    while left:
        place, node = left.pop()
        if id(node) in seen:
            continue
        if isinstance(node, yaml.SequenceNode):
            seen.add(id(node))
            for number, item in enumerate(cast("list[yaml.Node]", node.value)):
                lines[*place, number] = item.start_mark.line + 1
                left.append(((*place, number), item))
        elif isinstance(node, yaml.MappingNode):
            seen.add(id(node))
            for key, value in node.value:
                if isinstance(key.value, str):
                    lines[*place, key.value] = key.start_mark.line + 1
                    left.append(((*place, key.value), value))
