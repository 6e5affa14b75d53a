"""Runs as `.eval` files of inspect_ai: one per asked split, the same bytes for the same run.

A split pooled from others has no samples and so no log; its parts have logs. The numbers of a log equal those of
results.json.

Only labelled answers have a score. A block is inspect's `content_filter`; an error and a bad sample are errors; an
unlabelled answer is inspect's unscored. So no failure counts as a wrong answer. With `--reveal` the log holds the texts
of samples, without control characters and direction marks; otherwise their lengths.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from inspect_ai import log as evallog
from inspect_ai import model as chat
from inspect_ai.scorer import Score

from harness.board.results import FILE, read_results
from harness.board.rows import Row
from harness.board.sections import list_sections, read_rows
from harness.keys import canonical, short
from harness.runs.items import Item
from harness.runs.stored import StoredRun, open_run
from harness.store.folder import file_name
from harness.store.run_file import Invocation
from harness.text import one_line, plain
from harness.types import BLOCKED, Json

_LONGEST: Final = 80  #: most characters of a title in a file name
_FAILED: Final = ("error", "bad_sample", "unanswered")
_NO_LINE: Final[Mapping[str, Any]] = {
    "flags": [],
    "usage": {},
    "prompt": [],
    "model": "",
    "reason": "no answer is stored",
}


def render_logs(folders: Sequence[Path], *, reveal: bool) -> Mapping[str, bytes]:
    """File name -> log. Raises HarnessError for a folder without a run or results.

    A file is named `<time>_<task>_<id>`, which inspect lists without opening it; a copy of a run gets a number.
    """
    files: dict[str, bytes] = {}
    for folder in folders:
        run, whole = open_run(folder), read_results(folder / FILE)
        by_title: dict[str, list[Row]] = {}
        for section in list_sections(whole):
            by_title.setdefault(f"{section.task}:{section.split}", []).extend(read_rows(section))
        for title in run.splits:
            found = by_title.get(title)
            if not found:
                continue
            when = _find_invocation(run, title)
            builder = SampleBuilder(model=one_line(run.file.model.ref), by=tuple(found[0].by), reveal=reveal)
            samples = [builder.build(item) for item in run.items(title)]
            usage = sum((each.output.usage or chat.ModelUsage() for each in samples), chat.ModelUsage())
            ids = list(dict.fromkeys(str(each.id) for each in samples))
            log = evallog.EvalLog(
                status="success",
                eval=_build_spec(run, title, found[0], ids, reveal=reveal),
                results=build_results(found),
                stats=evallog.EvalStats(
                    started_at=when.started, completed_at=when.finished, model_usage={builder.model: usage}
                ),
                samples=samples,
            )
            parts = (when.started, file_name(title)[:_LONGEST], log.eval.task_id)
            name = "_".join(re.sub(r"[_/:+]", "-", part) for part in parts)
            names = (f"{name}-{number}.eval" if number > 1 else f"{name}.eval" for number in range(1, 10**6))
            files[next(each for each in names if each not in files)] = _write_log(log)
    return files


def _write_log(log: evallog.EvalLog) -> bytes:
    """The archive without its time of writing, in the most common compression."""
    out = BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.eval"
        evallog.write_eval_log(log, str(path))
        with ZipFile(path) as old, ZipFile(out, "w", ZIP_DEFLATED) as new:
            for entry in old.infolist():
                new.writestr(ZipInfo(entry.filename), old.read(entry), ZIP_DEFLATED)
    return out.getvalue()


def _find_invocation(run: StoredRun, title: str) -> Invocation:
    """The last command that asked a split."""
    asked = [each for each in run.file.history if title in each.tasks]
    if asked:
        return asked[-1]
    began = run.file.started
    return Invocation(started=began, finished=began, seconds=0, command=(), tasks=(title,), end="", reason="")


def _build_spec(run: StoredRun, title: str, row: Row, ids: list[str], *, reveal: bool) -> evallog.EvalSpec:
    """One split of a run as inspect's evaluation.

    Args:
        run: its run.
        title: `task:split`.
        row: its row in results.json under the primary judge.
        ids: ids of its samples, each once.
        reveal: whether the log holds texts of samples.
    """
    entry, file, model = run.split(title), run.file, run.file.model
    task = file.tasks[title.rpartition(":")[0]]
    sampling = {name: row.settings.get(name) for name in ("temperature", "max_tokens", "top_p", "seed")}
    tags = ["vlm-safety-harness", "revealed" if reveal else "redacted"]
    tags += [*([] if row.complete else ["incomplete"]), *([] if row.subset is None else ["subset"])]
    return evallog.EvalSpec(
        eval_id=_make_id(run, "eval", file.started, title),
        run_id=_make_id(run, "run", file.started),
        task_id=_make_id(run, "task", title),
        created=_find_invocation(run, title).started,
        task=one_line(title),
        task_version=task.version,
        task_args=dict(task.settings),
        tags=tags,
        dataset=evallog.EvalDataset(
            name=one_line(title), location=task.data.source, samples=len(ids), sample_ids=[*ids]
        ),
        model=one_line(model.ref),
        model_args=dict(model.settings),
        model_generate_config=chat.GenerateConfig(
            **sampling,
            stop_seqs=list(row.settings.get("stop") or ()) or None,
            system_message=plain(row.system) or None,
        ),
        config=evallog.EvalConfig(limit=entry.limit, epochs=entry.epochs),
        packages={"vlm-safety-harness": str(run.folder.results.get("harness", ""))},
        metadata={
            "n": row.n,
            "n_expected": row.n_expected,
            "subset": row.subset,
            "records": row.records,
            "outcomes": dict(row.outcomes),
            "flags": dict(row.flags),
            "strategy": row.strategy,
            "attack": row.attack,
            "resolved": [one_line(name) for name in row.resolved],
            "input_fidelity": row.fidelity,
            "identity": file.identity_digest,
            "data": {"revision": task.data.revision, "licence": task.data.licence, "content": entry.content},
        },
    )


def _make_id(run: StoredRun, *parts: str) -> str:
    """An id, equal for equal model and overrides; as long as inspect's own."""
    return short([dict(run.file.identity), *parts], 22)


