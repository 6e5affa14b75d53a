"""Reads a run for a comparison: its splits, each under one judge; and finds what must be equal in two runs.

Task version, task settings, data, the wording of the input and the judge define the measure: if they differ, the
numbers of two runs are not comparable. Generation settings, a system prompt, a strategy, an attack and the model's
settings belong to the compared model: the samples stay the same, and so do the judges' questions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

from harness.contracts import Split
from harness.errors import HarnessError, UnknownName
from harness.keys import digest, short
from harness.metrics import Record
from harness.runs.comparing.comparison import JudgedPart, Mismatch
from harness.runs.selection import select_judge_ids
from harness.runs.stored import JudgedSplit, StoredRun, open_run
from harness.stats.summary import DrawWatch, label_record
from harness.store.records import original_prompt
from harness.store.run_file import RunFile, SplitEntry, TaskEntry
from harness.text import one_line
from harness.types import Json

_FREE: Final = frozenset({"seed"})  #: settings that only change the draw, not the distribution


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitView:
    """One split of one run under one judge.

    Attributes:
        display: the task's name in the results.
        task: the task's name without its settings.
        name: the split's name.
        split: how the split is scored.
        epochs: answers for each sample.
        judge: the judge's id; empty if none has judged.
        part: the part that the judge has read, if not all answers.
        toy: some of its data only demonstrates the tool.
        records: its records, in the order of asking.
    """

    display: str
    task: str
    name: str
    split: Split
    epochs: int
    judge: str
    part: JudgedPart | None
    toy: bool
    records: Sequence[Record]

    @property
    def title(self) -> str:
        """Task and split, as written for `--tasks`."""
        return f"{self.display}:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedRun:
    """One run.

    Attributes:
        letter: `A` is the baseline.
        stored: the stored run.
        results: its results.json; empty if no run has ended there.
        views: its splits, pooled ones too.
        left_out: splits without a view, and why.
        twins: further runs that differ from this one in a seed alone; all count as one side.
        seeds: of this run and of its twins; empty without twins.
    """

    letter: str
    stored: StoredRun
    results: Mapping[str, Any]
    views: Sequence[SplitView]
    left_out: Sequence[str]
    twins: Sequence[ComparedRun] = ()
    seeds: Sequence[str] = ()

    def all_views(self, view: SplitView) -> list[SplitView]:
        """A view of this run, and the same split in each of its twins."""
        key = view.display, view.name
        twins = [next(each for each in twin.views if (each.display, each.name) == key) for twin in self.twins]
        return [view, *twins]

    @property
    def file(self) -> RunFile:
        """Its run.json."""
        return self.stored.file

    @property
    def model_name(self) -> str:
        """The model with its strategy, system message and attack, as leaderboards name it."""
        return self.file.model_name

    @property
    def attack(self) -> str:
        """The name of the attack that changed its questions; empty for none."""
        return str(_to_object(self.file.model.attack).get("name", ""))

    def task(self, view: SplitView) -> TaskEntry:
        """The entry of a view's task in run.json."""
        return self.file.tasks[view.display]

    def entries(self, view: SplitView) -> list[SplitEntry]:
        """The entries of a view's split, or of its parts, in run.json."""
        splits = self.task(view).splits
        return [splits[name] for name in view.split.parts or (view.name,)]

    def card(self, view: SplitView) -> Mapping[str, Any]:
        """The entry of a view's judge; empty if it has none."""
        card = _to_object(_to_object(self.results.get("judges")).get(view.judge))
        return card or self.file.judges.get(view.judge, {})

    def describe_judge(self, view: SplitView) -> str:
        """The judge's id with its rubric, version, wording and model."""
        card = self.card(view)
        model: Json = card.get("model")
        named = model if isinstance(model, str) else _to_object(model).get("ref")
        facts = [f"{key} {card[key]}" for key in ("version", "fidelity") if card.get(key)]
        behind = ", ".join([*facts, *([f"model {named}"] if named else [])])
        return f"{view.judge} ({behind})" if behind else view.judge

    def describe_wording(self, view: SplitView) -> str:
        """The source of the input's wording in a view's split, and its template's hash."""
        task = _to_object(_to_object(self.results.get("tasks")).get(view.display))
        split = _to_object(_to_object(task.get("splits")).get(view.name))
        fidelity = split.get("fidelity", view.split.fidelity) or ""
        template = split.get("template_hash", view.split.template_hash) or ""
        return f"{fidelity} {template[:8]}".strip()

    def revision(self, view: SplitView) -> str:
        """The revision of a view's data; empty if it is not stated, or if the data comes with the task."""
        packaged = all(entry.packaged for entry in self.entries(view))
        return "" if packaged else self.task(view).data.revision

    def content(self, view: SplitView) -> str:
        """Hash of the data of a view's split; empty if a listing is incomplete."""
        hashes = [entry.content for entry in self.entries(view)]
        return digest([*hashes]).rpartition(":")[2] if all(hashes) else ""

    def has_parts_of(self, view: SplitView) -> bool:
        """Whether all parts of a pooled split are compared too, so that they show its mismatches."""
        parts = {f"{view.display}:{part}" for part in view.split.parts}
        return bool(parts) and parts <= {each.title for each in self.views}


