"""`build.yaml` becomes a plan. What is wrong with it is said with its key and what mends it, before anything else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness import HarnessError, UnknownName
from harness.runs.config import yaml_of
from harness_builder.seeds import SeedSource

from .plan import PROMPTS, ROLES, Photos, Plan, Prompt, Role, Test, Wanted

if TYPE_CHECKING:
    import pydantic

    from .schema import Config
    from .sections import Model, Painter, Real, Source

_WHAT: Final = "the config of the build"


def read_plan(path: Path) -> Plan:
    """The plan that a file describes. Paths in it are relative to the file; `~` is the user's home.

    Raises:
        UnknownName: a key, a role, a template or a layout that there is not; with the nearest spelling.
        HarnessError: the file cannot be read, is not YAML, lacks a key, or a value cannot be.
    """
    import pydantic

    from .schema import Config

    try:
        found = yaml_of(path, _WHAT)
    except (ValueError, RecursionError) as error:  # a date or a number that cannot be; brackets without an end
        detail = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise HarnessError(f"{_WHAT} is not YAML: {detail}", where=str(path)) from None
    try:
        return _planned(Config.model_validate(found), path)
    except pydantic.ValidationError as error:
        raise _fault(error, path) from None


def _planned(config: Config, file: Path) -> Plan:
    folder = file.parent
    roles: dict[Role, Wanted] = {role: _wanted(config.models[role]) for role in ROLES if role in config.models}
    roles.setdefault("viewer", roles["writer"])  # one model may do everything
    own: dict[Prompt, Path] = {name: _place(folder, config.prompts[name]) for name in PROMPTS if name in config.prompts}
    quality, limits = config.quality, config.limits
    return Plan(
        name=config.name,
        sources=tuple(_source(source, folder) for source in config.sources),
        models=roles,
        painter=_wanted(config.painter),
        language=config.language,
        seed=config.seed,
        categories={name: tuple(below) for name, below in config.categories.items()},
        prompts=own,
        per_text=config.elements.per_text,
        per_image=config.elements.per_image,
        rounds=config.draw.rounds,
        best_of=config.draw.best_of,
        width=config.painter.width,
        height=config.painter.height,
        review=config.sort.review == "people",
        reviewers=config.sort.reviewers,
        probe=config.probe.ask,
        together=config.probe.keep == "together",
        rubric=config.label.rubric,
        accept=tuple(config.label.accept),
        tries=config.label.tries,
        refusal=config.label.refusal,
        text_only=config.label.text_only,
        likeness=quality.text,
        bits=quality.image,
        against=tuple(
            Test(task=test.task, data=None if test.data is None else _place(folder, test.data))
            for test in quality.against
        ),
        balance=quality.balance,
        photos=None if config.real is None else _photos(config.real, folder),
        concurrency=limits.concurrency,
        most_calls=limits.calls,
        most_usd=limits.usd,
        file=file,
    )


def _place(folder: Path, name: str) -> Path:
    try:
        return folder / Path(name).expanduser()
    except RuntimeError:  # the home of nobody
        return folder / name


def _wanted(model: Model | Painter) -> Wanted:
    from .sections import Model

    ref = model.model if isinstance(model, Model) else model.painter
    price: Mapping[str, float] = {} if model.price is None else model.price.model_dump()
    return Wanted(ref=ref, settings=model.settings, price=price)


def _source(source: Source, folder: Path) -> SeedSource:
    return SeedSource(
        name=source.name,
        path=_place(folder, source.path),
        layout=source.layout,
        licence=source.licence,
        limit=source.limit,
        seed=source.seed,
        columns=source.columns,
    )


def _photos(real: Real, folder: Path) -> Photos:
    name, _, weights = real.model.partition(":")
    file = _place(folder, weights)
    return Photos(
        name=real.name,
        path=_place(folder, real.path),
        licence=real.licence,
        count=real.count,
        by=real.by,
        model=f"{name}:{file}" if weights and _is_file(file) else real.model,
        least=real.least,
        faces=None if real.faces is None else _place(folder, real.faces),
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def _fault(error: pydantic.ValidationError, path: Path) -> HarnessError:
    """The first fault, as a person reads it."""
    from .checks import UNKNOWN, worded

    first = error.errors(include_url=False)[0]
    context: Mapping[str, Any] = first.get("ctx", {})
    steps = first["loc"][:-2] if "[key]" in first["loc"] else first["loc"]
    key = ".".join(f"#{step + 1}" if isinstance(step, int) else step for step in steps) or _WHAT
    said = context["message"] if "message" in context else worded(first["type"], first["msg"], first["input"], context)
    if "[key]" in first["loc"]:
        said = f"a name in it {said}"
    raised = UnknownName if first["type"] == UNKNOWN else HarnessError
    return raised(f"{key}: {said}", where=str(path), remedy=str(context.get("remedy", "")))
