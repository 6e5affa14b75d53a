"""Judging a label by a rubric that any plugin offers, with a build's own model.

The rounds are those of a run's judge (`harness.engine.judging`): a reply that cannot be read is asked for once more,
and a refusal, a filter and an error are no verdict. The calls are the build's: kept, counted and never made twice.

The answer that a model should give, written by one that is told what is wrong with the question, and judged.

It describes both images, says what follows from them together, and answers safely, in prose. Only an answer to which a
rubric gives a label of the plan's is taken; another is drawn instead, so many times. (arXiv 2501.18533 §4.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from harness import (
    Failure,
    Generation,
    HarnessError,
    Image,
    Json,
    Message,
    ModelInfo,
    Request,
    Response,
    Sample,
    Text,
    Verdict,
    plugins,
)
from harness.contracts import Ability, Judge, Rubric
from harness.data.places import data_folder
from harness.engine.judging import Bench
from harness.settings import effective, nearest
from harness_builder.calls.results import CallRunner, Halted, ModelQuery, ModelReply, StepResult
from harness_builder.plan import Plan, Prompt, config_key
from harness_builder.steps.context import BuildContext
from harness_builder.steps.replies import prose, short_prose
from harness_builder.values import Candidate, Label, Question

#: a rubric's requests may use these; the asker leaves out what a model cannot
_CAN: Final[frozenset[Ability]] = frozenset({"images", "schema", "system"})
_INFO: Final = ModelInfo(ref="build/judge", endpoint="build", can=_CAN)


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedAnswer:
    """What came of an answer.

    Attributes:
        label: the verdict's; empty where there is none.
        calls: digests of the judge's calls, in order.
        ended: a call that failed for a reason that may pass, or was stopped: nothing is decided. None else.
    """

    label: str
    calls: tuple[str, ...] = ()
    ended: Halted | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelJudge:
    """A rubric, opened once for a whole build.

    Attributes:
        judge: the descriptor.
        rubric: opened with its default settings.
    """

    judge: Judge
    rubric: Rubric

    @classmethod
    def open(cls, plan: Plan) -> LabelJudge:
        """The rubric of a plan.

        Raises:
            HarnessError: nobody offers it; it needs what a build's judge is not asked; it judges whole splits; or a
                label that an answer must have is none of its labels.
        """
        with config_key(plan, "label.rubric"):
            judge = plugins.current().judge(plan.rubric)
            rubric = judge.open(effective(judge.settings, {}, owner=f"judge {judge.name}"), data_folder() / judge.name)
            _check_rubric(judge, rubric)
        with config_key(plan, "label.accept"):
            _check_labels(plan, rubric)
        return cls(judge=judge, rubric=rubric)

    async def grade(self, asker: CallRunner, sample: Sample, answer: str) -> JudgedAnswer:
        """Judge one answer to a sample. Raises HarnessError where the judge's model will never work.

        What a rubric raises is its own fault and no verdict; what the asker raises, such as a full disk, is raised.
        """
        model = _Sent(asker=asker, owner=sample.id)
        bench = Bench(id=self.judge.name, judge=self.judge, rubric=self.rubric, model=model)
        decision = (await bench.decide(sample, Response(text=answer))).decision
        if model.fault is not None:
            raise model.fault
        label = decision.label if isinstance(decision, Verdict) else ""
        return JudgedAnswer(label=label, calls=tuple(model.calls), ended=None if label else model.ended)


@dataclass(slots=True, kw_only=True)
class _Sent:
    """The judge's model, as a rubric's rounds ask it: whatever it is asked goes through the build's own calls."""

    asker: CallRunner
    owner: str
    info: ModelInfo = _INFO
    calls: list[str] = field(default_factory=list[str])
    ended: Halted | None = None
    fault: Exception | None = None

    async def generate(self, request: Request) -> Response | Failure:
        try:
            said = await self.asker.send("label", self.owner, "judge", request)
        except Exception as fault:
            self.fault = fault
            raise
        if said.call:
            self.calls.append(said.call)
        if not isinstance(said, Halted):
            return Response(text=said.value)
        if said.again or said.end == "stopped":
            self.ended = said
        blocked = said.end == "refused"
        return Failure(outcome="output_blocked" if blocked else "error", reason=said.end, message=said.why)


def _check_rubric(judge: Judge, rubric: Rubric) -> None:
    needs = (judge.needs if rubric.needs is None else rubric.needs) or frozenset()
    if rubric.scope != "sample":
        what = f"rubric {judge.name!r} judges whole splits, not one answer"
        raise HarnessError(what, remedy="name another rubric")
    if needs - _CAN:
        what = f"rubric {judge.name!r} needs a model that can: {', '.join(sorted(needs - _CAN))}"
        raise HarnessError(what, remedy="name a rubric that asks a chat model, or a rule")


def _check_labels(plan: Plan, rubric: Rubric) -> None:
    if not plan.accept:
        raise HarnessError("no label is accepted, so no answer ever is", remedy=_known(rubric))
    for label in plan.accept:
        if label not in rubric.labels:
            what = f"{label!r} is no label of the rubric {plan.rubric!r}"
            raise HarnessError(what, remedy=nearest(label, rubric.labels))


