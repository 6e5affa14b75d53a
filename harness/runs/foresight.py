"""The size of the calls that a run would make, for `--dry-run`: by answers in its folder, the probe, or rules."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final, cast

from harness.dialogues import imagine_answer, join_replies, list_requests
from harness.errors import BadImage
from harness.evaluation.plan import SplitJob
from harness.evaluation.probe import NO_IMAGE, ONE_IMAGE, PROBE_QUESTION
from harness.evaluation.splits import JudgeChoice
from harness.limits.tokens import (
    NO_IMAGES,
    UNLIMITED,
    ImageRule,
    Sizes,
    Span,
    count_output,
    count_request,
    count_text,
    find_image_rule,
)
from harness.prices.forecast import CallSize, measure_calls
from harness.store.folder import RunFolder, find_repeated_judge
from harness.store.journal import load_objects
from harness.store.records import calls_of
from harness.store.run_file import RunFile
from harness.types import Image, Sample, Usage

MOST_LINES: Final = 2000  #: of earlier answers to look at
MOST_SAMPLES: Final = 200  #: whose images are looked at for a rule


def size_answers(folder: RunFolder, job: SplitJob, ref: str, system: str = "", *, local: bool = False) -> CallSize:
    """The size of one call for an answer; no image is looked at for a local model, of which no rule is known."""
    plan, file = job.plan, folder.run
    if file is not None and file.model.ref != ref:  # `--fresh` would move it away
        file = None
    if file is not None:
        lines = _load_lines(folder.task(plan.display).path / "responses.jsonl", plan.name)
        measured = _measure(line for line in lines if line.get("outcome") in ("answered", "empty"))
        if size := measure_calls(measured, f"{len(measured)} earlier answers of this model to {plan.title}"):
            return size
    rule, sizes = find_image_rule(ref), None if local else _read_size
    limit = plan.generation.max_tokens
    samples = _pick_samples(job, MOST_SAMPLES)
    spans = [span for sample in samples for span in _count_turns(sample, rule, sizes, limit or UNLIMITED)]
    extra = count_text([system]) if system else (0, 0)
    count = max(1, len(spans))
    low, high = (sum(span[end] for span in spans) / count + extra[end] for end in (0, 1))
    rests_on = "the length of the texts and an output of "
    rests_on += f"at most max_tokens ({limit})" if limit else f"{UNLIMITED} tokens (no limit is set)"
    if job.survey and job.survey.images:
        known = "85 to 1,600 tokens for an image, as no rule is known"
        if sizes is not None:
            known = f"the published rule for images ({rule.name}; not checked against its servers)"
        rests_on = f"{known}, {rests_on}"
    size = CallSize(input_tokens=(low, high), output_tokens=(1, limit or UNLIMITED), rests_on=rests_on)
    return size if file is None else _refine_by_probe(size, job, file)


def size_verdicts(
    folder: RunFolder, job: SplitJob, choice: JudgeChoice, ref: str, *, local: bool = False
) -> CallSize | str:
    """The size of the calls for one verdict together; why it cannot be foreseen, if it cannot."""
    plan, file = job.plan, folder.run
    if file is not None:
        measured: list[tuple[float, float, float, float]] = []
        for path in _list_verdicts(folder, file, job, choice, ref):
            measured += _measure(_load_lines(path, plan.name), whole=True)
        if size := measure_calls(measured, f"{len(measured)} earlier verdicts of this judge on {plan.title}"):
            return size
    limit = plan.generation.max_tokens or UNLIMITED
    rule = find_image_rule(ref)
    spans: list[tuple[float, float]] = []
    outputs: list[int] = []
    try:
        rubric = choice.judge.open(choice.settings, choice.root)
        if rubric.scope == "split":
            return "its rubric scores a whole split at once"
        ask = (rubric.ask_local if local else None) or rubric.ask
        for sample in _pick_samples(job, MOST_SAMPLES // 4):
            answers = (imagine_answer(sample, text) for text in ("No.", "word " * (limit * 4 // 5)))
            short, long = (ask(join_replies(sample, answer), answer) for answer in answers)
            low = sum(count_request(request, rule, _read_size)[0] for request in short)
            high = sum(count_request(request, rule, _read_size)[1] for request in long)
            spans.append((low, high))
            outputs.append(sum(count_output(request) for request in long))
    except Exception as error:  # noqa: BLE001 - a rubric is a plugin, and this is only an estimate
        return f"its rubric builds no question without an answer: {type(error).__name__}"
    if not spans:
        return "there is no sample"
    least, most = (sum(span[end] for span in spans) / len(spans) for end in (0, 1))
    return CallSize(
        input_tokens=(least, most),
        output_tokens=(1, sum(outputs) / len(outputs)),
        rests_on=f"the rubric's questions about answers of 1 to {limit} tokens, and the rubric's token limit",
    )


def count_stored(folder: RunFolder, job: SplitJob) -> int:
    """Answers of a split that are stored and need not be asked again."""
    lines = _load_lines(folder.task(job.plan.display).path / "responses.jsonl", job.plan.name, most=None)
    states = {(line["id"], line["epoch"]): line["outcome"] for line in lines}
    return sum(state not in ("error", "bad_sample") for state in states.values())


def count_verdicts(folder: RunFolder, job: SplitJob, choice: JudgeChoice, ref: str) -> int:
    """Verdicts of a judge, and of its repeats, that are stored and need not be asked again."""
    file, found = folder.run, 0
    for path in () if file is None else _list_verdicts(folder, file, job, choice, ref):
        lines = _load_lines(path, job.plan.name, most=None)
        states = {(line["id"], line["epoch"]): line["state"] for line in lines}
        found += sum(state != "judge_error" for state in states.values())
    return found


def _list_verdicts(folder: RunFolder, file: RunFile, job: SplitJob, choice: JudgeChoice, ref: str) -> Iterator[Path]:
    """The files of a rubric's verdicts by a model."""
    judges = {
        judge
        for judge, card in file.judges.items()
        if card.get("model") == ref and card.get("rubric") == choice.judge.name
    }
    for path in sorted(folder.task(job.plan.display).path.glob("verdicts-*.jsonl")):
        if find_repeated_judge(path.name.removeprefix("verdicts-").removesuffix(".jsonl")) in judges:
            yield path


