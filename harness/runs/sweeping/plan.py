"""A sweep's file, and its units: one for each model, with all tasks, in a run folder of its own.

    models:
      - hf/checkpoints/*            # a pattern: one unit for each folder that matches
      - model: openai/NAME
        settings: {base_url: http://127.0.0.1:8000/v1}
    tasks: [mis, mssbench]
    judges: [openai/JUDGE]
    output: runs/sweep
    limit: 100

All other keys are flags of `harness run`, with `_` for `-`, as in a config. `strategies` and `attacks` are axes:
each model is a unit for each pair of their entries; `none` is the model alone, and the questions as they are:

    strategies: [none, self-reminder, {strategy: cot, settings: {prompt: safety}, name: safe-cot}]
    attacks: [none, typographic]
"""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import Any, Final, cast

from harness import plugins
from harness.attacks import AttackSpec
from harness.errors import HarnessError, UnknownName
from harness.evaluation.judges import check_judges
from harness.evaluation.options import Options
from harness.evaluation.plan import make_plan
from harness.files import resolve_name
from harness.keys import digest
from harness.models import ModelSpec
from harness.runs.config import load_yaml
from harness.runs.run import default_folder, is_local
from harness.settings import effective, nearest, spread
from harness.store.folder import file_name
from harness.task_files import expand_folders, is_task_path, split_name
from harness.types import Setting

