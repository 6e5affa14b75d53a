"""The judge `pairwise`: is an answer better than a reference? It asks twice, once in each order.

A model that prefers the first answer contradicts itself, and a contradiction is a tie. Facts and limits:
`docs/judges/pairwise.md`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, cast

from harness import HarnessError, MissingData, rubric
from harness.contracts import Judge, Rubric
from harness.keys import digest
from harness.readers import Row, open_files, rows
from harness.types import Json, Request, Response, Sample, Setting, Settings, Unscored, Verdict

LABELS: Final = ("win", "tie", "loss")
MEANINGS: Final = {
    "win": "The answer is better than the reference, whichever of them stands first.",
    "tie": "Neither is better, or the choice changes with the order.",
    "loss": "The reference is better, whichever of them stands first.",
}
#: what a choice means for the answer, if the answer is first and if the reference is
_ANSWER_FIRST: Final = {"first": "win", "same": "tie", "second": "loss"}
_REFERENCE_FIRST: Final = {"first": "loss", "same": "tie", "second": "win"}
#: Outcomes that make another run's answer a reference: blocked and empty ones are blank.
ANSWERED: Final = frozenset({"answered", "empty", "input_blocked", "output_blocked"})
Place = tuple[str, str]  #: split and sample id


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Reference answers by split and sample id; an empty split matches any.

    Attributes:
        texts: (split, id) -> answer.
        cut: answers cut off before any text: unknown, not blank.
        digest: digest of all answers; empty if no file was given.
    """

    texts: Mapping[Place, str]
    cut: frozenset[Place] = frozenset()
    digest: str = ""

    def find(self, sample: Sample) -> str:
        """A sample's reference answer: the file's if it has one, else the task's.

        Raises:
            HarnessError: neither exists, or the file's was cut off before any text.
        """
        for split in (sample.split, ""):
            if (split, sample.id) in self.cut:
                raise HarnessError(
                    f"the reference answer to sample {sample.id} was cut off before any text",
                    remedy="repeat the run it comes from with a larger --max-tokens",
                )
            if (split, sample.id) in self.texts:
                return self.texts[split, sample.id]
        target: Json = sample.target
        own = cast("dict[str, Json]", target).get("reference") if isinstance(target, dict) else None
        if isinstance(own, str):
            return own
        raise HarnessError(
            f"sample {sample.id} of {sample.split} has no reference answer", remedy="-T pairwise.reference=FILE.jsonl"
        )


def read_references(file: Path) -> References:
    """The answers in a JSONL file.

    Each line holds `id`, `text` (or `reference`, `response`, `answer`) and, if there are several splits, `split`. In
    a run's responses.jsonl the last answer to each sample counts.

    Raises:
        MissingData: the file does not exist.
        BadData: it does not hold such JSON lines.
        HarnessError: it holds no answer.
    """
    if not file.is_file():
        raise MissingData("there is no such file of references", where=str(file))
    real = file.resolve()
    found: dict[Place, Row] = {}  # the last answer to a sample counts, whether it was cut off or not
    for row in rows(open_files(real.parent), real.name):
        if row.text("outcome", default="answered") in ANSWERED and row.values.get("epoch") in (None, 0):
            found[row.text("split", default=""), row.key("id")] = row
    if not found:
        raise HarnessError("the file holds no answer to compare with", where=str(file))
    texts: dict[Place, str] = {}
    cut: list[Place] = []
    for place, row in sorted(found.items()):
        outcome = row.text("outcome", default="answered")
        names = [name for name in ("text", "reference", "response", "answer") if row.has(name)]
        blocked = outcome not in {"answered", "empty"}
        texts[place] = "" if blocked else row.text(*names or ["text"], default="" if names else None)
        flags = row.values.get("flags")
        if outcome == "empty" and isinstance(flags, list) and "truncated" in flags and not texts[place].strip():
            cut.append(place)
    identity = [[*place, text] for place, text in texts.items()] + [[*place, None] for place in cut]
    return References(texts=texts, cut=frozenset(cut), digest=digest(identity))


def _build_order(*, images: bool) -> Judge:
    """One order: in the template, `answer` is the first of the two and `second` the other."""
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
    given: str | None = settings.get("sees")
    sheet = _build_order(images=shown).open({"prompt": settings["prompt"]}, root)
    if "second" not in sheet.sees:
        raise HarnessError(
            "the template never shows the second answer",
            where=str(settings["prompt"]),
            remedy="write {{ second }} in it",
        )
    if given is not None:
        own = given.replace("reference", "second")
        sheet = _build_order(images=False).open({"prompt": settings["prompt"], "sees": own}, root)
    references = read_references(settings["reference"]) if settings["reference"] else References(texts={})

    def order(sample: Sample, first: str, second: str) -> list[Request]:
        target: Json = sample.target
        own = cast("dict[str, Json]", target) if isinstance(target, dict) else {}
        return sheet.ask(replace(sample, target={**own, "second": second}), Response(text=first))

    def ask(sample: Sample, response: Response) -> list[Request]:
        reference = references.find(sample)
        return order(sample, response.text, reference) if reference.strip() else []

    def read(sample: Sample, response: Response, replies: Sequence[Response]) -> Verdict | Unscored | list[Request]:
        reference = references.find(sample)
        if not reference.strip():
            return Verdict(label="win", reason="there is no text in the reference")
        # One order after the other: an unreadable reply is asked for again only if it is the only one.
        heard = [sheet.read(sample, response, [reply]) for reply in replies[:2]]
        if len(heard) == 1 and isinstance(heard[0], Verdict):
            return order(sample, reference, response.text)
        return _combine_orders(heard)

    return Rubric(
        identity={**sheet.identity, "reference": references.digest},
        labels=LABELS,
        ask=ask,
        read=read,
        fidelity=sheet.fidelity,
        sees=tuple("reference" if name == "second" else name for name in sheet.sees),
        needs=frozenset({"images"} if "images" in sheet.sees else ()),
        meanings=MEANINGS,
        verdict_like=sheet.verdict_like,
    )


def _combine_orders(heard: Sequence[Verdict | Unscored | list[Request]]) -> Verdict | Unscored:
    """The verdict of both orders; an unreadable reply stays unscored."""

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
    rubric.SEES,
)
_PARTS: Final = ("question", "answer", "reference")


def _normalize(settings: Settings) -> Settings:
    return rubric.normalize_sees(
        settings,
        [({"images": "shown"}, ("images", *_PARTS)), ({"images": "hidden"}, _PARTS)],
        rubric="pairwise",
        takes=("images", "caption", "question", "intent", "answer", "reference"),
        needed=("question", "reference"),
    )


JUDGE: Final = Judge(
    name="pairwise",
    version="1",
    description="is the answer better than a reference? asked in both orders: win, tie, loss",
    open=_open,
    settings=SETTINGS,
    needs=frozenset({"images"}),
    normalize=_normalize,
)
