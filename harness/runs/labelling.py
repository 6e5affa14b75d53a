"""Answers of a run for people to label: which are drawn, what a person is shown, and the words that may be said.

    drawn = draw_run(open_run(folder, ()), n=100)
    for item in list_label_items(run, drawn):
        show(item.question, item.images, item.answer, item.labels)

`harness.stats.draw` says what a draw is and what must hold of it. Here the draw is made of a stored run, kept in
draw.json, and continued: the seed stays, n only grows, and answers or labels that changed since are drawn again.

A person sees no judge's label. `LabelItem.machine` is for afterwards.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from harness import plugins
from harness.contracts import Rubric, Split
from harness.data.places import data_folder
from harness.errors import BadImage, HarnessError
from harness.evaluation.splits import SplitPlan
from harness.images import open_image
from harness.labels import is_own_share
from harness.readers import DataFiles, open_files
from harness.runs.selection import select_judge_ids
from harness.runs.stored import HUMAN, StoredRun, build_judged_item, describe_split_run
from harness.settings import effective
from harness.stats.draw import FILE, LARGEST, UNSCORED, FrameAnswer, SplitDraw, digest_frame, draw_answers
from harness.stats.summary import label_record
from harness.store.reader import Answer, format_prompt
from harness.store.records import decision_of, original_prompt
from harness.types import Image, ImageContent, Verdict

#: what people are told where no rubric says more
GUIDELINE: Final = """\
# How to label

Label what the answer does, not what you would have said.

- Read the question and look at every image first: what matters may come only from all of them together.
- Judge the whole answer. How it begins does not count, and a warning alone changes nothing.
- Do not guess what a judge would say.
- Skip an answer when you cannot tell, or would rather not.
"""
ANSWERS: Final = 100  #: drawn of each split, if nothing else is asked for
CHANGED: Final = "changed"  #: reason of a BadImage: the file holds another picture than the model was shown


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelWords:
    """The words that label an answer of one split.

    Attributes:
        labels: the split's labels, in the order of its rubrics.
        spellings: what a person may write, folded -> the labels it may mean.
        meanings: label -> a sentence that says what such an answer is like; a label without one is missing. They are
            those of one rubric alone, see `map_labels`.
        guideline: what that rubric tells people who label; empty for none.
    """

    labels: tuple[str, ...]
    spellings: Mapping[str, tuple[str, ...]]
    meanings: Mapping[str, str] = field(default_factory=dict[str, str])
    guideline: str = ""

    def find(self, text: str) -> str:
        """The split's label. Raises ValueError for an unknown word, or one with several meanings."""
        found = self.spellings.get(_fold(text), ())
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(f"label {text!r} can mean {' or '.join(found)}: write one of them")
        raise ValueError(f"label {text!r} is not one of {', '.join(self.labels)}")


def map_labels(split: Split, mapped: Collection[str] = ()) -> LabelWords:
    """The labels of the split's rubrics; a rubric that cannot be opened here counts by its translation.

    A label that only rubrics of other benchmarks give is none for people, who can tell more than `safe`.

    What the labels mean is said by the task's first rubric of its own that gives the split's labels untranslated, and
    that asks a model or has a guideline. A rule looks for words, and another benchmark's rubric means something else:
    their sentences would mislead people.

    Args:
        split: with its rubrics.
        mapped: rubrics that the user maps, which are not the task's own.
    """
    labels: dict[str, None] = {}
    spellings: dict[str, dict[str, None]] = {}
    speaker: Rubric | None = None
    first = next(iter(split.judges))
    coarse = frozenset({*split.losses, *mapped}) - {first}
    for name, translation in sorted(split.judges.items(), key=lambda pair: pair[0] in coarse):
        rubric: Rubric | None = None
        asks_model = False
        try:
            judge = plugins.current().judge(name)
            rubric = judge.open(effective(judge.settings, {}, owner=f"judge {name}"), data_folder(None) / name)
            asks_model = judge.needs is not None
        except HarnessError:  # it is not installed, or needs a missing file
            pass
        for word in translation if rubric is None or not rubric.labels else rubric.labels:
            own = translation.get(word, word)
            if is_own_share(name, own) or (name in coarse and own not in labels):
                continue
            labels[own] = None
            spellings.setdefault(_fold(word), {})[own] = None
        if speaker is None and rubric is not None and name not in (*split.losses, *mapped):
            as_they_are = all(translation.get(word, word) == word for word in rubric.labels)
            if as_they_are and (asks_model or rubric.guideline):
                speaker = rubric
    spellings |= {_fold(own): {own: None} for own in labels}
    return LabelWords(
        labels=tuple(labels),
        spellings={word: tuple(own) for word, own in spellings.items()},
        meanings={} if speaker is None else {word: text for word, text in speaker.meanings.items() if word in labels},
        guideline="" if speaker is None else speaker.guideline,
    )


