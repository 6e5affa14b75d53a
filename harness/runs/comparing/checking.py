"""Whether two runs may be compared: what must be alike, and what may differ and is told.

Task version, task settings, data, the wording of the input and the judge make the measure: where they differ, so do
the numbers, whatever the models are. Generation settings, a system prompt, a strategy and settings of the model belong
to the model that is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harness.keys import digest, short
from harness.runs.answers import answers
from harness.runs.comparing.reading import Reading, View, mapping, shown
from harness.runs.comparing.values import Unlike
from harness.types import Json

_FREE = frozenset({"seed"})  #: another draw of the same distribution


def mismatches(a: Reading, b: Reading, left: View, right: View) -> Iterator[Unlike]:
    """What keeps one split of two runs from being compared; a pooled one is what its parts are, if they are there."""
    if _is_told_by_parts(a, left):
        return
    for what, baseline, other in _unlike(a, b, left, right):
        yield Unlike(run=b.letter, split=left.title, what=what, baseline=baseline, other=other)


def _is_told_by_parts(run: Reading, view: View) -> bool:
    """Whether all parts of a pooled split are compared beside it."""
    parts = {f"{view.display}:{part}" for part in view.split.parts}
    return bool(parts) and parts <= {each.title for each in run.views}


def _unlike(a: Reading, b: Reading, left: View, right: View) -> Iterator[tuple[str, str, str]]:
    pairs = [
        ("the task version", a.task(left).version, b.task(right).version),
        ("the task with its settings", left.display, right.display),
        ("the wording of the input", _wording(a, left), _wording(b, right)),
        ("the judge", _judge(a, left), _judge(b, right)),
    ]
    yield from ((what, one, other) for what, one, other in pairs if one != other)
    if left.judge == right.judge and left.judge:
        names = [", ".join(sorted(side.judge(view).get("resolved") or ())) for side, view in ((a, left), (b, right))]
        if all(names) and names[0] != names[1]:
            yield "the snapshot behind the judge", names[0], names[1]
    yield from _data(a, b, left, right)


def _wording(run: Reading, view: View) -> str:
    told = run.told(view)
    fidelity = told.get("fidelity", view.split.fidelity) or ""
    template = told.get("template_hash", view.split.template_hash) or ""
    return f"{fidelity} {template[:8]}".strip()


def _judge(run: Reading, view: View) -> str:
    """The id, and what is behind it: rubric, version, whose words, model."""
    card = run.judge(view)
    model: Json = card.get("model")
    named = model if isinstance(model, str) else mapping(model).get("ref")
    facts = [f"{key} {card[key]}" for key in ("version", "fidelity") if card.get(key)]
    behind = ", ".join([*facts, *([f"model {named}"] if named else [])])
    return f"{view.judge} ({behind})" if behind else view.judge


def _data(a: Reading, b: Reading, left: View, right: View) -> Iterator[tuple[str, str, str]]:
    """The revision where it is stated on both sides, and what was asked in any case."""
    revisions = [_revision(run, view) for run, view in ((a, left), (b, right))]
    if all(revisions) and revisions[0] != revisions[1]:
        yield "the data revision", revisions[0], revisions[1]
    whole = [_content(run, view) for run, view in ((a, left), (b, right))]
    if all(whole) and _who(left) == _who(right):
        if whole[0] != whole[1]:
            yield "the data (sha256)", whole[0][:8], whole[1][:8]
        return
    ours, theirs = (_questions(run, view) for run, view in ((a, left), (b, right)))
    other = sum(theirs[who] != said for who, said in ours.items() if who in theirs)
    if other:
        yield "what was asked", f"one thing on {other} common items", "another"


def _revision(run: Reading, view: View) -> str:
    packaged = all(entry.packaged for entry in run.asked(view))
    return "" if packaged else run.task(view).data.revision


def _content(run: Reading, view: View) -> str:
    """Hash of what the data of the split says; empty where a listing was not complete."""
    hashes = [entry.content for entry in run.asked(view)]
    return digest([*hashes]).rpartition(":")[2] if all(hashes) else ""


def _who(view: View) -> set[tuple[str, str]]:
    return {(record.split, record.id) for record in view.records}


def _questions(run: Reading, view: View) -> dict[tuple[str, str], str]:
    """(split, sample) -> digest of the question: its texts and the hashes of its images, without system messages."""
    found: dict[tuple[str, str], str] = {}
    for name in view.split.parts or (view.name,):
        for answer in answers(run.folder, view.display, name):
            prompt: list[Mapping[str, Any]] = [] if answer.response is None else answer.response["prompt"]
            turns = [[part.get("text"), part.get("sha256")] for part in prompt if part["role"] != "system"]
            if turns:
                found[name, answer.asked["id"]] = digest(turns)
    return found


def differing(a: Reading, b: Reading) -> Iterator[Unlike]:
    """What differs between two models and their sampling, split by split where it is a split's."""
    for what, baseline, other in _model(a, b):
        if baseline != other:
            yield Unlike(run=b.letter, split="", what=what, baseline=baseline, other=other)
    theirs = {view.title: view for view in b.views}
    found: dict[tuple[str, str, str], list[str]] = {}
    for view in a.views:
        if view.title in theirs and not _is_told_by_parts(a, view):
            for unlike in dict.fromkeys(_sampling(a, b, view, theirs[view.title])):
                found.setdefault(unlike, []).append(view.title)
    for (what, baseline, other), splits in found.items():
        yield Unlike(run=b.letter, split=", ".join(splits), what=what, baseline=baseline, other=other)


def _model(a: Reading, b: Reading) -> Iterator[tuple[str, str, str]]:
    one, other = a.file, b.file
    yield "the model", one.model.ref, other.model.ref
    yield "the system prompt", _text(one.overrides.system), _text(other.overrides.system)
    yield "the strategy", shown(one.model.strategy), shown(other.model.strategy)
    yield from _fields("model setting", one.model.settings, other.model.settings)
    yield "what its training left out", _held_out(one.model.training), _held_out(other.model.training)
    if one.identity.get("fingerprint") != other.identity.get("fingerprint"):
        prints = [short(side.identity.get("fingerprint")) for side in (one, other)]
        yield "the checkpoint's files", prints[0], prints[1]


def _held_out(training: Mapping[str, Any]) -> str:
    return shown(", ".join(map(str, training.get("held_out") or ())), 80)


def _text(system: str) -> str:
    return f'"{shown(system, 40)}"' if system else ""


def _sampling(a: Reading, b: Reading, left: View, right: View) -> Iterator[tuple[str, str, str]]:
    for one, other in zip(a.asked(left), b.asked(right), strict=True):
        settings = (
            {name: value for name, value in entry.generation.items() if name not in _FREE} for entry in (one, other)
        )
        yield from _fields("generation setting", *settings)
        if one.epochs != other.epochs:
            yield "the number of epochs", str(one.epochs), str(other.epochs)
        if one.limit != other.limit:
            yield "the limit", shown(one.limit), shown(other.limit)


def _fields(what: str, one: Json, other: Json) -> Iterator[tuple[str, str, str]]:
    ours, theirs = mapping(one), mapping(other)
    for name in dict.fromkeys((*ours, *theirs)):
        if ours.get(name) != theirs.get(name):
            yield f"{what} {name}", shown(ours.get(name)), shown(theirs.get(name))
