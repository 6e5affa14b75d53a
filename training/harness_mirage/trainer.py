"""A method as a Trainer: what `harness train` calls."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness import HarnessError, Json, Setting, Trainer, Training

from .settings import SETTINGS

if TYPE_CHECKING:
    from .methods import Method

FORMATS: Final = ("sharegpt", "llamafactory", "swift")
OWN: Final = "own"
_FILE: Final = "method"  #: the setting by which `harness train FILE.yaml` reaches a trainer


def trainer(method: Method) -> Trainer:
    """The Trainer of a method; nothing heavy is imported before it plans or trains."""
    return Trainer(
        name=method.name,
        description=method.description,
        plan=partial(_plan, method),
        train=partial(_train, method),
        settings=SETTINGS,
        exports={layout: partial(_export, method, layout) for layout in FORMATS},
        facts=partial(_facts, method),
    )


def own() -> Trainer:
    """The Trainer of methods that users write down in a YAML file: `harness train FILE.yaml`."""
    file = Setting(name=_FILE, type=Path, default=None, identity=True, help="YAML file that describes the method")
    return Trainer(
        name=OWN,
        description="a method of your own: harness train FILE.yaml",
        plan=lambda training: _plan(_of(training), training),
        train=lambda training: _train(_of(training), training),
        settings=(file, *SETTINGS),
        exports={layout: partial(_export_own, layout) for layout in FORMATS},
        facts=lambda training: _facts(_of(training), training),
    )


def _of(training: Training) -> Method:
    from .written import method_in

    file = training.settings.get(_FILE)
    if file is None:
        raise HarnessError("no method is described", remedy=f"harness train FILE.yaml, or -S {_FILE}=FILE.yaml")
    return method_in(Path(file))


def _plan(method: Method, training: Training) -> str:
    from .planning import in_words

    return in_words(method, training)


def _facts(method: Method, training: Training) -> dict[str, Json]:
    from .facts import facts

    return facts(method, training)


def _train(method: Method, training: Training) -> Path:
    from .running import run

    return run(method, training)


def _export(method: Method, layout: str, training: Training) -> Path:
    from .running import export

    return export(method, layout, training)


def _export_own(layout: str, training: Training) -> Path:
    return _export(_of(training), layout, training)