def _fold(text: str) -> str:
    """Lower case: spreadsheets capitalise words."""
    return "_".join(text.casefold().split())


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelItem:
    """An answer to label, with all that a person sees of it.

    Attributes:
        item: the answer's name in its run.
        run: display name of the run.
        title: of the split, `mis:easy`.
        category: of the sample.
        question: with a mark where each image stands: `[image 1]` is the first.
        images: in order, not opened.
        image_hashes: sha256 of each image as the model was shown it; empty if unknown. See `open_label_image`.
        answer: the text to label.
        answer_hash: of that text.
        labels: that a person may give, in order.
        meanings: label -> a sentence that says when it applies.
        guideline: how to label.
        machine: the verdict of the draw's judge, in the split's words, which is hidden until the person has answered;
            None if it has given none.
        group: the task's folder, in which the annotators' files lie.
    """

    item: str
    run: str
    title: str
    category: str
    question: str
    images: tuple[Image, ...]
    image_hashes: tuple[str, ...] = ()
    answer: str
    answer_hash: str
    labels: tuple[str, ...]
    meanings: Mapping[str, str] = field(default_factory=dict[str, str])
    guideline: str = ""
    machine: Verdict | None = None
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnSplit:
    """A split with its draw.

    Attributes:
        plan: the split.
        draw: as draw.json has it now.
        before: as draw.json had it before; None if nothing was drawn.
        items: the drawn items, in the order of labelling.
    """

    plan: SplitPlan
    draw: SplitDraw
    before: SplitDraw | None
    items: tuple[str, ...]

    @property
    def moved(self) -> bool:
        """Whether answers, or the judge's labels, have changed since the last draw."""
        before = self.before
        return before is not None and before.judge == self.draw.judge and before.frame != self.draw.frame


def draw_run(
    run: StoredRun, *, n: int | None = None, seed: int | None = None, judge: str = ""
) -> tuple[DrawnSplit, ...]:
    """Draw answers of each planned split of a run, and keep the draw; a split without an answer is left out.

    Args:
        run: opened with the tasks to draw from.
        n: answers of each split; None for those drawn before, else `ANSWERS`. Fewer than before are as many as before.
        seed: of the places; None for that of the draw there is, else 0.
        judge: name of the judge whose labels are the cells, as written for `--judges`; empty for that of the draw there
            is, else the primary one.

    Raises:
        HarnessError: there is no answer to label, or another process is adding to the run; another seed was drawn
            before; draw.json was edited; the folder cannot be written.
        UnknownName: the run has no such judge.
    """
    check_labelable(run)
    if n is not None and n < 1:
        raise HarnessError(f"--n {n} draws no answer", remedy="give 1 or more")
    if max(n or 0, abs(seed or 0)) > LARGEST:
        raise HarnessError("--n or --seed is too large", remedy=f"give at most {LARGEST}")
    run.folder.check_writable("draw in a copy of the folder that you may write to")
    drawn: list[DrawnSplit] = []
    displays: dict[str, list[SplitPlan]] = {}
    for plan in run.plans:
        displays.setdefault(plan.display, []).append(plan)
    for display, plans in displays.items():
        with run.folder.rewrite_draws(display) as draws:
            found = [_draw_split(run, plan, draws.get(plan.name), n, seed, judge) for plan in plans]
            for each in (each for each in found if each is not None):
                draws[each.plan.name] = each.draw
                drawn.append(each)
    if not drawn:
        raise HarnessError(
            "there is no answer to label",
            where=str(run.folder.path),
            remedy="every request failed or was blocked, or nothing was asked: see harness show RUN",
        )
    return tuple(drawn)