#: keys of the file that are flags with one value
_VALUES: Final[Mapping[str, str]] = {
    "limit": "--limit",
    "epochs": "--epochs",
    "temperature": "--temperature",
    "max_tokens": "--max-tokens",
    "seed": "--seed",
    "system": "--system",
    "data": "--data",
    "min_coverage": "--min-coverage",
    "retry": "--retry",
    "judge_repeat": "--judge-repeat",
    "judge_vote": "--judge-vote",
    "max_usd": "--max-usd",
    "strategy": "--strategy",
    "attack": "--attack",
}
#: flags that bound an endpoint, which units at work at the same time share
SHARED: Final[Mapping[str, str]] = {"concurrency": "--concurrency", "rpm": "--rpm", "tpm": "--tpm"}
_SWITCHES: Final[Mapping[str, str]] = {"no_probe": "--no-probe", "batch": "--batch", "wait": "--wait"}
_PAIRS: Final[Mapping[str, str]] = {
    "model_settings": "-M",
    "judge_settings": "-J",
    "task_settings": "-T",
    "strategy_settings": "-S",
    "attack_settings": "-A",
}
_OWN: Final = (
    "models",
    "tasks",
    "judges",
    "output",
    "jobs",
    "devices",
    "device_memory",
    "gpus",
    "memory",
    "judge_gpus",
    "slurm",
    "strategies",
    "attacks",
    "metric",
)
KEYS: Final = (*_OWN, *_VALUES, *SHARED, *_SWITCHES, *_PAIRS, "map")
_MODEL_KEYS: Final = ("model", "name", "settings", "strategy", "strategy_settings", "gpus", "memory")
_IN_LIST: Final = "put it into the list"
NONE: Final = "none"  #: of an axis: no strategy, or no attack
_EXAMPLE: Final = "write a list such as [hf/./checkpoints/*, openai/NAME]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An entry of an axis of a sweep.

    Attributes:
        label: what tables call it.
        name: of the strategy or the attack; empty for none.
        settings: of it.
    """

    label: str
    name: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One model with all tasks.

    Attributes:
        name: of its run folder, below the sweep's.
        model: as the user wrote it.
        folder: its run folder.
        arguments: of `harness run`, without limits that are shared and without `--output`.
        judging: of `harness judge`, for a judge that is opened once for all units.
        gpus: GPUs that it holds; None lets the executor choose.
        memory: GB that it needs on each of them; None for whole GPUs.
        local: whether its model runs on the machine of its process.
        endpoints: whom it asks over the network.
        digest: of all that says what is asked, so a unit is done only if it was asked the same.
        source: what the same model is called in all units of the sweep.
        strategy: its entry of the axis `strategies`; empty without the axis.
        attack: its entry of the axis `attacks`; empty without the axis.
    """

    name: str
    model: str
    folder: Path
    arguments: tuple[str, ...]
    judging: tuple[str, ...]
    gpus: int | None
    memory: float | None
    local: bool
    endpoints: frozenset[str]
    digest: str
    source: str = ""
    strategy: str = ""
    attack: str = ""

    @property
    def output(self) -> tuple[str, str]:
        """The flag of its run folder."""
        return "--output", str(self.folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """A sweep: its units, and how they are run.

    Attributes:
        source: the file; None for a mapping of Python.
        output: the folder of all run folders.
        units: in the file's order.
        limits: `concurrency`, `rpm` and `tpm`, as far as given, of all units together.
        apart: whether a local judge reads the answers afterwards, opened once for all units.
        jobs: most units at once without a GPU; None for a number by the machine.
        devices: CUDA devices; empty for all that are there.
        device_memory: GB that a GPU has; None asks the driver.
        judge_gpus: GPUs of a judge that is opened for all units; None for one if there is any.
        slurm: options of sbatch.
        asking: endpoint -> units that ask it, of the whole sweep.
        strategies: the axis of strategies, in the file's order; empty without it.
        attacks: the axis of attacks.
        metric: what the tables of the axes show; empty for each split's main metric.
    """

    source: Path | None
    output: Path
    units: tuple[Unit, ...]
    limits: Mapping[str, int]
    apart: bool = False
    jobs: int | None = None
    devices: str = ""
    device_memory: float | None = None
    judge_gpus: int | None = None
    slurm: Mapping[str, str] = field(default_factory=dict[str, str])
    asking: Mapping[str, int] = field(default_factory=dict[str, int])
    strategies: tuple[str, ...] = ()
    attacks: tuple[str, ...] = ()
    metric: str = ""

    def select(self, names: Sequence[str]) -> SweepPlan:
        """The sweep with these units alone. Raises UnknownName for a name that no unit has."""
        known = {unit.name: unit for unit in self.units}
        for name in names:
            if name not in known:
                raise UnknownName(f"the sweep has no unit {name!r}", remedy=nearest(name, known))
        return replace(self, units=tuple(unit for unit in self.units if unit.name in names))

    def share_limits(self, unit: Unit, at_once: int) -> tuple[str, ...]:
        """The flags of the limits for one unit: its part where so many units may ask an endpoint at once."""
        if not unit.endpoints:
            return ()
        asking = max(self.asking[name] for name in unit.endpoints)
        parts = max(1, min(asking, at_once))
        return tuple(word for name, most in self.limits.items() for word in (SHARED[name], str(max(1, most // parts))))


def plan_sweep(given: Path | str | Mapping[str, Any], *, output: Path | None = None) -> SweepPlan:
    """Read a sweep's file, or the same as a mapping, and find its units. Opens no model and writes nothing.

    Args:
        given: the file or the mapping.
        output: instead of the file's.

    Raises:
        UnknownName: a key, or a task, judge, provider or setting that nobody has.
        HarnessError: a value that is none, a pattern without a match, or two units with one folder.
    """
    source = None if isinstance(given, Mapping) else Path(given)
    where = "the sweep" if source is None else str(source)
    raw = given if isinstance(given, Mapping) else load_yaml(Path(given), "the sweep")
    if not isinstance(raw, Mapping):
        raise HarnessError("a sweep is a mapping with models and tasks", where=where, remedy="see docs/commands/sweep")
    values = {str(key): value for key, value in cast("Mapping[object, Any]", raw).items() if value is not None}
    for key in values:
        if key not in KEYS:
            raise UnknownName(f"a sweep has no key {key!r}", where=where, remedy=nearest(key, KEYS))
    _check_types(values, where)
    folder = output or (Path(str(values["output"])) if "output" in values else None)
    if folder is None:
        raise HarnessError("a sweep needs a folder", where=f"{where}: output", remedy="write output: runs/sweep")
    base = _build_options(values, ModelSpec(ref=""), where)
    base.check()  # before a unit's folder is named by a hash, which no NaN has
    units: list[Unit] = []
    apart = False
    strategies, attacks = (_list_choices(values, axis, where) for axis in ("strategies", "attacks"))
    if attacks and base.attack != AttackSpec():
        key = "attack" if base.attack.name else "attack_settings"
        what = "the sweep has an attack, and an axis of attacks"
        raise HarnessError(what, where=f"{where}: {key}", remedy=_IN_LIST)
    for entry, ref in _list_models(values, where):
        spec = ModelSpec(
            ref=ref,
            settings={**values.get("model_settings", {}), **entry.get("settings", {})},
            strategy=str(entry.get("strategy", values.get("strategy", ""))),
            strategy_settings={**values.get("strategy_settings", {}), **entry.get("strategy_settings", {})},
        )
        if strategies and (spec.strategy or spec.strategy_settings):
            what = f"{ref} has a strategy of its own, and the sweep has an axis of strategies"
            raise HarnessError(what, where=f"{where}: strategies", remedy=_IN_LIST)
        alone = str(entry.get("name") or default_folder(replace(base, model=spec)).name)
        for strategy, attack in product(strategies or (None,), attacks or (None,)):
            options = replace(base, model=spec)
            if strategy is not None:
                wrapped = replace(spec, strategy=strategy.name, strategy_settings=strategy.settings)
                options = replace(options, model=wrapped)
            if attack is not None:
                options = replace(options, attack=AttackSpec(name=attack.name, settings=attack.settings))
            chosen = [choice for choice in (strategy, attack) if choice is not None]
            named = "-".join((alone, *(choice.label for choice in chosen if choice.name)))
            if not units:
                apart = _check_questions(options)
            made = _build_unit(values, {**entry, "name": named} if chosen else entry, options, folder, apart=apart)
            around, against = (choice.label if choice is not None else "" for choice in (strategy, attack))
            units.append(replace(made, source=alone, strategy=around, attack=against))
    _check_folders(units, where)
    return SweepPlan(
        source=source,
        output=folder,
        units=tuple(units),
        limits={name: int(values[name]) for name in SHARED if name in values},
        apart=apart,
        jobs=values.get("jobs"),
        devices=_join(values.get("devices", "")),
        device_memory=values.get("device_memory"),
        judge_gpus=values.get("judge_gpus"),
        slurm={str(name): _format(value) for name, value in values.get("slurm", {}).items()},
        asking=Counter(name for unit in units for name in unit.endpoints),
        strategies=tuple(choice.label for choice in strategies),
        attacks=tuple(choice.label for choice in attacks),
        metric=str(values.get("metric", "")),
    )


def _check_types(values: Mapping[str, Any], where: str) -> None:
    """Check the file's values. Raises HarnessError that names the key."""
    from typing import Annotated

    from pydantic import BaseModel, Field, ValidationError, create_model

    names = str | list[str]
    count = Annotated[int, Field(strict=True, ge=1)]
    settings = dict[str, Any]

    class Entry(BaseModel, extra="forbid", protected_namespaces=()):
        model: Annotated[str, Field(min_length=1)]
        name: Annotated[str, Field(min_length=1)] | None = None
        settings: dict[str, Any] = {}
        strategy: str = ""
        strategy_settings: dict[str, Any] = {}
        gpus: Annotated[int, Field(strict=True, ge=0)] | None = None
        memory: Annotated[float, Field(gt=0)] | None = None

    class Named(BaseModel, extra="forbid"):
        name: Annotated[str, Field(min_length=1)] | None = None
        settings: dict[str, Any] = {}

    class Around(Named):
        strategy: Annotated[str, Field(min_length=1)]

    class Against(Named):
        attack: Annotated[str, Field(min_length=1)]

    models: object = values.get("models")
    for number, entry in enumerate(cast("list[object]", models) if isinstance(models, list | tuple) else ()):
        if isinstance(entry, Mapping):
            for key in cast("Mapping[object, object]", entry):
                if str(key) not in _MODEL_KEYS:
                    place = f"{where}: models.{number}"
                    raise UnknownName(
                        f"a model of a sweep has no key {str(key)!r}",
                        where=place,
                        remedy=nearest(str(key), _MODEL_KEYS),
                    )
    for name, example in (("models", _EXAMPLE), ("tasks", "write a list such as [mis, mssbench:chat]")):
        if not values.get(name):
            raise HarnessError(f"a sweep needs {name}", where=where, remedy=example)
    flags: dict[str, Any] = dict.fromkeys(_VALUES, str | int | float) | {"retry": names} | dict.fromkeys(SHARED, count)
    flags |= dict.fromkeys(_SWITCHES, bool) | dict.fromkeys((*_PAIRS, "map", "slurm"), settings)
    flags |= {"models": list[str | Entry], "tasks": names, "judges": names, "output": str, "jobs": count}
    flags |= {"devices": str | int | list[str | int], "device_memory": Annotated[float, Field(gt=0)]}
    flags |= {"strategies": Annotated[list[str | Around], Field(min_length=1)], "metric": str}
    flags |= {"attacks": Annotated[list[str | Against], Field(min_length=1)]}
    flags |= {"judge_gpus": Annotated[int, Field(strict=True, ge=0)]}
    flags |= {"gpus": Annotated[int, Field(strict=True, ge=0)], "memory": Annotated[float, Field(gt=0)]}
    fields: dict[str, Any] = {f"key_{name}": (kind, None) for name, kind in flags.items()}
    model: type[BaseModel] = create_model("Sweep", **fields)
    try:
        model(**{f"key_{name}": value for name, value in values.items()})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("function", "list[", "str")))
        raise HarnessError(f"{first['msg']}", where=f"{where}: {place.removeprefix('key_')}") from None


def _list_models(values: Mapping[str, Any], where: str) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Each entry of `models` with its model; a pattern gives one for each folder or file that matches."""
    for raw in values["models"]:
        entry: Mapping[str, Any] = {"model": raw} if isinstance(raw, str) else raw
        ref = str(entry["model"])
        scheme, slash, pattern = ref.partition("/")
        if not slash or scheme in (".", "..", "~", ""):
            raise HarnessError(
                f"{ref}: no provider is named", where=f"{where}: models", remedy=f"write SCHEME/NAME, such as hf/{ref}"
            )
        if not glob.has_magic(pattern):
            yield entry, ref
            continue
        found = [Path(each) for each in sorted(glob.glob(str(Path(pattern).expanduser())))]  # noqa: PTH207 - keeps `./`
        found = [path for path in found if path.is_dir()] or found
        if not found:
            raise HarnessError(f"{ref}: nothing matches", where=f"{where}: models", remedy="the path counts from here")
        if "name" in entry and len(found) > 1:
            raise HarnessError(
                f"{ref}: {len(found)} models match, and one name cannot be of all",
                where=f"{where}: models",
                remedy="leave `name` out",
            )
        for path in found:
            yield entry, f"{scheme}/{path}"


def _list_choices(values: Mapping[str, Any], axis: str, where: str) -> tuple[Choice, ...]:
    """The entries of an axis; none without it.

    Raises:
        UnknownName: a strategy, an attack or a setting that nobody has.
        HarnessError: two have one name, or a setting has a wrong value.
    """
    kind, host = {"strategies": "strategy", "attacks": "attack"}[axis], plugins.current()
    found: list[Choice] = []
    for raw in values.get(axis) or ():
        entry: Mapping[str, Any] = {kind: raw} if isinstance(raw, str) else raw
        name = str(entry[kind])
        settings: Mapping[str, Any] = entry.get("settings", {})
        declared: tuple[Setting, ...] = ()
        if name != NONE:
            declared = (host.strategy(name) if kind == "strategy" else host.attack(name)).settings
        effective(declared, settings, owner=f"{kind} {name}")
        label = str(entry.get("name") or name)
        if (label == NONE) != (name == NONE):
            what = f"the entry {name!r} is called {label!r}, and {NONE} alone may be called so, and nothing else"
            raise HarnessError(what, where=f"{where}: {axis}", remedy="give it another name, or none")
        found.append(Choice(label=label, name="" if name == NONE else name, settings=settings))
    for label, count in Counter(choice.label for choice in found).items():
        if count > 1:
            raise HarnessError(
                f"two entries are called {label!r}",
                where=f"{where}: {axis}",
                remedy=f"give one of them a name: {{{kind}: …, settings: …, name: …}}",
            )
    return tuple(found)


def _build_options(values: Mapping[str, Any], spec: ModelSpec, where: str) -> Options:
    """The options that name what is asked; limits and repeats are checked by each unit."""
    generation = {name: values[name] for name in ("temperature", "max_tokens", "seed") if name in values}
    data = values.get("data")
    maps: dict[str, dict[str, str]] = {}
    for rubric, labels in values.get("map", {}).items():
        if not isinstance(labels, Mapping | None):
            raise HarnessError("must be a mapping of labels to labels", where=f"{where}: map.{rubric}")
        made = cast("Mapping[object, object]", labels or {})
        maps[str(rubric)] = {str(label): str(word) for label, word in made.items()}
    return Options(
        model=spec,
        tasks=_split(values["tasks"]),
        judges=_split(values.get("judges", ())),
        maps=maps,
        judge_settings=spread(values.get("judge_settings", {})),
        task_settings=spread(values.get("task_settings", {})),
        generation=generation,
        system=str(values.get("system", "")),
        data=None if data is None else Path(str(data)).expanduser(),
        batch=bool(values.get("batch")),
        attack=AttackSpec(name=str(values.get("attack", "")), settings=values.get("attack_settings", {})),
    )


def _check_questions(options: Options) -> bool:
    """Check tasks and judges, which all units have. Returns whether a judge needs the machine's accelerator."""
    asked = make_plan(options)
    choices = [choice for split in asked.splits for choice in split.judges]
    check_judges(choices, options)
    return any(is_local(choice.model) for choice in choices)


def _build_unit(
    values: Mapping[str, Any], entry: Mapping[str, Any], options: Options, folder: Path, *, apart: bool
) -> Unit:
    host, spec = plugins.current(), options.model
    local = host.provider(spec.scheme).local
    name = file_name(str(entry["name"])) if entry.get("name") else default_folder(options).name
    words = ["--model", spec.ref, *_list_pairs("-M", spec.settings)]
    if spec.strategy:
        words += ["--strategy", spec.strategy, *_list_pairs("-S", spec.strategy_settings)]
    if options.attack.name:
        words += ["--attack", options.attack.name, *_list_pairs("-A", options.attack.settings)]
    judging = _list_judging(values, options)
    for key, flag in _VALUES.items():
        if key in values and key not in ("strategy", "attack", "data", "judge_repeat", "judge_vote", "min_coverage"):
            words += [flag, _join(values[key])]
    words += ["--tasks", ",".join(options.tasks)]
    settings: dict[str, Any] = {"model": dict(spec.settings), "words": [*words, *judging]}
    paths = [split_name(title)[0] for title in expand_folders(options.tasks) if is_task_path(title)]
    if paths:
        task_files = [host.task(path) for path in paths]
        settings["task_files"] = {task.name: task.version for task in task_files}
    if held := dict(_hash_files(options)):
        settings["files"] = held
    schemes = {provider.scheme for provider, _ in host.offers("models")}
    judges = [judge.partition("=")[2] or judge for judge in options.judges]
    remote = [ref for ref in judges if "/" in ref and ref.partition("/")[0] in schemes and not is_local(ref)]
    endpoints = {_name_endpoint(ref, {}) for ref in remote}
    if not local:
        endpoints.add(_name_endpoint(spec.ref, spec.settings))
    return Unit(
        name=name,
        model=spec.ref,
        folder=resolve_name(folder / name),
        arguments=("run", *words, *judging, *(("--phases", "answers") if apart else ())),
        judging=("judge", *judging),
        gpus=entry.get("gpus", values.get("gpus")) if local else 0,
        memory=entry.get("memory", values.get("memory")) if local else None,
        local=local,
        endpoints=frozenset(endpoints),
        digest=digest(settings),
    )


def _hash_files(options: Options) -> Iterator[tuple[str, str]]:
    """The files of the strategy's and the attack's settings, by content: a changed file asks something else."""
    host, spec, attack = plugins.current(), options.model, options.attack
    around = [("-S", host.strategy(spec.strategy).settings, spec.strategy_settings)] if spec.strategy else []
    around += [("-A", host.attack(attack.name).settings, attack.settings)] if attack.name else []
    for flag, declared, given in around:
        for setting in declared:
            path = Path(str(given[setting.name])).expanduser() if given.get(setting.name) else None
            if setting.type is Path and path is not None and path.is_file():
                yield f"{flag} {setting.name}", sha256(path.read_bytes()).hexdigest()


def _list_judging(values: Mapping[str, Any], options: Options) -> list[str]:
    """The flags that `harness run` and `harness judge` share."""
    words = [word for judge in options.judges for word in ("--judge", judge)]
    words += [*_list_pairs("-J", options.judge_settings), *_list_pairs("-T", options.task_settings)]
    for key in ("data", "judge_repeat", "judge_vote", "min_coverage"):
        if key in values:
            words += [_VALUES[key], str(Path(str(values[key])).expanduser()) if key == "data" else _format(values[key])]
    for rubric, labels in options.maps.items():
        pairs = ", ".join(f"{label}={word}" for label, word in labels.items())
        words += ["--map", f"{rubric}: {pairs}" if pairs else rubric]
    return [*words, *(flag for key, flag in _SWITCHES.items() if values.get(key))]


def _name_endpoint(ref: str, settings: Mapping[str, Any]) -> str:
    """What units that ask the same server have in common: the provider and the address that is set."""
    return f"{ref.partition('/')[0]} {settings.get('base_url', '')}".strip()


def _check_folders(units: Sequence[Unit], where: str) -> None:
    """Raise HarnessError if two units would write to one folder."""
    counts = Counter(unit.name for unit in units)
    for name, count in counts.items():
        if count > 1:
            models = [unit.model for unit in units if unit.name == name]
            raise HarnessError(
                f"{' and '.join(models[:2])} would write to one folder, {name}",
                where=f"{where}: models",
                remedy="give one of them a name: {model: …, name: …}",
            )


def _split(given: str | Sequence[str]) -> tuple[str, ...]:
    parts = [given] if isinstance(given, str) else given
    return tuple(name.strip() for part in parts for name in str(part).split(",") if name.strip())


def _join(given: object) -> str:
    return ",".join(map(str, cast("list[object]", given))) if isinstance(given, list) else _format(given)


def _format(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | Mapping):
        import json

        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _list_pairs(flag: str, settings: Mapping[str, Any]) -> list[str]:
    return [word for name, value in settings.items() for word in (flag, f"{name}={_format(value)}")]
