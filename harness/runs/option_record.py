"""The options of an invocation as run.json keeps them, so that `harness rerun` can repeat it.

    "options": {"command": "run", "cwd": "/home/a", "model": {"ref": "mini/base"}, "tasks": ["mis:mini"], "limit": 8}

Only what differs from the defaults is kept. A value that holds a key is left out and named under `keys`, since keys
come from the environment. Where it ran to (`output`, `fresh`) is not kept.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, Final, Literal, TypeVar, cast

from harness.attacks import AttackSpec
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions, Options
from harness.limits.endpoints import Policy
from harness.models import ModelSpec
from harness.prices import OwnPrice, read_prices
from harness.secrets import holds_key
from harness.task_files import is_task_path, split_name
from harness.types import Json

Kind = Literal["run", "judge", "combine"]
#: fields that say where to or how it was called, and not what was done
LEFT_OUT: Final = frozenset({"output", "fresh", "command"})
#: flag of each field that a command can give; others have none
FLAGS: Final[Mapping[str, str]] = {
    "tasks": "--tasks",
    "system": "--system",
    "limit": "--limit",
    "epochs": "--epochs",
    "data": "--data",
    "retry": "--retry",
    "phases": "--phases",
    "devices": "--devices",
    "launch": "--launch",
    "ray_address": "--ray-address",
    "min_coverage": "--min-coverage",
    "judge_repeat": "--judge-repeat",
    "judge_vote": "--judge-vote",
    "judge_limit": "--sample",
    "members": "--members",
    "max_usd": "--max-usd",
}
_SETTINGS: Final[Mapping[str, str]] = {"judge_settings": "-J", "task_settings": "-T"}
_REPEATED: Final[Mapping[str, str]] = {"judges": "--judge", "hosts": "--host"}
_SWITCHES: Final[Mapping[str, str]] = {
    "probe": "--no-probe",
    "primary": "--primary",
    "batch": "--batch",
    "wait": "--wait",
}
_O = TypeVar("_O", Options, JudgeOptions)


def record_options(options: Options | JudgeOptions, kind: Kind) -> dict[str, Json]:
    """What run.json keeps of an invocation's options."""
    keys: list[str] = []
    kept: dict[str, Json] = {"command": kind, "cwd": str(Path.cwd())}
    for each in fields(options):
        value = getattr(options, each.name)
        if each.name in LEFT_OUT or value == _default(each):
            continue
        if each.name == "tasks":
            value = tuple(map(_make_absolute, value))
        kept[each.name] = _without_keys(_to_json(value), each.name, keys)
    return {**kept, "keys": list(keys)} if keys else kept


def read_options(kind: type[_O], raw: Mapping[str, Any], where: str) -> _O:
    """Options as they were recorded.

    Args:
        kind: `Options` or `JudgeOptions`.
        raw: the record.
        where: the run, for messages.

    Raises:
        HarnessError: the record holds what this version does not know or lacks a key that was left out.
    """
    if keys := raw.get("keys"):
        raise HarnessError(
            f"{keys[0]} held a key, and keys are not recorded",
            where=where,
            remedy="run it with its original command, and give the key in the environment: see `harness models show`",
        )
    known = {each.name: each for each in fields(kind) if each.name not in LEFT_OUT}
    unknown = sorted(raw.keys() - known.keys() - {"command", "cwd", "keys"})
    if unknown:
        raise HarnessError(
            f"it was made with an option that this version does not know: {unknown[0]}",
            where=where,
            remedy="use the version that made it, or a newer one: run.json names it under `plugins`",
        )
    cwd = Path(str(raw.get("cwd", "")))
    try:
        values = {name: _from_json(name, raw[name], _default(each), cwd) for name, each in known.items() if name in raw}
        return kind(**values)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise HarnessError(
            f"its recorded options cannot be read: {error}", where=where, remedy="run it with its original command"
        ) from None


def _default(each: Field[Any]) -> Any:
    if each.default is not MISSING:
        return each.default
    return each.default_factory() if each.default_factory is not MISSING else MISSING


def _make_absolute(task: str) -> str:
    """A task file's name as it is found from everywhere; other names stay."""
    path, split = split_name(task)
    if not is_task_path(task):
        return task
    absolute = str(Path(path).expanduser().absolute()) + ("/" if path.endswith("/") else "")
    return f"{absolute}:{split}" if split else absolute


def _to_json(value: Any) -> Json:
    if isinstance(value, Path):
        return str(value.expanduser().absolute())
    if isinstance(value, frozenset | set):
        return sorted(str(each) for each in cast("frozenset[object]", value))
    if isinstance(value, list | tuple):
        return [_to_json(each) for each in cast("Sequence[Any]", value)]
    if isinstance(value, OwnPrice):
        return value.as_json()
    if isinstance(value, Mapping):
        return {str(key): _to_json(each) for key, each in cast("Mapping[object, Any]", value).items()}
    if is_dataclass(value) and not isinstance(value, type):
        changed = ((each.name, getattr(value, each.name), _default(each)) for each in fields(value))
        return {name: _to_json(own) for name, own, default in changed if own != default}
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _without_keys(value: Json, path: str, found: list[str]) -> Json:
    if isinstance(value, dict):
        kept: dict[str, Json] = {}
        for name, each in cast("dict[str, Json]", value).items():
            called = f"{name}={each}" if isinstance(each, str) else ""
            if called and holds_key(called):
                found.append(f"{path}.{name}")
            else:
                kept[name] = _without_keys(each, f"{path}.{name}", found)
        return kept
    if isinstance(value, list):
        return [_without_keys(each, path, found) for each in cast("Sequence[Json]", value)]
    if isinstance(value, str) and holds_key(value):
        found.append(path)
        return ""
    return value


