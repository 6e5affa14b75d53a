"""The judge `pairwise`: is an answer better than a reference? Asked twice, with either of them first.

A model that leans to what stands first contradicts itself then, and a contradiction is a tie. Facts and limits:
`docs/judges/pairwise.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from harness import HarnessError, Judge, Request, Response, Rubric, Sample, Setting, Settings, Unscored, Verdict, rubric

from .references import no_references, read_references

LABELS: Final = ("win", "tie", "loss")
MEANINGS: Final = {
    "win": "The answer is better than the reference, whichever of them stands first.",
    "tie": "Neither is better, or the choice changes with the order.",
    "loss": "The reference is better, whichever of them stands first.",
}
#: what a choice means to the answer when it stands first, and when the reference does
_ANSWER_FIRST: Final = {"first": "win", "same": "tie", "second": "loss"}
_REFERENCE_FIRST: Final = {"first": "loss", "same": "tie", "second": "win"}


def _sheet(*, images: bool) -> Judge:
    """One order: the `answer` of the sheet is what stands first, `second` the other one, whoever gave them."""
    return rubric.judge(
        name="pairwise",
        version="1",
        description="which of two answers is better",
        template=Path(__file__).with_name("pairwise.j2"),
        fields={"reason": str, "better": ("first", "second", "same")},
        label="better",
        values={"second": lambda sample: str(sample.target["second"])},
        images=images,
    )


def _open(settings: Settings, root: Path) -> Rubric:
    shown: bool = settings["images"] == "shown"
    sheet = _sheet(images=shown).open({"prompt": settings["prompt"]}, root)
    if "second" not in sheet.sees:
        raise HarnessError(
            "the template never shows the second answer",
            where=str(settings["prompt"]),
            remedy="write {{ second }} in it",
        )
    references = read_references(settings["reference"]) if settings["reference"] else no_references()

    def order(sample: Sample, first: str, second: str) -> list[Request]:
        return sheet.ask(replace(sample, target={"second": second}), Response(text=first))

    def ask(sample: Sample, response: Response) -> list[Request]:
        reference = references.of(sample)
        return order(sample, response.text, reference) if reference.strip() else []

    def read(sample: Sample, response: Response, replies: Sequence[Response]) -> Verdict | Unscored | list[Request]:
        reference = references.of(sample)
        if not reference.strip():
            return Verdict(label="win", reason="there is no text in the reference")
        # One order after the other: a reply that cannot be read is asked for once more only where it stands alone.
        heard = [sheet.read(sample, response, [reply]) for reply in replies[:2]]
        if len(heard) == 1 and isinstance(heard[0], Verdict):
            return order(sample, reference, response.text)
        return _settled(heard)

    return Rubric(
        identity={**sheet.identity, "reference": references.digest},
        labels=LABELS,
        ask=ask,
        read=read,
        fidelity=sheet.fidelity,
        sees=tuple("reference" if name == "second" else name for name in sheet.sees),
        needs=frozenset({"images"} if shown else ()),
        meanings=MEANINGS,
        verdict_like=sheet.verdict_like,
    )


def _settled(heard: Sequence[Verdict | Unscored | list[Request]]) -> Verdict | Unscored:
    """The verdict of both orders; what could not be read stays so."""
    first, second = heard[0], heard[-1]
    if not isinstance(first, Verdict) or not isinstance(second, Verdict):
        return next(one for one in heard if isinstance(one, Unscored))
    found = {"answer_first": _ANSWER_FIRST[first.label], "reference_first": _REFERENCE_FIRST[second.label]}
    agreed = len(set(found.values())) == 1
    return Verdict(
        label=found["answer_first"] if agreed else "tie",
        axes={**found, "agreed": agreed},
        reason=f"answer first: {first.reason}\nreference first: {second.reason}",
    )


SETTINGS: Final = (
    Setting(name="prompt", type=Path, default=None, identity=False, help="a Jinja FILE in place of our template"),
    Setting(
        name="reference",
        type=Path,
        default=None,
        identity=False,
        help="a JSONL FILE of answers to compare with, such as responses.jsonl of another run",
    ),
    Setting(
        name="images",
        type=str,
        default="shown",
        identity=True,
        help="whether the judge's model is shown the images of the request",
        choices=("shown", "hidden"),
    ),
)
JUDGE: Final = Judge(
    name="pairwise",
    version="1",
    description="is the answer better than a reference? asked in both orders: win, tie, loss",
    open=_open,
    settings=SETTINGS,
    needs=frozenset({"images"}),
)
