"""The published answers that people labelled, each set read in its own layout.

MSTS (arXiv 2501.10057), XSTest (2308.01263), HarmBench's validation set (2402.04249), JailbreakBench's comparison of
judges (2404.01318), StrongREJECT's labels (2402.10260). Columns of the last two that nobody could look at here are read
by what is published of them, and a file of another shape is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from harness import BadData, Image, Sample, Settings, distinct, open_files, prompt, rows, together
from harness.keys import short
from harness.readers import Row, document

#: label of XSTest -> ours, by whether a partial refusal counts as a refusal
XSTEST_LABELS: Final[Mapping[str, Mapping[str, str]]] = {
    "strict": {"1": "complied", "2": "refused", "3": "refused"},
    "lenient": {"1": "complied", "2": "refused", "3": "complied"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledAnswer:
    """One answer and what people say of it.

    Attributes:
        name: of the answer, unique or made so.
        question: what was asked.
        images: shown with it.
        answer: of the model.
        label: what counts: an expert's, or the majority's.
        votes: annotator -> label.
        model: that answered.
        category: of the question.
        cluster: answers to one question belong together.
    """

    name: str
    question: str
    answer: str
    label: str
    images: tuple[Image, ...] = ()
    votes: Mapping[str, str] = field(default_factory=dict[str, str])
    model: str = ""
    category: str = ""
    cluster: str = ""


def read_msts(root: Path, split: str, settings: Settings) -> Iterator[LabelledAnswer]:
    """4,000 answers of ten models in English, 800 to text alone, 400 in each of ten other languages."""
    files = open_files(root)
    file = {"english": "english_multimodal", "textonly": "english_textonly"}.get(split, f"{split}_multimodal")
    shown = str(settings["image"]) if split != "textonly" else "none"
    images: dict[str, str] = {}
    if shown == "file":
        for row in rows(files, "data/prompts/english_multimodal.csv"):
            images[row.text("case_id")] = row.text("unsafe_image_id")
    for row in rows(files, f"data/response_annotations/{file}.csv"):
        case, question = row.text("case_id"), row.text("prompt_text")
        found: tuple[Image, ...] = ()
        if shown == "description":
            question = f"[image: {row.text('unsafe_image_description')}]\n{question}"
        elif shown == "file":
            if case not in images:
                raise BadData(f"case {case!r} is not in data/prompts/english_multimodal.csv", where=row.place)
            place = next(iter(files.matching(f"data/unsafe_images/{images[case]}.*")), "")
            found = (files.image(place or f"data/unsafe_images/{images[case]}.jpg"),)
        votes = {
            row.key(f"annot{number}_name"): _read_msts_label(row, f"annot{number}_label")
            for number in (1, 2)
            if row.text(f"annot{number}_label", default="")
        }
        final = "final_label" if row.text("final_label", default="") else "annot1_label"
        yield LabelledAnswer(
            name=f"{case}-{row.text('prompt_type').removeprefix('prompt_').split('_')[0]}-{row.text('model')}",
            question=question,
            answer=row.text("response", default=""),
            label=_read_msts_label(row, final),
            images=found,
            votes=votes,
            model=row.text("model"),
            category=row.text("prompt_type").removeprefix("prompt_").split("_")[0],
            cluster=case,
        )


def _read_msts_label(row: Row, name: str) -> str:
    """`1.7 - image description` and `1 - safe` are safe, `2.1 - explicit encouragement` and `2 - unsafe` unsafe."""
    text = row.text(name)
    if text[:1] not in {"1", "2"}:
        raise BadData(f"the label {text!r} begins neither with 1 nor with 2", where=f"{row.place}, field {name}")
    return "safe" if text.startswith("1") else "unsafe"


def read_xstest(root: Path, split: str, settings: Settings) -> Iterator[LabelledAnswer]:
    """Answers of five models to 450 prompts."""
    files, labels = open_files(root), XSTEST_LABELS[str(settings["partial"])]
    for row in rows(files, f"model_completions/xstest_v2_completions_{split}.csv"):
        votes = {
            str(number): _read_xstest_label(row, f"annotation_{number}", labels)
            for number in (1, 2)
            if row.text(f"annotation_{number}", default="")
        }
        yield LabelledAnswer(
            name=row.key("id"),
            question=row.text("prompt"),
            answer=row.text("completion", default=""),
            label=_read_xstest_label(row, "final_label", labels),
            votes=votes,
            model=split,
            category=row.text("type"),
            cluster=row.text("prompt"),
        )


def _read_xstest_label(row: Row, name: str, labels: Mapping[str, str]) -> str:
    text = row.text(name)
    if text[:1] not in labels:
        raise BadData(f"the label {text!r} is not one of 1, 2 and 3", where=f"{row.place}, field {name}")
    return labels[text[:1]]


def read_harmbench(root: Path, _split: str, _settings: Settings) -> Iterator[LabelledAnswer]:
    """602 answers with three votes each; two of them decide."""
    file = document(open_files(root), "data/classifier_val_sets/text_behaviors_val_set.json")
    for behavior in file.values:
        for row in file.rows(behavior):
            votes = {str(n): "unsafe" if _read_vote(row, f"human_{n}") else "safe" for n in range(3)}
            yield LabelledAnswer(
                name=f"{behavior}-{row.number}",
                question=row.text("behavior", "test_case"),
                answer=row.text("generation", default=""),
                label="unsafe" if list(votes.values()).count("unsafe") >= 2 else "safe",
                votes=votes,
                category=row.text("functional_category", "category", default=""),
                cluster=behavior,
            )


def read_jbb(root: Path, _split: str, _settings: Settings) -> Iterator[LabelledAnswer]:
    """300 answers with three votes and their majority; the question is the goal, not the jailbreak around it."""
    for row in rows(open_files(root), "data/judge-comparison.csv", "judge-comparison.csv"):
        voters = [name for name in row.values if name.startswith("human") and name != "human_majority"]
        yield LabelledAnswer(
            name=str(row.number),
            question=row.text("goal"),
            answer=row.text("target_response", default=""),
            label="unsafe" if _read_vote(row, "human_majority") else "safe",
            votes={name: "unsafe" if _read_vote(row, name) else "safe" for name in voters},
            cluster=row.text("goal"),
        )


def read_strongreject(root: Path, _split: str, settings: Settings) -> Iterator[LabelledAnswer]:
    """1,361 answers; the median of some five ratings from 0 to 1 makes the label."""
    files = open_files(root)
    for row in rows(files, "labelbox.csv", *files.matching("*/labelbox.csv")):
        where = f"{row.place}, field label_median"
        given = row.text("label_median")
        try:
            median = float(given)
        except ValueError:
            raise BadData(f"{given!r} is not a number", where=where) from None
        if not 0 <= median <= 1:
            raise BadData(f"the rating {median:g} is not one from 0 to 1", where=where)
        yield LabelledAnswer(
            name=str(row.number),
            question=row.text("forbidden_prompt"),
            answer=row.text("response", default=""),
            label="unsafe" if median >= float(settings["threshold"]) else "safe",
            model=row.text("model", default=""),
            category=row.text("jailbreak", default=""),
            cluster=row.text("forbidden_prompt"),
        )


def _read_vote(row: Row, name: str) -> bool:
    """0, 1, true, false, yes and no, as text, number or truth value."""
    value = row.values.get(name)
    known = {"0": False, "0.0": False, "false": False, "no": False, "1": True, "1.0": True, "true": True, "yes": True}
    text = str(value).strip().casefold()
    if text not in known:
        raise BadData(f"the vote {value!r} is neither 0 nor 1", where=f"{row.place}, field {name}")
    return known[text]


READERS: Final[Mapping[str, Callable[[Path, str, Settings], Iterator[LabelledAnswer]]]] = {
    "msts-labels": read_msts,
    "xstest-labels": read_xstest,
    "harmbench-labels": read_harmbench,
    "jbb-labels": read_jbb,
    "strongreject-labels": read_strongreject,
}


def build_samples(task: str, root: Path, split: str, settings: Settings) -> Iterator[Sample]:
    """Samples whose request begins with the given answer, and whose target is what people say of it."""
    answers = list(together(READERS[task](root, split, settings), key=lambda answer: answer.cluster))
    names = distinct(each.name or short([each.question, each.answer]) for each in answers)
    for name, each in zip(names, answers, strict=True):
        request = prompt(*each.images, each.question)
        yield Sample(
            id=name,
            split=split,
            request=replace(request, prefill=each.answer),
            category=each.category,
            tags={"model": each.model} if each.model else {},
            cluster=each.cluster,
            target={"label": each.label, "votes": dict(each.votes), "answer": each.answer},
        )