def _from_json(name: str, raw: Any, default: Any, cwd: Path) -> Any:
    if name == "model":
        given = dict(cast("dict[str, Any]", raw))
        given["ref"] = str(given["ref"])
        scheme, _, local = given["ref"].partition("/")
        there = cwd / local  # a local model that was named by a relative path, seen from here
        lost = local and not Path(local).is_absolute() and not Path(local).exists()
        if lost and cwd.is_absolute() and there.exists():
            given["ref"] = f"{scheme}/{there}"
        return ModelSpec(**given)
    if name == "policy":
        return Policy(**raw)
    if name == "attack":
        settings: Mapping[str, Any] = raw.get("settings", {})
        texts = {key: cwd / value for key, value in settings.items() if isinstance(value, str) and value}
        # unlike a Path's, this method answers for a text that is too long for a path
        files = {key: str(path) for key, path in texts.items() if os.path.isfile(path)}  # noqa: PTH113
        moved = {key: path for key, path in files.items() if not Path(settings[key]).exists()}
        return AttackSpec(name=raw["name"], settings={**settings, **moved})
    if name == "prices":
        return read_prices(raw, "run.json")
    if name == "data":
        return Path(raw)
    if name == "shard":
        return (int(raw[0]), int(raw[1]))
    if isinstance(default, frozenset):
        return frozenset(raw)
    if isinstance(default, tuple) or name == "tasks":
        return tuple(tuple(cast("Sequence[Any]", each)) if isinstance(each, list) else each for each in raw)
    return raw


def format_command(options: Options | JudgeOptions, kind: Kind, folder: Path) -> str:
    """The command line that does the same.

    Args:
        options: the options.
        kind: what is done.
        folder: the run folder, to write or to judge.
    """
    words = ["harness", "run"] if kind == "run" else ["harness", "judge", str(folder)]
    if kind == "combine":
        words += ["--combine", "majority"]
    if isinstance(options, Options):
        spec = options.model
        words += ["--model", spec.ref, *_list_pairs("-M", spec.settings)]
        if spec.strategy:
            words += ["--strategy", spec.strategy, *_list_pairs("-S", spec.strategy_settings)]
    for each in fields(options):
        value = getattr(options, each.name)
        if value == _default(each):
            continue
        if flag := FLAGS.get(each.name):
            words += [flag, _format_value(value)]
        elif flag := _SETTINGS.get(each.name):
            words += _list_pairs(flag, value)
        elif flag := _REPEATED.get(each.name):
            words += [word for one in value for word in (flag, one)]
        elif flag := _SWITCHES.get(each.name):
            words.append(flag)
        elif each.name == "maps":
            for rubric, labels in value.items():
                pairs = ", ".join(f"{label}={word}" for label, word in labels.items())
                words += ["--map", f"{rubric}: {pairs}" if pairs else rubric]
        elif each.name == "generation":
            for name, given in value.items():
                words += [f"--{name.replace('_', '-')}", _format_value(given)]
        elif each.name == "shard":
            words += ["--shard", f"{value[0]}/{value[1]}"]
        elif each.name == "attack":
            words += ["--attack", value.name, *_list_pairs("-A", value.settings)]
        elif each.name == "policy":
            bounds = {"--concurrency": value.cap, "--rpm": value.rpm, "--tpm": value.tpm}
            words += [word for name, most in bounds.items() if most is not None for word in (name, f"{most:.0f}")]
    if kind == "run":
        words += ["--output", str(folder)]
    return " ".join(map(_quote, words))


def _quote(word: str) -> str:
    """A word for a shell; what a terminal would not show as it is becomes an escape of `$'…'`."""
    if word.isprintable():
        return shlex.quote(word)
    shown = word.replace("\\", "\\\\").replace("'", "\\'")
    return "$'" + "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in shown) + "'"


def _list_pairs(flag: str, settings: Mapping[str, Any]) -> list[str]:
    return [word for name, value in settings.items() for word in (flag, f"{name}={_format_value(value)}")]


def _format_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple | list | frozenset):
        texts = [str(each) for each in cast("Sequence[object]", value)]
        return ",".join(sorted(texts) if isinstance(value, frozenset) else texts)
    if isinstance(value, Mapping):
        import json

        return json.dumps(value, ensure_ascii=False)
    return str(value)


def list_unflagged(options: Options | JudgeOptions) -> list[str]:
    """The options that no flag gives, so that the command line alone does not say them."""
    plain = {*FLAGS, *_SETTINGS, *_REPEATED, *_SWITCHES, "maps", "generation", "shard", "model", "attack", *LEFT_OUT}
    others = [each.name for each in fields(options) if getattr(options, each.name) != _default(each)]
    left = [name for name in others if name not in plain]
    if "policy" in left:
        policy = options.policy
        plain_start = Policy().start if policy.cap is None else policy.cap
        if policy == Policy(start=plain_start, cap=policy.cap, rpm=policy.rpm, tpm=policy.tpm):
            left.remove("policy")
    return left


def name_folder(path: Path) -> Path:
    """A folder beside a run that does not exist yet: NAME-rerun, NAME-rerun-2, and so on."""
    base = Path(os.path.normpath(path))
    number = 1
    while True:
        suffix = "-rerun" if number == 1 else f"-rerun-{number}"
        found = base.with_name(f"{base.name}{suffix}")
        if not found.exists():
            return found
        number += 1