def list_titles(file: RunFile) -> set[tuple[str, str]]:
    """(task's name without settings, split) of each asked split."""
    return {(task.task, name) for task in file.tasks.values() for name in task.splits}


def letters() -> Iterator[str]:
    """A, B, … Z, then R27, R28, …"""
    yield from "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    number = 27
    while True:
        yield f"R{number}"
        number += 1


def read_run(
    letter: str, path: Path, tasks: Sequence[str], common: Collection[tuple[str, str]], judge: str
) -> ComparedRun:
    """Read a run.

    Args:
        letter: the run's letter.
        path: the run folder.
        tasks: names as written for `--tasks`; none for those in `common`.
        common: the titles (`list_titles`) that all runs share.
        judge: a judge's id or its beginning; empty for the primary one of each split.

    Raises:
        UnknownName: the run has no such task or judge.
    """
    if not tasks:
        file = open_run(path).file
        tasks = [f"{title}:{name}" for title, task in file.tasks.items() for name in task.splits
                 if (task.task, name) in common]  # fmt: skip
    views, left_out = list[SplitView](), list[str]()
    try:
        stored = open_run(path, tasks)
        judges = _select_judges(stored, judge)
        for each in stored.load_splits(judges):
            chosen, why = _choose_judge(stored, each, judge, judges)
            if why:
                left_out.append(f"{each.title}: {why}")
            else:
                views.append(_make_view(stored, each, chosen))
    except UnknownName as error:
        raise UnknownName(error.what, where=error.where or str(path), remedy=error.remedy) from None
    return ComparedRun(letter=letter, stored=stored, results=stored.folder.results, views=views, left_out=left_out)


def _select_judges(stored: StoredRun, wanted: str) -> Sequence[str]:
    """The judges to read, including ensembles that are primary."""
    if wanted:
        try:
            return select_judge_ids("--judge", (wanted,), stored.file.judges)
        except UnknownName as error:
            known = ", ".join(stored.file.judges) or "none"
            raise UnknownName(error.what, remedy=f"its judges: {known}") from None
    primary = {entry.judge or "" for task in stored.file.tasks.values() for entry in task.splits.values()}
    return sorted(primary & stored.file.judges.keys())


def _choose_judge(stored: StoredRun, each: JudgedSplit, wanted: str, judges: Collection[str]) -> tuple[str, str]:
    """The judge whose verdicts count on a split, empty for none; and why there is no single one."""
    splits = stored.file.tasks[each.display].splits
    primaries = {splits[name].judge for name in each.split.parts or (each.name,)}
    if len(primaries) > 1:
        return "", "its parts have different primary judges"
    found = [judge for judge in each.judges if judge in judges]
    if wanted in found:
        return wanted, ""
    primary = primaries.pop() or ""
    if not wanted or primary in found:
        return primary, ""
    if len(found) > 1:
        raise HarnessError(f"--judge {wanted} matches {', '.join(found)}", remedy="give the whole id of one")
    return (found[0], "") if found else ("", f"{wanted} has not judged it")