def build_results(rows: Iterable[Row]) -> evallog.EvalResults:
    """One score per judge; the score's metadata holds metrics without a value, with their bounds."""
    found = list(rows)
    first = found[0]
    failed = sum(first.outcomes.get(name, 0) for name in _FAILED)
    scores: list[evallog.EvalScore] = []
    for row in found:
        scored = row.verdicts.get("scored", 0)
        metrics: dict[str, evallog.EvalMetric] = {}
        without_value: dict[str, Json] = {}
        for measure in sorted(row.measures, key=lambda each: not each.main):  # inspect's lists show the first
            about: dict[str, Json] = {
                "unit": measure.unit,
                "better": measure.better,
                "main": measure.main,
                "ci95": list(measure.ci95),
                "ci95_worst": list(measure.ci95_worst),
                "bounds": list(measure.bounds),
                "numerator": measure.numerator,
                "denominator": measure.denominator,
                "unresolved": measure.unresolved,
                **({"strata": dict(measure.strata)} if measure.strata else {}),
            }
            if measure.value is None:
                without_value[measure.name] = about
            else:
                metrics[measure.name] = evallog.EvalMetric(name=measure.name, value=measure.value, metadata=about)
        score = evallog.EvalScore(
            name=plain(row.judge.id) or "unjudged",
            scorer=plain(row.judge.id) or "unjudged",
            scored_samples=scored,
            unscored_samples=sum(row.verdicts.values()) - scored,
            metrics=metrics,
            metadata={
                "judge": row.judge.label,
                "rubric_fidelity": row.judge.fidelity,
                "primary": row.primary,
                "coverage": row.coverage,
                "complete": row.complete,
                "flags": [caution.kind for caution in row.cautions],
                "verdicts": dict(row.verdicts),
                "labels": dict(row.labels),
                "without_value": without_value,
            },
        )
        scores.append(score)
    return evallog.EvalResults(total_samples=first.records, completed_samples=first.records - failed, scores=scores)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleBuilder:
    """Builds the samples of one log.

    Attributes:
        model: name of the evaluated model in the log.
        by: tags that the results break down by; other tags are only in a revealed log.
        reveal: whether the log holds texts of samples.
    """

    model: str
    by: Sequence[str]
    reveal: bool

    def build(self, item: Item) -> evallog.EvalSample:
        """The sample of one stored item."""
        asked, line = item.answer.asked, item.answer.response or _NO_LINE
        safe = file_name(asked["id"])  # names a file in the log: an unsafe id gets a part of its hash
        name = safe if safe == asked["id"] else f"{safe}-{short(asked['id'])}"
        turns = self._build_turns(line["prompt"], f"{name}-{asked['epoch']}")
        content: list[chat.Content] = [chat.ContentText(text=self._show_text(item.answer.text))]
        if (thought := self._reveal_text(line.get("reasoning", ""))) is not None:
            content.insert(0, chat.ContentReasoning(reasoning=thought))
        answer = chat.ChatMessageAssistant(id=f"{name}-{asked['epoch']}-answer", content=content)
        into, out = line["usage"].get("input_tokens", 0), line["usage"].get("output_tokens", 0)
        usage = chat.ModelUsage(
            input_tokens=into,
            output_tokens=out,  # includes reasoning, as in inspect
            total_tokens=into + out,
            reasoning_tokens=line["usage"].get("reasoning_tokens", 0),
        )
        stop: chat.StopReason = "unknown" if item.outcome in _FAILED else "stop"
        if item.outcome in BLOCKED or "truncated" in line["flags"]:
            stop = "content_filter" if item.outcome in BLOCKED else "max_tokens"
        error = None
        if item.outcome in _FAILED:
            why = (item.outcome, plain(line.get("reason", "")), self._reveal_text(line.get("message", "")))
            error = evallog.EvalError(message=": ".join(filter(None, why)), traceback="", traceback_ansi="")
        target: Json = asked["target"]
        shows_target = target is not None and self.reveal
        return evallog.EvalSample(
            id=name,
            epoch=asked["epoch"] + 1,
            input=turns,
            target=plain(target if isinstance(target, str) else canonical(target)) if shows_target else "",
            messages=[*turns, answer],
            output=chat.ModelOutput(
                model=plain(line["model"]) or self.model,
                choices=[chat.ChatCompletionChoice(message=answer, stop_reason=stop)],
                usage=usage,
            ),
            scores=self._build_scores(item),
            metadata=self._describe(item, line),
            model_usage={self.model: usage},
            total_time=line.get("seconds"),
            uuid=short(item.item, 22),
            error=error,
        )

    def _show_text(self, text: str) -> str:
        """A text, or its length in brackets; an empty one stays empty."""
        if not text:
            return ""
        return plain(text) if self.reveal else f"[{len(text)} characters]"

    def _reveal_text(self, text: str) -> str | None:
        return plain(text) if self.reveal and text else None

    def _build_turns(self, prompt: Sequence[Mapping[str, Any]], name: str) -> list[chat.ChatMessage]:
        """The sent messages; adjacent parts of one role are one message."""
        turns: list[chat.ChatMessage] = []
        parts: list[chat.Content] = []
        images = 0
        for place, part in enumerate(prompt):
            if "text" in part:
                text = self._show_text(part["text"])
            else:  # never an image part: a reader would open a data set's path
                images += 1
                text = f"[image {images}: {plain(str(part['image']))}]" if self.reveal else f"[image {images}]"
            parts.append(chat.ContentText(text=text))
            if place + 1 == len(prompt) or prompt[place + 1]["role"] != part["role"]:
                roles = {"system": chat.ChatMessageSystem, "assistant": chat.ChatMessageAssistant}
                message = roles.get(part["role"], chat.ChatMessageUser)
                turns.append(message(id=f"{name}-{place}", content=parts))
                parts = []
        return turns

    def _build_scores(self, item: Item) -> dict[str, Score]:
        scores: dict[str, Score] = {}
        for judge, said in item.said.items():
            axes = {
                plain(name): plain(value) if isinstance(value, str) else value
                for name, value in said.axes.items()
                if self.reveal or isinstance(value, bool | int | float)
            }
            about: dict[str, Json] = {
                "state": said.state,
                "axes": axes,
                "models": [plain(name) for name in said.models],
                **({"raw": [plain(reply) for reply in said.raw]} if self.reveal else {}),
            }
            reason, answer = self._reveal_text(said.reason), self._reveal_text(item.answer.text)
            if said.state == "scored":
                score = Score(value=plain(said.label), answer=answer, explanation=reason, metadata=about)
            else:
                score = Score.unscored(reason=said.state, answer=answer, explanation=reason, metadata=about)
            scores[plain(judge)] = score
        return scores

    def _describe(self, item: Item, line: Mapping[str, Any]) -> dict[str, Json]:
        """The item's identity, outcome and label."""
        asked = item.answer.asked
        tags: Mapping[str, str] = asked["tags"]
        about: dict[str, Json] = {
            "item": plain(item.item),
            "sample": plain(asked["id"]),
            "category": plain(asked["category"]),
            "tags": {plain(name): plain(tag) for name, tag in tags.items() if self.reveal or name in self.by},
            "outcome": item.outcome,
            "counts_as": plain(item.label),
            "flags": list(item.flags),
        }
        if line.get("reason"):
            about["failure"] = plain(line["reason"])
        if self.reveal:
            images = [part for part in line["prompt"] if "image" in part]
            about["cluster"] = plain(asked["cluster"])
            about["images"] = [{"path": plain(str(part["image"])), "sha256": part["sha256"]} for part in images]
            steps: Mapping[str, str] = line.get("steps", {})
            if steps:
                about["steps"] = {plain(name): plain(text) for name, text in steps.items()}
        return about
