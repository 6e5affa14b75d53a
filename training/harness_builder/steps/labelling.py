"""The answer that a model should give, written by one that is told what is wrong with the question, and judged.

It describes both images, says what follows from them together, and answers safely, in prose. Only an answer to which a
rubric gives a label of the plan's is taken; another is drawn instead, so many times. (arXiv 2501.18533 §4.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from harness import Generation, Image, Json, Message, Request, Sample, Text
from harness_builder.calls.values import Asked, Ended, Passed, Told
from harness_builder.config.plan import Plan, Prompt
from harness_builder.values import Candidate, Label, Question

from .grading import Grader
from .prose import prose, short_prose
from .workshop import Workshop

_FIRST: Final = Generation()
#: the same question at temperature 0 gets the same answer, which the judge has turned down already
_NEXT: Final = Generation(temperature=0.8)


class Labeller:
    """Makes the labels of a build; the rubric is opened once.

    Raises:
        HarnessError: as `check_rubric`.
    """

    def __init__(self, shop: Workshop) -> None:
        self._shop = shop
        self._grader = Grader.open(shop.plan)

    async def label(self, candidate: Candidate, question: Question) -> Passed[Label] | Ended:
        """The label of one candidate, with those of the ablations that the plan asks for.

        Args:
            candidate: with its question and its images as they stand in the record.
            question: its `explicit` is the question of the text-only ablation.

        Returns:
            Ended as `dropped` where no answer had an accepted label, as `failed` where the judge gave none at all. The
            ablations' answers are not judged: a rubric for two images has no say on them.
        """
        main = await self._judged(candidate)
        if isinstance(main, Ended):
            return main
        made, calls = main.value, list(main.calls)
        if self._shop.plan.text_only:
            alone = await self._in_words(candidate, question)
            if isinstance(alone, Ended):
                return alone.after(calls)
            made = replace(made, text_question=question.explicit, text_answer=alone.value)
            calls.append(alone.call)
        if self._shop.plan.refusal:
            declined = await self._ask(candidate, "refusal", {"question": candidate.question}, short_prose)
            if isinstance(declined, Ended):
                return declined.after(calls)
            made = replace(made, refusal=declined.value)
            calls.append(declined.call)
        return Passed(value=made, calls=tuple(calls), notes=main.notes)

    async def _judged(self, candidate: Candidate) -> Passed[Label] | Ended:
        """The first answer that the judge accepts."""
        sample, calls, notes, last = _sample(candidate), list[str](), list[str](), ""
        values = _values(candidate, candidate.question, in_words=False)
        for number in range(self._shop.plan.tries):
            said = await self._ask(candidate, "label", values, prose, candidate.images, draw=number)
            if isinstance(said, Ended):
                return said.after(calls)
            graded = await self._grader.grade(self._shop.asker, sample, said.value)
            calls += [said.call, *graded.calls]
            if graded.ended is not None:
                return graded.ended.after(each for each in calls if each != graded.ended.call)
            if graded.label in self._shop.plan.accept:
                label = Label(key=candidate.key, answer=said.value, verdict=graded.label)
                return Passed(value=label, calls=tuple(calls), notes=tuple(notes))
            last = graded.label or last
            notes.append(f"answer {number + 1}: the judge says {graded.label or 'nothing that can be read'}")
        why = f"the judge says {last}" if last else "the judge gave no verdict"
        ended = Ended(end="dropped" if last else "failed", why=why, call=calls[-1], note="; ".join(notes))
        return ended.after(calls[:-1])

    async def _in_words(self, candidate: Candidate, question: Question) -> Told | Ended:
        return await self._ask(candidate, "label", _values(candidate, question.explicit, in_words=True), prose)

    async def _ask(
        self,
        candidate: Candidate,
        prompt: Prompt,
        values: dict[str, Json],
        read: Callable[[str], str],
        images: tuple[Image, ...] = (),
        draw: int = 0,
    ) -> Told | Ended:
        text = Text(text=self._shop.prompts.fill(prompt, values))
        turn = Message(role="user", content=(*images, text))
        request = Request(messages=(turn,), settings=_NEXT if draw else _FIRST)
        asked = Asked(
            step="label", owner=candidate.key, role="labeller", request=request, read=read, draw=draw, prose=True
        )
        return await self._shop.asker.ask(asked)


async def label(shop: Workshop, candidate: Candidate, question: Question) -> Passed[Label] | Ended:
    """The label of one candidate alone; `Labeller` opens the rubric once for many."""
    return await Labeller(shop).label(candidate, question)


def check_rubric(plan: Plan) -> None:
    """Find what is wrong with a plan's rubric and its labels before anything is asked.

    Raises:
        HarnessError: nobody offers it, a builder cannot ask it, or an accepted label is none of its labels.
    """
    Grader.open(plan)


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