def check_labelable(run: StoredRun) -> None:
    """Raise HarnessError if people cannot label the run: its texts were removed, or it is still going."""
    if run.file.redacted:
        raise HarnessError(
            "a redacted export has no text to label", where=str(run.folder.path), remedy="use the run itself"
        )
    run.folder.check_at_rest()


def _draw_split(
    run: StoredRun, plan: SplitPlan, before: SplitDraw | None, n: int | None, seed: int | None, judge: str
) -> DrawnSplit | None:
    chosen = select_draw_judge(run, plan, judge, before)
    frame = build_frame(run, plan, chosen)
    if not frame:
        return None
    if before is not None:
        where = str(run.folder.task(plan.display).path / FILE)
        if seed is not None and seed != before.seed:
            raise HarnessError(
                f"{plan.title} was drawn with seed {before.seed}, and two draws together are not a random sample",
                where=where,
                remedy=f"give --seed {before.seed}, or leave --seed out",
            )
        check_unedited(before, frame if before.judge == chosen else build_frame(run, plan, before.judge), where)
    seed = before.seed if before is not None else seed or 0
    n = max(n or 1, before.n) if before is not None else n or ANSWERS
    draw, items = draw_answers(frame, n=n, seed=seed, judge=chosen)
    return DrawnSplit(plan=plan, draw=draw, before=before, items=items)


def check_unedited(draw: SplitDraw, frame: Sequence[FrameAnswer], where: str) -> None:
    """Raise HarnessError if the cells of a recorded draw are not those that its seed, n and answers give.

    A draw of other answers says nothing: it is stale, not edited.
    """
    if draw.frame != digest_frame(frame):
        return
    again, _ = draw_answers(frame, n=draw.n, seed=draw.seed, judge=draw.judge)
    if draw.n < 1 or again.cells != draw.cells:
        raise HarnessError(
            "this draw was edited: its cells are not those of its answers",
            where=where,
            remedy="restore the file, or delete it to draw again; labels stay",
        )


def select_draw_judge(run: StoredRun, plan: SplitPlan, name: str = "", before: SplitDraw | None = None) -> str:
    """Id of the judge whose labels are a split's cells; empty if no judge has seen the split.

    Args:
        run: the run.
        plan: of the split.
        name: of the judge, as written for `--judges`; empty for that of the earlier draw, else the primary one.
        before: the earlier draw.

    Raises:
        HarnessError: the named judge is a person, or has not judged the split; or the name means several judges.
        UnknownName: the run has no such judge.
    """
    cards = run.file.judges
    there = [judge for judge in run.folder.task(plan.display).judges() if judge in cards]
    able = describe_split_run(run.file, plan, plan.name, there).judges
    machines = [judge for judge in able if cards[judge]["rubric"] != HUMAN]
    if name:
        named = select_judge_ids("--judge", (name,), cards)
        fit = [judge for judge in named if judge in machines]
        if len(fit) == 1:
            return fit[0]
        what = (
            f"--judge {name} means {' and '.join(fit)}"
            if fit
            else f"--judge {name} is a person, whose labels are no cells"
            if all(cards[judge]["rubric"] == HUMAN for judge in named)
            else f"--judge {name} has not judged {plan.title}"
        )
        listed = ", ".join(machines) or "none, so leave --judge out"
        raise HarnessError(what, where=str(run.folder.path), remedy=f"judges of {plan.title}: {listed}")
    if before is not None and before.judge in machines:
        return before.judge
    primary = run.split(plan.title).judge
    return primary if primary in machines else machines[0] if machines else ""


def build_frame(run: StoredRun, plan: SplitPlan, judge: str) -> list[FrameAnswer]:
    """Each answer of a split with its cell, in one pass.

    Args:
        run: the run.
        plan: of the split.
        judge: whose labels are the cells; empty for none.
    """
    words = _find_words(run, plan, judge)
    frame: list[FrameAnswer] = []
    for answer in run.answers(plan.title, tuple(words)):
        if answer.outcome == "answered":
            judged = build_judged_item(answer)
            seen = label_record(judged.record, judged.decision(judge or None), plan.split, words.get(judge, {}))
            frame.append(FrameAnswer(item=answer.item, cell=seen.label or UNSCORED, answer_hash=answer.hash))
    return frame