def _make_view(stored: StoredRun, each: JudgedSplit, judge: str) -> SplitView:
    task = stored.file.tasks[each.display]
    records = [s.seen[judge] if judge in s.seen else label_record(s.record, None, each.split, {})
               for s in each.records]  # fmt: skip
    entries = {name: task.splits[name] for name in each.split.parts or (each.name,)}
    watches = {name: DrawWatch(entry.drawn.get(judge)) for name, entry in entries.items()}
    for record in records:
        watches[record.split].add(record)
    answered = sum(record.outcome == "answered" for record in records)
    read = answered - sum(record.unjudged for record in records)
    drawn = all(watch.drawn is not False for watch in watches.values())
    return SplitView(
        display=each.display,
        task=task.task,
        name=each.name,
        split=replace(each.split, metrics=each.metrics(judge)),
        epochs=each.epochs,
        judge=judge,
        part=JudgedPart(answers=answered, read=read, drawn=drawn) if 0 < read < answered else None,
        toy=any(bool(entry.data.get("toy")) for entry in entries.values()),
        records=records,
    )


def find_mismatches(a: ComparedRun, b: ComparedRun, left: SplitView, right: SplitView) -> Iterator[Mismatch]:
    """Why one split of two runs cannot be compared; for a pooled split its parts show it, if they are compared."""

    def differ(what: str, baseline: str, other: str) -> Mismatch:
        return Mismatch(run=b.letter, split=left.title, what=what, baseline=baseline, other=other)

    if a.has_parts_of(left):
        return
    pairs = [
        ("the task version", a.task(left).version, b.task(right).version),
        ("the task with its settings", left.display, right.display),
        ("the wording of the input", a.describe_wording(left), b.describe_wording(right)),
        ("the judge", a.describe_judge(left), b.describe_judge(right)),
    ]
    yield from (differ(what, one, other) for what, one, other in pairs if one != other)
    if left.judge == right.judge and left.judge:
        names = [", ".join(sorted(side.card(view).get("resolved") or ())) for side, view in ((a, left), (b, right))]
        if all(names) and names[0] != names[1]:
            yield differ("the snapshot behind the judge", names[0], names[1])
    # the revision if both state it, and the questions in any case
    revisions = a.revision(left), b.revision(right)
    if all(revisions) and revisions[0] != revisions[1]:
        yield differ("the data revision", *revisions)
    contents = a.content(left), b.content(right)
    samples = [{(record.split, record.id) for record in view.records} for view in (left, right)]
    if all(contents) and samples[0] == samples[1]:
        if contents[0] != contents[1]:
            yield differ("the data (sha256)", contents[0][:8], contents[1][:8])
        return
    ours, theirs = _hash_questions(a, left), _hash_questions(b, right)
    pairs_asked = [(question, theirs[sample]) for sample, question in ours.items() if sample in theirs]
    # a dialogue is compared as far as both went
    changed = sum(any(one != other for one, other in zip(*pair, strict=False)) for pair in pairs_asked)
    if changed:
        yield differ("what was asked", f"one thing on {changed} common items", "another")


def _hash_questions(run: ComparedRun, view: SplitView) -> dict[tuple[str, str], tuple[str, ...]]:
    """(split, sample) -> digests of the question: its texts and image hashes, without system messages.

    A dialogue has one for each of its asked turns, up to the one that failed, and an empty one at its end if none did.
    The model's replies are no part of what was asked.
    """
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for name in view.split.parts or (view.name,):
        for answer in run.stored.answers(f"{view.display}:{name}"):
            prompt: list[Mapping[str, Any]] = [] if answer.response is None else original_prompt(answer.response)
            turns: list[list[list[Any]]] = [[]]
            for part in prompt:
                if "turn" in part:
                    turns.append([])
                elif part["role"] != "system":
                    turns[-1].append([part.get("text"), part.get("sha256")])
            if turns[0]:
                end = ("",) if answer.outcome == "answered" else ()
                found[name, answer.asked["id"]] = (*(digest(turn) for turn in turns if turn), *end)
    return found