def _known(rubric: Rubric) -> str:
    return f"name one or more of: {', '.join(rubric.labels)}"


_FIRST: Final = Generation()
#: the same question at temperature 0 gets the same answer, which the judge has turned down already
_NEXT: Final = Generation(temperature=0.8)


class Labeller:
    """Makes the labels of a build; the rubric is opened once.

    Raises:
        HarnessError: as `check_rubric`.
    """

    def __init__(self, shop: BuildContext) -> None:
        self._shop = shop
        self._grader = LabelJudge.open(shop.plan)

    async def label(self, candidate: Candidate, question: Question) -> StepResult[Label] | Halted:
        """The label of one candidate, with those of the ablations that the plan asks for.

        Args:
            candidate: with its question and its images as they stand in the record.
            question: its `explicit` is the question of the text-only ablation.

        Returns:
            Ended as `dropped` where no answer had an accepted label, as `failed` where the judge gave none at all. The
            ablations' answers are not judged: a rubric for two images has no say on them.
        """
        main = await self._judged(candidate)
        if isinstance(main, Halted):
            return main
        made, calls = main.value, list(main.calls)
        if self._shop.plan.text_only:
            alone = await self._in_words(candidate, question)
            if isinstance(alone, Halted):
                return alone.after(calls)
            made = replace(made, text_question=question.explicit, text_answer=alone.value)
            calls.append(alone.call)
        if self._shop.plan.refusal:
            declined = await self._ask(candidate, "refusal", {"question": candidate.question}, short_prose)
            if isinstance(declined, Halted):
                return declined.after(calls)
            made = replace(made, refusal=declined.value)
            calls.append(declined.call)
        return StepResult(value=made, calls=tuple(calls), notes=main.notes)

    async def _judged(self, candidate: Candidate) -> StepResult[Label] | Halted:
        """The first answer that the judge accepts."""
        sample, calls, notes, last = _sample(candidate), list[str](), list[str](), ""
        values = _values(candidate, candidate.question, in_words=False)
        for number in range(self._shop.plan.tries):
            said = await self._ask(candidate, "label", values, prose, candidate.images, draw=number)
            if isinstance(said, Halted):
                return said.after(calls)
            graded = await self._grader.grade(self._shop.asker, sample, said.value)
            calls += [said.call, *graded.calls]
            if graded.ended is not None:
                return graded.ended.after(each for each in calls if each != graded.ended.call)
            if graded.label in self._shop.plan.accept:
                label = Label(key=candidate.key, answer=said.value, verdict=graded.label)
                return StepResult(value=label, calls=tuple(calls), notes=tuple(notes))
            last = graded.label or last
            notes.append(f"answer {number + 1}: the judge says {graded.label or 'nothing that can be read'}")
        why = f"the judge says {last}" if last else "the judge gave no verdict"
        ended = Halted(end="dropped" if last else "failed", why=why, call=calls[-1], note="; ".join(notes))
        return ended.after(calls[:-1])

    async def _in_words(self, candidate: Candidate, question: Question) -> ModelReply | Halted:
        return await self._ask(candidate, "label", _values(candidate, question.explicit, in_words=True), prose)

    async def _ask(
        self,
        candidate: Candidate,
        prompt: Prompt,
        values: dict[str, Json],
        read: Callable[[str], str],
        images: tuple[Image, ...] = (),
        draw: int = 0,
    ) -> ModelReply | Halted:
        text = Text(text=self._shop.prompts.fill(prompt, values))
        turn = Message(role="user", content=(*images, text))
        request = Request(messages=(turn,), settings=_NEXT if draw else _FIRST)
        asked = ModelQuery(
            step="label", owner=candidate.key, role="labeller", request=request, read=read, draw=draw, prose=True
        )
        return await self._shop.asker.ask(asked)


async def label(shop: BuildContext, candidate: Candidate, question: Question) -> StepResult[Label] | Halted:
    """The label of one candidate alone; `Labeller` opens the rubric once for many."""
    return await Labeller(shop).label(candidate, question)


def check_rubric(plan: Plan) -> None:
    """Find what is wrong with a plan's rubric and its labels before anything is asked.

    Raises:
        HarnessError: nobody offers it, a builder cannot ask it, or an accepted label is none of its labels.
    """
    LabelJudge.open(plan)


def _values(candidate: Candidate, question: str, *, in_words: bool) -> dict[str, Json]:
    first, second = candidate.objects
    return {
        "question": question,
        "object1": first,
        "object2": second,
        "category": candidate.category,
        "in_words": in_words,
    }


def _sample(candidate: Candidate) -> Sample:
    """What the rubric is shown: the record as a sample of the training split."""
    turn = Message(role="user", content=(*candidate.images, Text(text=candidate.question)))
    first, second = candidate.objects
    return Sample(
        id=candidate.key,
        split="train",
        request=Request(messages=(turn,)),
        category=candidate.category,
        target={"object1": first, "object2": second},
    )
