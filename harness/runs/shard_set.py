"""The shards of one run, read and checked: they are of one model, one set of questions, and one version of everything.

Shards that differ would make one number of two evaluations, so each difference is refused, with the shard and the
command that mends it. A shard that has not ended is no difference: its questions stay open.

A shard may come from another machine, so it is not trusted. No run writes a link, a pipe or a device; one of them in a
shard is refused, wherever it leads, before anything there is opened. The folder of a shard may itself be a link: so
shards are gathered from several disks.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

from harness.data.places import format_task
from harness.errors import HarnessError, IdentityMismatch
from harness.evaluation.options import MOST_SHARDS, Shard
from harness.runs.shards import format_shard
from harness.runs.stored import StoredRun
from harness.store.bulk import read_task
from harness.store.folder import RunFolder, list_differences
from harness.store.reader import Answer
from harness.store.run_file import RunFile, SplitEntry, TaskEntry
from harness.store.shards import SHARDS, list_shards
from harness.types import Json

_FLAG: Final = "--shard"
_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardRun:
    """One shard that has begun.

    Attributes:
        shard: its number, and of how many.
        folder: its run folder.
        file: its run.json.
    """

    shard: Shard
    folder: RunFolder
    file: RunFile

    @property
    def name(self) -> str:
        """As `--shard` has it."""
        return format_shard(self.shard)

    def has(self, title: str) -> bool:
        """Whether it has listed a split, `task:split`, to its end."""
        return title in self.file.shard["splits"]

    def split(self, title: str) -> SplitEntry:
        """The entry of a split that it has listed."""
        display, _, name = title.rpartition(":")
        return self.file.tasks[display].splits[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardSet:
    """All shards of a run.

    Attributes:
        base: the run's folder.
        count: how many shards there are.
        runs: those that have begun, in order.
    """

    base: Path
    count: int
    runs: tuple[ShardRun, ...]

    @property
    def titles(self) -> tuple[str, ...]:
        """The splits, `task:split`, in the order of the first shard that has them."""
        return tuple(dict.fromkeys(title for run in self.runs for title in run.file.shard["splits"]))

    @property
    def first(self) -> ShardRun:
        """The first shard that has ended."""
        return next(run for run in self.runs if run.file.shard["splits"])

    def having(self, title: str) -> tuple[ShardRun, ...]:
        """The shards that have listed a split to its end."""
        return tuple(run for run in self.runs if run.has(title))

    def missing(self, title: str) -> tuple[int, ...]:
        """The numbers of those that have not."""
        there = {run.shard[0] for run in self.having(title)}
        return tuple(number for number in range(self.count) if number not in there)

    def format_command(self, number: int) -> str:
        """The command that runs one shard: that of another one, with this number."""
        shard = format_shard((number, self.count))
        entries = (entry.command for run in self.runs for entry in reversed(run.file.history))
        for command in entries:
            words = list(command)
            for place, word in enumerate(words):
                if word == _FLAG and place + 1 < len(words):
                    words[place + 1] = shard
                    return shlex.join(word for word in words if word != "--fresh")
                if word.startswith(f"{_FLAG}="):
                    words[place] = f"{_FLAG}={shard}"
                    return shlex.join(word for word in words if word != "--fresh")
        return f"the command of the other shards with {_FLAG} {shard}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardedRun(StoredRun):
    """A merged run whose lines are still in its shards, read shard by shard in the memory that one of them needs.

    Attributes:
        shards: their folders.
    """

    shards: Sequence[Path] = field(default_factory=list[Path])

    def judges_of(self, display: str) -> tuple[str, ...]:
        """Ids of all judges with a file in a shard."""
        found = {judge for path in self.shards for judge in RunFolder(path).task(display).judges()}
        return tuple(sorted(found))

    def repeats_of(self, display: str, judge: str) -> tuple[str, ...]:
        """Ids of a judge's repeats with a file in a shard, in order."""
        found = (RunFolder(path).task(display).repeats(judge) for path in self.shards)
        return max(found, key=len, default=())

    def task_answers(self, display: str, judges: Sequence[str]) -> Iterator[Answer]:
        """Each asked item of a task, shard by shard."""
        for path in self.shards:
            yield from read_task(RunFolder(path).task(display), tuple(self.file.tasks[display].splits), judges)


@contextmanager
def hold_shards(base: Path) -> Generator[ShardSet]:
    """Read and check the shards below a run's folder, which nobody changes or moves away during the body.

    Raises as `load_shards`, and HarnessError if another process writes to a shard.
    """
    with ExitStack() as stack:
        found = _find_shards(base)
        for path in found.values():
            stack.enter_context(RunFolder(path).hold_at_rest())
        yield load_shards(base, found)


