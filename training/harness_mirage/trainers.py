"""A method as a Trainer, which is what `harness train` calls; nothing heavy is imported before it plans or trains."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

from harness import BadData, HarnessError, Json, Setting, Trainer, Training, UnknownName

from .methods import SETTINGS, Method, parse_method

FORMATS: Final = ("sharegpt", "llamafactory", "swift")
OWN: Final = "own"
_FILE: Final = "method"  #: the setting by which `harness train FILE.yaml` reaches a trainer


def trainer(method: Method) -> Trainer:
    """The Trainer of a method."""
    return _build_trainer(method.name, method.description, lambda _: method, SETTINGS)


def build_own_trainer() -> Trainer:
    """The Trainer of methods that users describe in a YAML file: `harness train FILE.yaml`."""

    def find_method(training: Training) -> Method:
        file = training.settings.get(_FILE)
        if file is None:
            raise HarnessError("no method is described", remedy=f"harness train FILE.yaml, or -S {_FILE}=FILE.yaml")
        return load_method(Path(file))

    file = Setting(name=_FILE, type=Path, default=None, identity=True, help="YAML file that describes the method")
    return _build_trainer(OWN, "a method of your own: harness train FILE.yaml", find_method, (file, *SETTINGS))


def load_method(file: Path) -> Method:
    """Read a method from a YAML file. Raises BadData or UnknownName with the key that is wrong."""
    from harness.runs.config import load_yaml
    from harness.settings import nearest

    from .recipe import list_methods

    found = load_yaml(file, "a method")
    if not isinstance(found, dict):
        raise BadData("a method is a mapping", where=str(file))
    named = {"name": re.sub(r"[^a-z0-9_.-]", "-", file.stem.lower()), "description": file.name}
    method = parse_method(named | cast("dict[str, Any]", found), str(file))
    if method.recipe and method.recipe not in list_methods():
        what = f"recipe: no row of the recipes has values of a method {method.recipe!r}"
        raise UnknownName(what, where=str(file), remedy=nearest(method.recipe, list_methods()))
    return method


def _build_trainer(
    name: str, description: str, find_method: Callable[[Training], Method], settings: tuple[Setting, ...]
) -> Trainer:
    def plan(training: Training) -> str:
        from .run import render_preview

        return render_preview(find_method(training), training)

    def list_facts(training: Training) -> dict[str, Json]:
        from .run import preview_json

        return preview_json(find_method(training), training)

    def train(training: Training) -> Path:
        from .run import run_training

        return run_training(find_method(training), training)

    def export(layout: str, training: Training) -> Path:
        from .data import mix, write

        return write(layout, mix(find_method(training), training), training.out)

    return Trainer(
        name=name,
        description=description,
        plan=plan,
        train=train,
        settings=settings,
        exports={layout: partial(export, layout) for layout in FORMATS},
        facts=list_facts,
    )
