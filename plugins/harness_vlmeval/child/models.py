"""The models of VLMEvalKit: finds them by name, opens them, and applies the generation settings that their class reads.

Zoo classes keep generation settings as attributes, or in a dict that they pass to their server or to `model.generate`.
An attribute that is only assigned has no effect (Claude's temperature), so it counts only if the source reads it. A
setting that is not found is dropped, and the run records that.
"""

from __future__ import annotations

import ast
import copy
import difflib
import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import platform
import sys
import textwrap
import threading
from contextlib import nullcontext, suppress
from typing import Any, cast

from .calls import watch
from .protocol import Refused, is_secret

PROTOCOL = 1
_DISTRIBUTIONS = ("ms-vlmeval", "nvidia-vlmeval", "vlmeval")  # one import name
_NEAREST = 5
_QUIET = {"retry": 1, "wait": 0, "verbose": False}
_NAMES = {
    "temperature": ("temperature",),
    "max_tokens": ("max_tokens", "max_new_tokens", "max_completion_tokens"),
    "top_p": ("top_p",),
    "seed": ("seed",),
    "stop": ("stop",),
}
_DICTS = ("default_kwargs", "kwargs", "generate_kwargs", "gen_kwargs", "generation_config")
_GREEDY = "do_sample"  # transformers rejects temperature 0: a local class without this switch cannot take it


def hello() -> dict[str, Any]:
    """The package and version; finds VLMEvalKit without importing it, which takes seconds."""
    package, version = "", ""
    if importlib.util.find_spec("vlmeval") is not None:
        package, version = "vlmeval", "unknown"  # a checkout on the path
        for name in _DISTRIBUTIONS:
            with suppress(importlib.metadata.PackageNotFoundError):
                package, version = name, importlib.metadata.version(name)
                break
    return {"protocol": PROTOCOL, "python": platform.python_version(), "package": package, "version": version}


def check_installed() -> None:
    """Raise Refused if VLMEvalKit is not installed."""
    if importlib.util.find_spec("vlmeval") is None:
        raise Refused("not_installed", "this interpreter has no VLMEvalKit")


def load_zoo() -> dict[str, Any]:
    """VLMEvalKit's table of models: name -> partial of a class. Raises Refused if it is not installed."""
    check_installed()
    table: dict[str, Any] = importlib.import_module("vlmeval.config").supported_VLM
    return table


def open_model(name: str, arguments: dict[str, Any]) -> OpenedModel:
    """Open a zoo model, or a class by name, as in VLMEvalKit's configuration files.

    Raises:
        Refused: unknown_model with the nearest names, bad_arguments, or the class's error.
    """
    table = load_zoo()
    modules = [importlib.import_module(name) for name in ("vlmeval.vlm", "vlmeval.api")]
    values = {name: value for module in modules for name, value in vars(module).items()}
    classes = {key: each for key, each in values.items() if isinstance(each, type) and hasattr(each, "generate")}
    found = table.get(name) or classes.get(name)
    if found is None:
        known = {each.casefold(): each for each in (*table, *classes)}
        close = difflib.get_close_matches(name.casefold(), known, n=_NEAREST, cutoff=0.5)
        nearest = [known[each] for each in close]
        raise Refused("unknown_model", f"VLMEvalKit has no model {name!r}", nearest=nearest, count=len(table))
    partial = functools.partial(found, **arguments)
    try:
        with no_grad():
            model = partial()
    except TypeError as error:
        if "argument" in str(error):
            raise Refused("bad_arguments", str(error)) from error
        raise
    # one try per call, no answers on the terminal: the harness retries and reports
    for setting, value in _QUIET.items():
        if hasattr(model, setting):
            with suppress(AttributeError):
                setattr(model, setting, value)
    return OpenedModel(partial, model)


class OpenedModel:
    """A model in memory. `variant` returns a copy with given generation settings."""

    def __init__(self, partial: Any, model: Any) -> None:
        self._partial = partial
        self._model = model
        self._generation = GenerationSettings(model)
        self._variants: dict[tuple[tuple[str, Any], ...], Any] = {}
        self._lock = threading.Lock()
        self.is_api = bool(getattr(model, "is_api", False))

    def facts(self) -> dict[str, Any]:
        """Facts for the parent to record."""
        kind = self._model.__class__
        named = (getattr(self._model, name, None) for name in ("api_base", "base_url", "url"))
        return {
            "class": f"{kind.__module__}.{kind.__qualname__}",
            "is_api": self.is_api,
            "interleave": bool(getattr(self._model, "INTERLEAVE", False)),
            "takes": sorted(self._generation.takes),
            "server": next((each for each in named if isinstance(each, str) and each.startswith("http")), ""),
            "local_media": bool(getattr(self._model, "local_media", False)),
            "arguments": {
                name: value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)[:200]
                for name, value in self._partial.keywords.items()
                if name not in _QUIET and not is_secret(name)
            },
        }

    def variant(self, settings: dict[str, Any]) -> Any:
        """A copy with these generation settings, cached by settings; weights are shared."""
        wanted = tuple(sorted(settings.items()))
        with self._lock:
            if wanted not in self._variants:
                self._variants[wanted] = watch(self._generation.apply(settings))
            return self._variants[wanted]


def no_grad() -> Any:
    """Turn gradients off in this thread if torch is loaded: VLMEvalKit does so only in the importing thread."""
    torch = sys.modules.get("torch")
    return torch.no_grad() if torch is not None else nullcontext()


class GenerationSettings:
    """The generation settings of one model.

    Attributes:
        takes: names of supported settings.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._local = not getattr(model, "is_api", False)
        self._read = _find_read_attributes(model.__class__)
        self.takes = {setting for setting in _NAMES if any(True for _ in self._places(setting))}

    @property
    def _own(self) -> dict[str, Any]:
        return cast("dict[str, Any]", vars(self._model))

    def apply(self, settings: dict[str, Any]) -> Any:
        """A copy of the model with the supported settings applied; it shares the weights."""
        copied = copy.copy(self._model)
        held: dict[str, dict[str, Any]] = {place: dict(self._own[place]) for place in self._dicts()}
        for setting, value in settings.items():
            for place, name in self._places(setting):
                if name == _GREEDY:
                    held[place].update({_GREEDY: value > 0, **({"temperature": value} if value > 0 else {})})
                elif place:
                    held[place][name] = value
                else:
                    setattr(copied, name, value)
        for place, values in held.items():
            setattr(copied, place, values)
        return copied

    def _dicts(self) -> list[str]:
        own = self._own
        return [place for place in _DICTS if place in self._read and isinstance(own.get(place), dict)]

    def _places(self, setting: str) -> list[tuple[str, str]]:
        """Places of a setting: (dict, key), or ("", attribute)."""
        own = self._own
        names = _NAMES[setting]
        if setting == "temperature" and self._local:
            return [(place, _GREEDY) for place in self._dicts() if _GREEDY in own[place]]
        if setting == "temperature" and getattr(self._model, "is_max_completion_tokens", False):
            return []  # OpenAI's reasoning models: the class leaves it out
        attributes = [("", name) for name in names if name in own and name in self._read]
        return attributes + [(place, name) for place in self._dicts() for name in names if name in own[place]]


def _find_read_attributes(kind: type) -> set[str]:
    """Names of all attributes of `self` that the source of a class and of its bases reads."""
    found: set[str] = set()
    for base in kind.__mro__:
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):  # builtin, or created at run time
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