def load_shards(base: Path, found: Mapping[Shard, Path] | None = None) -> ShardSet:
    """Read and check the shards below a run's folder.

    Args:
        base: the run's folder.
        found: the folder of each shard; None to look for them.

    Raises:
        HarnessError: there is none, none has ended, they are of several numbers, one is foreign, copied or damaged, or
            they differ in what they asked, how, or in which version.
        IdentityMismatch: they are of two models.
    """
    found = _find_shards(base) if found is None else found
    if not found:
        raise HarnessError(
            "there are no shards here",
            where=str(base / SHARDS),
            remedy="give the folder that --output named; make them with: harness run … --shard 0/4",
        )
    counts = sorted({count for _, count in found})
    if len(counts) > 1:
        raise HarnessError(
            f"there are shards of {' and of '.join(map(str, counts))}",
            where=str(base / SHARDS),
            remedy=f"move those of one number away: they cannot be told apart ({base / SHARDS}/*-of-{counts[0]})",
        )
    runs = tuple(_load_shard(shard, RunFolder(path)) for shard, path in found.items())
    shards = ShardSet(base=base, count=counts[0], runs=runs)
    if not shards.titles:
        raise HarnessError(
            "no shard has ended, so there is nothing to merge",
            where=str(base / SHARDS),
            remedy=f"wait for them; continue a shard that was stopped with: {shards.format_command(runs[0].shard[0])}",
        )
    for run in runs:
        _check_model(shards, run)
    for title in shards.titles:
        _check_split(shards, title)
    return shards


def _find_shards(base: Path) -> dict[Shard, Path]:
    """The folder of each shard. Raises HarnessError for a name that no shard has, and for what no run writes."""
    found = list_shards(base)
    for (number, count), path in found.items():
        if not number < count <= MOST_SHARDS:
            raise HarnessError(
                "no shard has this name",
                where=str(path),
                remedy=f"move it away: of n shards the first is 0-of-n, and n is at most {MOST_SHARDS:,}",
            )
        for folder, _, _ in os.walk(path):
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_symlink():
                        leads = f"a link to {Path(entry.path).readlink()}"
                    elif not (entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)):
                        leads = "neither a file nor a folder"
                    else:
                        continue
                    raise HarnessError(
                        f"this is {leads}, and no run puts one into a shard, so it is not read",
                        where=entry.path,
                        remedy="put the file itself in its place, or remove the link",
                    )
    return found


def _load_shard(shard: Shard, folder: RunFolder) -> ShardRun:
    file = folder.load_run()
    if file.redacted:
        raise HarnessError("this shard is a redacted export", where=str(folder.path), remedy="use the shard itself")
    if file.part is None:
        raise HarnessError(
            f"this folder holds a run of its own, not shard {format_shard(shard)}",
            where=str(folder.path),
            remedy="move it away, and run the shard itself",
        )
    if file.part != shard:
        raise HarnessError(
            f"this folder holds shard {format_shard(file.part)}, not {format_shard(shard)}: it was copied or renamed",
            where=str(folder.path),
            remedy=f"move it away, and run shard {format_shard(shard)} itself",
        )
    if said := next(_list_faults(file), ""):
        raise HarnessError(
            f"run.json is damaged: {said}",
            where=str(folder.path),
            remedy=f"restore it, or move the folder away and run shard {format_shard(shard)} again",
        )
    return ShardRun(shard=shard, folder=folder, file=file)


def _list_faults(file: RunFile) -> Iterator[str]:
    """What a run.json says of its shard that cannot be."""
    for title, entry in file.shard["splits"].items():
        display, _, name = title.rpartition(":")
        if display not in file.tasks or name not in file.tasks[display].splits:
            yield f"its shard has {title}, which was not asked"
            continue
        if not isinstance(entry, Mapping):
            yield f"its shard says {entry!r:.60} of {title}"
            continue
        counts = cast("Mapping[str, Any]", entry)
        samples, here = (counts.get(key) for key in ("samples", "here"))
        if type(samples) is not int or type(here) is not int or not 0 <= here <= samples:
            yield f"its shard has {here!r:.60} of {samples!r:.60} samples of {title}"
        for digest in (counts.get("listing"), file.tasks[display].splits[name].content or "0" * 64):
            if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
                yield f"a hash of {title} is {digest!r:.80}"
        deferred: object = counts.get("deferred")
        if not isinstance(deferred, list) or not all(map(_is_deferred, cast("Sequence[Any]", deferred))):
            yield f"the rubrics that it left to the merged run are {deferred!r:.80}"


def _is_deferred(raw: Any) -> bool:
    """Whether this is a rubric that a shard left to the merged run, as `harness.runs.shards` writes it."""
    if not isinstance(raw, Mapping):
        return False
    kinds: Mapping[str, type | tuple[type, ...]] = {
        "rubric": str,
        "model": (str, type(None)),
        "settings": Mapping,
        "judge_settings": Mapping,
        "primary": bool,
    }
    entry = cast("Mapping[str, Any]", raw)
    return all(name in entry and isinstance(entry[name], kind) for name, kind in kinds.items())