def measure_pace(folder: RunFolder) -> float | None:
    """Seconds that an answer took in the folder's invocations so far, loading and judging included; None if unknown."""
    file = folder.run
    if file is None:
        return None
    seconds = sum(entry.seconds for entry in file.history)
    answers = sum(path.read_bytes().count(b"\n") for path in folder.path.glob("*/responses.jsonl"))
    return seconds / answers if seconds and answers else None


def _measure(lines: Iterator[Mapping[str, Any]], *, whole: bool = False) -> list[tuple[float, float, float, float]]:
    """Tokens and seconds of each call, or with `whole` of each line's calls together."""
    found: list[tuple[float, float, float, float]] = []
    for line in lines:
        calls, usage = calls_of(line), line["usage"]
        if not calls or not usage["input_tokens"]:
            continue
        parts = 1 if whole else calls
        tokens = (usage.get(name, 0) / parts for name in ("input_tokens", "output_tokens", "cache_read_tokens"))
        into, out, cached = tokens
        found.append((into, out, line.get("seconds") or 0.0, cached))
    return found


def _load_lines(path: Path, split: str, most: int | None = MOST_LINES) -> Iterator[dict[str, Any]]:
    """Lines of a journal that belong to a split; of its first `most` lines."""
    for line in islice(load_objects(path), most):
        if line.get("split") == split and "usage" in line:
            yield line


def _pick_samples(job: SplitJob, most: int) -> list[Sample]:
    """Some samples from all over a split."""
    every = job.survey.samples if job.survey else 0
    return list(islice(islice(job.samples(), 0, None, max(1, every // most)), most))


def _count_turns(sample: Sample, rule: ImageRule, sizes: Sizes | None, limit: int) -> Iterator[Span]:
    """Input tokens of each call; in a dialogue with 1 to `limit` tokens for each of the model's replies before it."""
    for before, request in enumerate(list_requests(sample)):
        low, high = count_request(request, rule, sizes)
        yield low + before, high + before * limit


def _refine_by_probe(size: CallSize, job: SplitJob, file: RunFile) -> CallSize:
    """The size with what the probe of an earlier start measured: tokens of an image, and the time of a call."""
    probe = file.probe or {}
    usage = Usage(**cast("dict[str, Any]", probe.get("usage") or {}))
    seconds = float(probe.get("seconds") or 0.0)
    shown = int(probe.get("images") or 0)
    if not usage.input_tokens:
        return size
    timed = (seconds * 0.5, seconds * 4) if seconds else None
    low, high = size.input_tokens
    survey = job.survey
    rests_on = f"one call of the probe, {size.rests_on}"
    if shown and survey is not None and survey.images:
        question = count_text([(NO_IMAGE, ONE_IMAGE, PROBE_QUESTION)[shown]])
        one = [max(1.0, (usage.input_tokens - part) / shown) for part in (question[1], question[0])]
        samples, limit = _pick_samples(job, MOST_SAMPLES), job.plan.generation.max_tokens or UNLIMITED
        each = survey.images / max(1, survey.samples)
        if any(sample.turns for sample in samples):  # an image is sent again in each later turn
            sent = [len(request.images) for sample in samples for request in list_requests(sample)]
            each = sum(sent) / max(1, len(sent))
        texts = [span for sample in samples for span in _count_turns(sample, NO_IMAGES, None, limit)]
        text = [sum(span[end] for span in texts) / max(1, len(texts)) for end in (0, 1)]
        low, high = text[0] + each * one[0] * 0.5, text[1] + each * one[1] * 2
        rests_on = (
            f"one call of the probe ({(one[0] + one[1]) / 2:.0f} tokens for each of its images, taken half to twice),"
            f" the length of the texts and an output of at most max_tokens"
        )
    return CallSize(input_tokens=(low, high), output_tokens=size.output_tokens, seconds=timed, rests_on=rests_on)


def _read_size(image: Image) -> tuple[int, int]:
    """Width and height from the head of an image's file; a square of 1,024 pixels if it cannot be read."""
    from PIL import Image as Pictures

    try:
        with Pictures.open(io.BytesIO(image.files.read(image.path))) as picture:
            return picture.size
    except (BadImage, OSError, ValueError, Pictures.DecompressionBombError):
        return (1024, 1024)