def find_differences(a: ComparedRun, b: ComparedRun) -> Iterator[Mismatch]:
    """The differences between two models and their sampling; those of a split are listed by split."""
    one, other = a.file, b.file
    systems = [f'"{_shorten(run.overrides.system, 40)}"' if run.overrides.system else "" for run in (one, other)]
    held_out = [", ".join(map(str, run.model.training.get("held_out") or ())) for run in (one, other)]
    whole = [
        ("the model", one.model.ref, other.model.ref),
        ("the system prompt", systems[0], systems[1]),
        ("the strategy", *_describe_choices(one.model.strategy, other.model.strategy)),
        *_compare_fields("model setting", one.model.settings, other.model.settings),
        ("the attack", *_describe_choices(one.model.attack, other.model.attack)),
        ("what its training left out", _shorten(held_out[0], 80), _shorten(held_out[1], 80)),
    ]
    if one.identity.get("fingerprint") != other.identity.get("fingerprint"):
        prints = [short(run.identity.get("fingerprint")) for run in (one, other)]
        whole.append(("the checkpoint's files", prints[0], prints[1]))
    found: dict[tuple[str, str, str], list[str]] = {each: [] for each in whole if each[1] != each[2]}
    theirs = {view.title: view for view in b.views}
    for view in a.views:
        if view.title in theirs and not a.has_parts_of(view):
            for unlike in dict.fromkeys(_compare_sampling(a.entries(view), b.entries(theirs[view.title]))):
                found.setdefault(unlike, []).append(view.title)
    for (what, baseline, in_other), splits in found.items():
        yield Mismatch(run=b.letter, split=", ".join(splits), what=what, baseline=baseline, other=in_other)


def _compare_sampling(ours: Iterable[SplitEntry], theirs: Iterable[SplitEntry]) -> Iterator[tuple[str, str, str]]:
    for one, other in zip(ours, theirs, strict=True):
        settings = (
            {name: value for name, value in entry.generation.items() if name not in _FREE} for entry in (one, other)
        )
        yield from _compare_fields("generation setting", *settings)
        if one.epochs != other.epochs:
            yield "the number of epochs", str(one.epochs), str(other.epochs)
        if one.limit != other.limit:
            yield "the limit", _shorten(one.limit), _shorten(other.limit)


def _compare_fields(what: str, one: Json, other: Json) -> Iterator[tuple[str, str, str]]:
    ours, theirs = _to_object(one), _to_object(other)
    for name in dict.fromkeys((*ours, *theirs)):
        if ours.get(name) != theirs.get(name):
            yield f"{what} {name}", _shorten(ours.get(name)), _shorten(theirs.get(name))


def _describe_choices(one: Json, other: Json) -> tuple[str, str]:
    """The strategies or the attacks of two runs; empty for none. Two that differ are never described alike."""
    ours, theirs = _describe_choice(one), _describe_choice(other)
    return (f"{ours} {short(one)}", f"{theirs} {short(other)}") if one != other and ours == theirs else (ours, theirs)


def _describe_choice(chosen: Json) -> str:
    """A strategy or an attack with those of its settings that have a value; empty for none."""
    if isinstance(chosen, str):
        return chosen
    known = _to_object(chosen)
    settings = _to_object(known.get("settings")).items()
    given = ", ".join(f"{name}={_shorten(value, 20)}" for name, value in settings if value not in (None, ""))
    return " ".join(part for key in ("name", "version") if (part := str(known.get(key) or ""))) + (
        f" ({given})" if given else ""
    )


def _to_object(value: object) -> Mapping[str, Any]:
    """The value if it is a JSON object; else an empty one."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def _shorten(value: object, width: int = 60) -> str:
    """A value as a short text; empty for none."""
    if value is None or value == "" or value == []:
        return ""
    return one_line(f"{value:g}" if isinstance(value, float) else str(value), width)