def _check_model(shards: ShardSet, run: ShardRun) -> None:
    """Refuse a shard of another model, or of other versions."""
    first = shards.first
    differing = list(list_differences(_as_json(first.file.identity), _as_json(run.file.identity)))
    if differing:
        raise IdentityMismatch(
            f"shards {first.name} and {run.name} are of two models or settings: {'; '.join(differing)}",
            where=str(run.folder.path),
            remedy=_format_again(shards, run),
        )
    both = first.file.plugins.keys() & run.file.plugins.keys()
    versions = [
        f"{name} was {first.file.plugins[name]} and is {run.file.plugins[name]}"
        for name in sorted(both)
        if first.file.plugins[name] != run.file.plugins[name]
    ]
    if versions:
        raise HarnessError(
            f"shards {first.name} and {run.name} were run with other versions: {'; '.join(versions)}",
            where=str(run.folder.path),
            remedy=f"install one version, and {_format_again(shards, run)}",
        )


def _check_split(shards: ShardSet, title: str) -> None:
    """Refuse shards that were asked a split in two ways, and shards that together hold too much or too little of it."""
    first, *others = shards.having(title)
    display = title.rpartition(":")[0]
    for run in others:
        pairs = [
            *_list_task_settings(first.file.tasks[display], run.file.tasks[display]),
            *_list_split_settings(first.split(title), run.split(title)),
        ]
        if differing := [
            f"{name} was {_show(one)} and is {_show(other)}" for name, one, other in pairs if one != other
        ]:
            raise HarnessError(
                f"shards {first.name} and {run.name} were asked {title} with two settings: {'; '.join(differing)}",
                where=str(run.folder.path),
                remedy=_format_again(shards, run),
            )
        one, other = first.file.shard["splits"][title], run.file.shard["splits"][title]
        if (one["samples"], one["listing"]) != (other["samples"], other["listing"]):
            entry = first.file.tasks[display]
            named = (
                format_task(title, {}) if not entry.file else format_task(display, entry.file, title.rpartition(":")[2])
            )
            raise HarnessError(
                f"shards {first.name} and {run.name} were listed from two states of the data of {title}: "
                f"{one['samples']} and {other['samples']} samples, of other names",
                where=str(run.folder.path),
                remedy=f"`harness data verify {named}` says which is whole; then {_format_again(shards, run)}",
            )
    if not shards.missing(title):
        entries = [run.file.shard["splits"][title] for run in (first, *others)]
        here, whole = sum(entry["here"] for entry in entries), entries[0]["samples"]
        if here != whole:
            raise HarnessError(
                f"the shards hold {here} samples of {title}, of {whole}: a run.json was changed",
                where=str(shards.base / SHARDS),
                remedy="restore it, or run its shard with --fresh",
            )


def _list_task_settings(one: TaskEntry, other: TaskEntry) -> Iterator[tuple[str, object, object]]:
    """What must be the same of a task; its data may lie elsewhere on another machine."""
    yield "the task's version", one.version, other.version
    yield from _list_each("setting", one.settings, other.settings)
    for name in ("source", "revision", "checked"):
        yield f"the data's {name}", getattr(one.data, name), getattr(other.data, name)


def _list_split_settings(one: SplitEntry, other: SplitEntry) -> Iterator[tuple[str, object, object]]:
    """What must be the same of a split."""
    for name in ("limit", "epochs", "min_coverage", "judge", "found", "packaged", "outcome_labels"):
        shown = f"--{name}" if name in ("limit", "epochs") else name.replace("_", " ")
        yield shown, getattr(one, name), getattr(other, name)
    yield from _list_each("map", one.maps, other.maps)
    yield from _list_each("data", one.data, other.data)
    sent = [name for name in one.generation if None not in (one.generation[name], other.generation.get(name))]
    yield from ((name, one.generation[name], other.generation[name]) for name in sent)


def _list_each(
    what: str, one: Mapping[str, object], other: Mapping[str, object]
) -> Iterator[tuple[str, object, object]]:
    for name in sorted({*one, *other}):
        yield f"{what} {name}", _as_json(one.get(name)), _as_json(other.get(name))


def _format_again(shards: ShardSet, run: ShardRun) -> str:
    command = shards.format_command(run.shard[0])
    return f"run one of them again with the settings of the others: {command} --fresh"


def _show(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _as_json(value: Any) -> Json:
    """A value as run.json holds it: a tuple as a list."""
    plain: Json = json.loads(json.dumps(value))
    return plain


def list_numbers(numbers: Sequence[int]) -> str:
    """Numbers as a Slurm array has them: `0-2,5`."""
    parts: list[str] = []
    start = 0
    for place, number in enumerate(numbers):
        if place + 1 < len(numbers) and numbers[place + 1] == number + 1:
            continue
        first = numbers[start]
        parts.append(str(first) if first == number else f"{first}-{number}")
        start = place + 1
    return ",".join(parts)
