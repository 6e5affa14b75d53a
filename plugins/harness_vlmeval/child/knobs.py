"""Which generation settings a class takes, found in its own source, and a copy of a model set to them.

Classes of the zoo keep these as attributes, or in a dict that they hand on to their server or to `model.generate`. An
attribute that is only ever assigned has no effect (Claude's temperature), so it counts only where the source reads it.
A setting that is not found is not taken, and the run records that it was not.
"""

from __future__ import annotations

import ast
import copy
import inspect
import textwrap
from typing import Any, cast

_NAMES = {
    "temperature": ("temperature",),
    "max_tokens": ("max_tokens", "max_new_tokens", "max_completion_tokens"),
    "top_p": ("top_p",),
    "seed": ("seed",),
    "stop": ("stop",),
}
_DICTS = ("default_kwargs", "kwargs", "generate_kwargs", "gen_kwargs", "generation_config")
_GREEDY = "do_sample"  # transformers takes no temperature of 0: a local class that has no such switch takes none


class Knobs:
    """What can be set on one model.

    Attributes:
        takes: names of generation settings.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._local = not getattr(model, "is_api", False)
        self._read = _read(model.__class__)
        self.takes = {setting for setting in _NAMES if any(True for _ in self._places(setting))}

    @property
    def _own(self) -> dict[str, Any]:
        return cast("dict[str, Any]", vars(self._model))

    def turned(self, settings: dict[str, Any]) -> Any:
        """A copy of the model, sharing its weights, with those of the settings it takes; the others are left alone."""
        turned = copy.copy(self._model)
        held: dict[str, dict[str, Any]] = {place: dict(self._own[place]) for place in self._dicts()}
        for setting, value in settings.items():
            for place, name in self._places(setting):
                if name == _GREEDY:
                    held[place].update({_GREEDY: value > 0, **({"temperature": value} if value > 0 else {})})
                elif place:
                    held[place][name] = value
                else:
                    setattr(turned, name, value)
        for place, values in held.items():
            setattr(turned, place, values)
        return turned

    def _dicts(self) -> list[str]:
        own = self._own
        return [place for place in _DICTS if place in self._read and isinstance(own.get(place), dict)]

    def _places(self, setting: str) -> list[tuple[str, str]]:
        """Where a setting is kept: (dict, key), or ("", attribute)."""
        own = self._own
        names = _NAMES[setting]
        if setting == "temperature" and self._local:
            return [(place, _GREEDY) for place in self._dicts() if _GREEDY in own[place]]
        if setting == "temperature" and getattr(self._model, "is_max_completion_tokens", False):
            return []  # OpenAI's reasoning models: the class leaves it out
        attributes = [("", name) for name in names if name in own and name in self._read]
        return attributes + [(place, name) for place in self._dicts() for name in names if name in own[place]]


def _read(kind: type) -> set[str]:
    """Names of all attributes of `self` that the source of a class and of its bases reads."""
    found: set[str] = set()
    for base in kind.__mro__:
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):  # builtin, or made on the spot
            continue
        found |= {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Load)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
        }
    return found
