"""What a set says of the models that made it holds on every machine: a folder is called by its name alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from harness import plugins
from harness_builder.plan import ModelChoice, Photos, Plan


def placeless(plan: Plan) -> Plan:
    """The plan, with each model that is a folder or a file called by its name. Its identity says what is in it."""
    host = plugins.current()
    models = {role: _named(wanted, local=host.provider(_scheme(wanted)).local) for role, wanted in plan.models.items()}
    painter = _named(plan.painter, local=host.painter(_scheme(plan.painter)).local)
    return replace(plan, models=models, painter=painter, photos=plan.photos and _weighed(plan.photos))


def _scheme(wanted: ModelChoice) -> str:
    return wanted.ref.partition("/")[0]


def _named(wanted: ModelChoice, *, local: bool) -> ModelChoice:
    scheme, _, name = wanted.ref.partition("/")
    folder = Path(name).expanduser()
    return replace(wanted, ref=f"{scheme}/{folder.absolute().name}") if local and folder.is_dir() else wanted


def _weighed(photos: Photos) -> Photos:
    arch, _, weights = photos.model.partition(":")
    return replace(photos, model=f"{arch}:{Path(weights).name}") if Path(weights).is_file() else photos
