"""Flags to a Training, and to the trainer that is meant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from harness import HarnessError, Trainer, Training, UnknownName, plugins
from harness.paths import named
from harness.plugins.host import Host
from harness.settings import effective, nearest

OWN: Final = "method"  #: the setting by which a trainer takes a method from a file
_SUFFIXES: Final = (".yaml", ".yml")


def asked(host: Host, method: str | None, given: dict[str, Any]) -> tuple[Trainer, Training]:
    """The trainer and what it is asked for.

    Raises:
        HarnessError: something is missing, unknown, or does not go together.
    """
    if method is None:
        raise HarnessError("no method to train by", remedy="name one of `harness train --list`")
    trainer, own = _trainer(host, method)
    alone = given["export"] is not None and not given["dry_run"]  # the data hang on no model
    for flag in ("out",) if alone else ("model", "out"):
        if not given[flag]:
            raise HarnessError(f"--{flag} is missing", remedy="see `harness train --help`")
    training = Training(
        model=given["model"],
        data=data(given["data"]),
        out=named(given["out"]),
        recipe=given["recipe"],
        overrides=given["overrides"],
        settings=effective(trainer.settings, {**given["settings"], **own}, owner=f"the trainer {trainer.name}"),
        hold_out=given["hold_out"],
        seed=given["seed"],
        resume=given["resume"],
        launch=given["launch"],
    )
    return trainer, training


def data(texts: Sequence[str]) -> dict[str, Path]:
    """`[NAME=]PATH` texts by name; a path that exists as a whole has no name.

    Raises:
        HarnessError: a name stands twice, or there is nothing at a path.
    """
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals or "/" in name or Path(text).exists():
            name, path = "", text
        if name in found:
            raise HarnessError(f"--data {name or 'PATH'} is given twice", remedy="give a name to each: NAME=PATH")
        found[name] = Path(path).expanduser()
        if not found[name].exists():
            raise HarnessError("there are no data", where=path, remedy="--data takes a folder or a file")
    return found


def check_export(trainer: Trainer, layout: str | None) -> None:
    """Whether a trainer writes a layout, where one is asked for. Raises UnknownName."""
    if layout is not None and layout not in trainer.exports:
        raise UnknownName(f"{trainer.name} writes no {layout!r}", remedy=nearest(layout, trainer.exports))


def _trainer(host: Host, method: str) -> tuple[Trainer, dict[str, str]]:
    """The trainer of a name, or the one that takes methods from files."""
    if not method.endswith(_SUFFIXES):
        return host.trainer(method), {}
    trainers: list[Trainer] = [trainer for trainer, _ in host.offers("trainers")]
    found = [each for each in trainers if any(setting.name == OWN for setting in each.settings)]
    if len(found) != 1:
        raise HarnessError(
            f"{len(found)} trainers take a method from a file", remedy=f"name one, with -S {OWN}={method}"
        )
    return found[0], {OWN: method}


def base_of(model: str) -> str:
    """What is trained, as a run names it: a folder or a hub id is one of `hf/`."""
    scheme = model.partition("/")[0]
    known = {provider.scheme for provider, _ in plugins.current().offers("models")}
    return model if scheme in known and not Path(model).is_dir() else f"hf/{model}"