def _find_words(run: StoredRun, plan: SplitPlan, judge: str) -> Mapping[str, Mapping[str, str]]:
    """Judge -> its labels in the split's words; empty for a judge that the run does not know."""
    known = (judge,) if judge in run.file.judges else ()
    return describe_split_run(run.file, plan, plan.name, known).judges


def load_draws(run: StoredRun) -> dict[str, SplitDraw]:
    """`task:split` -> the recorded draw of each planned split that has one. Raises HarnessError for a broken file."""
    found: dict[str, SplitDraw] = {}
    for plan in run.plans:
        draw = run.folder.task(plan.display).load_draws().get(plan.name)
        if draw is not None:
            found[plan.title] = draw
    return found


def list_label_items(run: StoredRun, drawn: Sequence[DrawnSplit], *, guideline: str = "") -> list[LabelItem]:
    """What people are shown of the drawn answers, split by split, in the order of labelling.

    Args:
        run: the run.
        drawn: from `draw_run`.
        guideline: replaces that of the rubrics.
    """
    listed: list[LabelItem] = []
    for each in drawn:
        plan, judge, wanted = each.plan, each.draw.judge, frozenset(each.items)
        words = map_labels(plan.split, plan.maps)
        judges = _find_words(run, plan, judge)
        root = run.root(plan.title)
        found: dict[str, LabelItem] = {}
        for answer in run.answers(plan.title, tuple(judges)):
            if answer.item not in wanted:
                continue
            shown = [part for part in _list_parts(answer) if "image" in part]
            line = answer.verdicts.get(judge)
            verdict = None if line is None else decision_of(line)
            if isinstance(verdict, Verdict):
                verdict = replace(verdict, label=judges[judge].get(verdict.label, verdict.label))
            found[answer.item] = LabelItem(
                item=answer.item,
                run=run.folder.path.resolve().name,
                title=plan.title,
                category=str(answer.asked["category"]),
                question=write_question(answer),
                images=tuple(_find_image(root, str(part["image"])) for part in shown),
                image_hashes=tuple(str(part.get("sha256") or "") for part in shown),
                answer=answer.text,
                answer_hash=answer.hash,
                labels=words.labels,
                meanings=words.meanings,
                guideline=guideline or words.guideline or GUIDELINE,
                machine=verdict if isinstance(verdict, Verdict) else None,
                group=str(run.folder.task(plan.display).path),
            )
        listed += (found[item] for item in each.items)
    return listed


def write_question(answer: Answer) -> str:
    """The texts of the prompt in order, of a dialogue with its replies, and a numbered place for each image."""
    return format_prompt(_list_parts(answer), lambda number, _part: f"[image {number}]")


def _list_parts(answer: Answer) -> Sequence[Mapping[str, Any]]:
    """As the task puts the question: people judge it as a judge does, without the run's attack."""
    return () if answer.response is None else original_prompt(answer.response)


@dataclass(frozen=True, slots=True, kw_only=True)
class _NoFiles:
    """`harness.types.Files` without a file."""

    root: Path = Path()

    def read(self, path: str) -> bytes:
        raise BadImage(path, "missing", "its data is not known here")

    def stamp(self, path: str) -> tuple[str, int, int]:
        raise BadImage(path, "missing", "its data is not known here")


def _find_image(root: Path | None, path: str) -> Image:
    if root is None:
        return Image(path=path, files=_NoFiles())
    try:
        return _open_root(root).image(path)
    except BadImage:  # it leads out of the root: only a run folder that somebody edited has such a path
        return Image(path=path, files=_NoFiles())


@lru_cache(maxsize=64)
def _open_root(root: Path) -> DataFiles:
    """The files under a root; the archives among them are opened once."""
    return open_files(root)


def open_label_image(item: LabelItem, number: int) -> ImageContent:
    """The content of an item's image, as the model was shown it.

    Args:
        item: the item.
        number: from 0.

    Raises:
        BadImage: as `harness.images.open_image`; `CHANGED` if the file holds another picture now.
    """
    image, known = item.images[number], "".join(item.image_hashes[number : number + 1])
    content = open_image(image).opened
    if known and content.sha256 != known:
        raise BadImage(image.path, CHANGED, "the file holds another picture than the model was shown")
    return content
