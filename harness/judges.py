"""What judges offer: a Judge opens a Rubric, which turns answers into verdicts.

Most rubrics decide on one answer at a time, by `ask` and `read`. One with `score` decides on all answers of a split at
once: the scorer of another harness, which wants them in a file of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from harness.types import Ability, Fidelity, Json, Request, Response, Sample, Setting, Settings, Unscored, Verdict

Decision = Verdict | Unscored
Read = Callable[[Sample, Response, Sequence[Response]], "Decision | list[Request]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answered sample, as a rubric with the scope of a split is given it.

    Attributes:
        item: names it: what a decision is given for.
        sample: as the task listed it; its images are not open.
        response: the answer; its text is not blank.
    """

    item: str
    sample: Sample
    response: Response


#: (item, request) -> the reply of the judge's model, or what a filter, a refusal or an error is to be written as
Ask = Callable[[str, Request], Awaitable["Response | Unscored"]]
#: (answers, an empty folder, ask) -> (item, decision), each item once, in any order
Score = Callable[[Sequence[Answered], Path, Ask], AsyncIterator[tuple[str, Decision]]]


def _asks_nobody(_sample: Sample, _response: Response) -> list[Request]:
    return []


def _cannot_read(_sample: Sample, _response: Response, _replies: Sequence[Response]) -> Decision:
    return Unscored(state="judge_error", message="the rubric scores a split as a whole")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubric:
    """How answers are judged: what to ask a judge's model and how to read its replies, or how to score a whole split.

    Attributes:
        identity: everything that can change a verdict beside model and version (template hash, options).
        labels: all labels it can give.
        ask: (sample, response) -> requests for the judge's model; empty for a rule. Where the model cannot weigh the
            `choices` of one, nobody is asked and the reply is empty, without weights; where it fails to and `needs` has
            no `choices`, the reply is empty with the failure among its notes.
        ask_local: instead of `ask`, of a model that runs on this machine; for prompts in which data stands as it is.
        read: (sample, response, replies) -> Verdict, Unscored, or requests for one more round (at most 4).
        score: instead of `ask` and `read`: an async generator that decides on all answers of one epoch of a split,
            once the last is there. Samples that failed, were blocked or have an empty answer are not handed over.
        fidelity: whose words the template is in.
        sees: what the judge is shown: "question", "images", "answer", "reasoning", …
        needs: abilities its model must have under these settings, where they are others than the judge's; else None.
        meanings: label -> one sentence for readers of a report: what an answer with this label is like.
        verdict_like: answer -> whether it holds text in the form of this rubric's own verdicts, beside the general
            forms that every answer is searched for. Such an answer is flagged, never scored otherwise.
        repairs: a reply that cannot be read is asked for once more in each round of one request, with what was wrong
            with it; a classifier would take that wish for a part of what it classifies.
    """

    identity: Mapping[str, Json]
    labels: tuple[str, ...]
    ask: Callable[[Sample, Response], list[Request]] = _asks_nobody
    read: Read = _cannot_read
    ask_local: Callable[[Sample, Response], list[Request]] | None = None
    score: Score | None = None
    fidelity: Fidelity = "own"
    sees: tuple[str, ...] = ("answer",)
    needs: frozenset[Ability] | None = None
    meanings: Mapping[str, str] = field(default_factory=dict[str, str])
    verdict_like: Callable[[str], bool] | None = None
    repairs: bool = True

    @property
    def scope(self) -> Literal["sample", "split"]:
        """What it decides on at once."""
        return "sample" if self.score is None else "split"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Opens a rubric: `--judge RUBRIC[=MODEL]`.

    Attributes:
        name: of the rubric.
        version: raised when the same answer could get another verdict.
        description: one line.
        open: (settings, data root DIR/<name>) -> Rubric.
        settings: keys of `-T NAME.key`, part of the judge's id only.
        needs: abilities its model must have; None for a rule, which needs no model.
    """

    name: str
    version: str
    description: str
    open: Callable[[Settings, Path], Rubric]
    settings: tuple[Setting, ...] = ()
    needs: frozenset[Ability] | None = None

    @staticmethod
    def simple(
        name: str,
        *,
        version: str,
        description: str,
        labels: tuple[str, ...] | Mapping[str, str],
        decide: Callable[[Sample, Response], str],
    ) -> Judge:
        """A rule without settings or model: `decide` names the label of an answer.

        `labels` are the names alone, or name -> meaning (`Rubric.meanings`).
        """
        rubric = Rubric(
            identity={},
            labels=tuple(labels),
            read=lambda s, r, _: Verdict(label=decide(s, r)),
            meanings=labels if isinstance(labels, Mapping) else {},
        )
        return Judge(name=name, version=version, description=description, open=lambda _s, _d: rubric)
