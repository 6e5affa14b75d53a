"""A model of the zoo, opened, and what is to be known about it."""

from __future__ import annotations

import difflib
import functools
import sys
import threading
from contextlib import nullcontext, suppress
from typing import Any

from .faults import Refused
from .knobs import Knobs
from .packages import class_called, openable, zoo
from .secrets import secret
from .watching import watched

_NEAREST = 5
_QUIET = {"retry": 1, "wait": 0, "verbose": False}


class Opened:
    """A model in memory. `variant` gives it as it stands for certain generation settings."""

    def __init__(self, name: str, partial: Any, model: Any) -> None:
        self._name = name
        self._partial = partial
        self._model = model
        self._knobs = Knobs(model)
        self._variants: dict[tuple[tuple[str, Any], ...], Any] = {}
        self._lock = threading.Lock()
        self.is_api = bool(getattr(model, "is_api", False))

    def facts(self) -> dict[str, Any]:
        """What the parent tells the run."""
        kind = self._model.__class__
        return {
            "class": f"{kind.__module__}.{kind.__qualname__}",
            "is_api": self.is_api,
            "interleave": bool(getattr(self._model, "INTERLEAVE", False)),
            "takes": sorted(self._knobs.takes),
            "server": self._server(),
            "local_media": bool(getattr(self._model, "local_media", False)),
            "arguments": {name: _plain(value) for name, value in self._partial.keywords.items() if _counts(name)},
        }

    def variant(self, settings: dict[str, Any]) -> Any:
        """The model set to these generation settings; the same one for the same settings, weights shared."""
        wanted = tuple(sorted(settings.items()))
        with self._lock:
            if wanted not in self._variants:
                self._variants[wanted] = watched(self._knobs.turned(settings))
            return self._variants[wanted]

    def _server(self) -> str:
        named = (getattr(self._model, name, None) for name in ("api_base", "base_url", "url"))
        return next((address for address in named if isinstance(address, str) and address.startswith("http")), "")


def open_model(name: str, arguments: dict[str, Any]) -> Opened:
    """Open a model of the zoo, or a class of it by its own name.

    Raises:
        Refused: unknown_model with the nearest names, bad_arguments, or what the class raised.
    """
    partial = functools.partial(_found(name), **arguments)
    try:
        with no_grad():
            model = partial()
    except TypeError as error:
        if "argument" in str(error):
            raise Refused("bad_arguments", str(error)) from error
        raise
    _quiet(model)
    return Opened(name, partial, model)


def _found(name: str) -> Any:
    table = zoo()
    found = table.get(name) or class_called(name)
    if found is None:
        known = {each.casefold(): each for each in openable()}
        close = difflib.get_close_matches(name.casefold(), known, n=_NEAREST, cutoff=0.5)
        nearest = [known[each] for each in close]
        raise Refused("unknown_model", f"VLMEvalKit has no model {name!r}", nearest=nearest, count=len(table))
    return found


def _quiet(model: Any) -> None:
    """One try a call, no answers on the terminal: trying again and telling are the harness's."""
    for name, value in _QUIET.items():
        if hasattr(model, name):
            with suppress(AttributeError):
                setattr(model, name, value)


def no_grad() -> Any:
    """Gradients off in this thread, where torch is there: VLMEvalKit turns them off in the importing thread only."""
    torch = sys.modules.get("torch")
    return torch.no_grad() if torch is not None else nullcontext()


def _counts(name: str) -> bool:
    return name not in _QUIET and not secret(name)


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)[:200]
