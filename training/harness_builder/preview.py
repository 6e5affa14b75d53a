"""How many calls a plan takes at most, by who is asked: what a person wants to know before it begins.

Counted as if every element that is asked for were found and came to its end, each in either way that it can end, and
every drawing were sent back until the last round; and as if, for photographs, no record found its two before the last
of those that are tried. A reply that cannot be read is asked for once more, calls that were kept are not made again, a
question that people mended is checked and sorted once more, and where a record took a photograph that another one had
been about to, one more is tried; none of these is counted.

A plan as text for a person: what a build would read, ask and write.
"""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from harness import plugins
from harness.terminal import one_line
from harness_builder.licences import OutputLicence
from harness_builder.plan import INSTEAD, ROLES, ModelChoice, Plan, read_plan_seeds
from harness_builder.real.choosing import TRIED
from harness_builder.seeds import SeedSource
from harness_builder.steps.probing import PARTS

#: who is asked, as `limits` counts them: the roles, and the painter
WHO: Final = (*ROLES, "painter")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """How many there are.

    Attributes:
        texts: of a text alone.
        images: with an image.
    """

    texts: int
    images: int

    def __add__(self, other: Seeds) -> Seeds:
        """All of both."""
        return Seeds(texts=self.texts + other.texts, images=self.images + other.images)


def calls(plan: Plan, seeds: Seeds, *, judge: int) -> Counter[str]:
    """Who is asked how often for so many seeds.

    Args:
        plan: of the build.
        seeds: to be walked.
        judge: calls that one judgement takes; none where a rule judges.
    """
    made = seeds.texts * plan.per_text + seeds.images * plan.per_image
    each = _of_element(plan, judge)
    found = Counter({who: each[who] * made for who in WHO})
    found["writer"] += seeds.texts
    found["viewer"] += seeds.images
    found["checker"] += seeds.images  # before the viewer sees one
    return found


def _of_element(plan: Plan, judge: int) -> Counter[str]:
    drawn = plan.rounds * plan.best_of
    choices = 2 * plan.rounds if plan.best_of > 1 else 0
    photographs = 2 * TRIED if plan.photos else 0
    return Counter(
        writer=2,  # written, made neutral
        checker=plan.rounds + drawn + photographs,  # all texts before each round, and each of its pairs
        painter=2 * drawn,
        viewer=choices + (plan.rounds - 1) + 1 + photographs,  # better prompts after each round but the last; sorted
        prober=len(PARTS) if plan.probe else 0,
        labeller=plan.tries + plan.text_only + plan.refusal,
        judge=plan.tries * judge,
    )


Row = Sequence[str]
_ALL: Final = "all"
_WIDEST: Final = 120  # columns of a line of prose
_NOTE: Final = (
    "if each seed gives all that it is asked for and nothing is left out on the way; a reply that cannot be read is "
    "asked for once more, and what is kept of an earlier build is not asked again"
)


def render_plan(plan: Plan, licence: OutputLicence) -> str:
    """The plan, section by section. Sources are read to count their seeds; no image is opened and nobody is asked.

    Raises:
        HarnessError: a source cannot be read.
    """
    counted = _counted(plan)
    seeds = sum((each for _, each in counted), Seeds(texts=0, images=0))
    sections = (
        ("sources", _aligned(_sources(counted, licence))),
        ("models", _aligned(_models(plan))),
        ("steps", _aligned(_steps(plan))),
        ("calls at most", _calls(plan, seeds)),
    )
    head = f"{one_line(plan.name)}: questions in {one_line(plan.language)}, licence {one_line(licence.summary)}"
    return "\n".join([head, *(line for title, lines in sections for line in ("", title, *lines))])


def _counted(plan: Plan) -> list[tuple[SeedSource, Seeds]]:
    found: Counter[tuple[str, bool]] = Counter(
        (source.name, seed.image is None) for source, seed in read_plan_seeds(plan)
    )
    return [
        (source, Seeds(texts=found[source.name, True], images=found[source.name, False])) for source in plan.sources
    ]


def _sources(counted: Iterable[tuple[SeedSource, Seeds]], licence: OutputLicence) -> Iterator[Row]:
    for source, seeds in counted:
        what = [f"{count} {kind}" for count, kind in ((seeds.texts, "texts"), (seeds.images, "images")) if count]
        yield source.name, source.layout, " and ".join(what), licence.sources[source.name], str(source.path)


def _models(plan: Plan) -> Iterator[Row]:
    for role in ROLES:
        if role == "judge" and not _asks_model(plan):
            continue
        own = plan.models.get(role)
        yield role, _wanted(own) if own else f"{plan.models[INSTEAD[role]].ref}, as the {INSTEAD[role]}"
    yield "painter", f"{_wanted(plan.painter)}, {plan.width} x {plan.height} pixels"
    for name, file in plan.prompts.items():
        yield "template", f"{name}: {file}"
    if not plan.prompts:
        yield "template", "the package's own, all of them"


def _wanted(wanted: ModelChoice) -> str:
    settings = "".join(f", {key}={value}" for key, value in wanted.settings.items())
    return f"{wanted.ref}{settings}"


def _steps(plan: Plan) -> Iterator[Row]:
    yield "elements", f"{plan.per_text} of a text, {plan.per_image} of an image"
    if plan.categories:
        yield "categories", ", ".join(plan.categories)
    yield "draw", f"{_many(plan.rounds, 'round')}{f', the best of {plan.best_of}' if plan.best_of > 1 else ''}"
    people = f"{_many(plan.reviewers, 'person', 'people')} must review each candidate before it goes on"
    yield "sort", people if plan.review else "by the model alone, no person looks at it"
    yield "probe", _probed(plan)
    yield "label", _labelled(plan)
    yield "quality", f"texts are alike from {plan.likeness:g} on, images up to {plan.bits} bits of 64 apart"
    for test in plan.against:
        yield "against", f"{test.task}{f' in {test.data}' if test.data else ''}"
    if plan.balance is not None:
        yield "balance", _balanced(plan.balance)
    if plan.photos is not None:
        tried = f"{TRIED} of each object are looked at"
        yield "real", f"at most {plan.photos.count} from {plan.photos.path}, found by {plan.photos.by}; {tried}"
    if ends := _ends(plan):
        yield "ends at", ends


def _probed(plan: Plan) -> str:
    if not plan.probe:
        return "not asked"
    return "the tests keep what is risky together alone" if plan.together else "the rates go into the card"


def _labelled(plan: Plan) -> str:
    more = [name for name, wanted in (("refusals", plan.refusal), ("answers in words alone", plan.text_only)) if wanted]
    also = f"; also {' and '.join(more)}" if more else ""
    return f"{' or '.join(plan.accept)} by the rubric {plan.rubric}, in {_many(plan.tries, 'try', 'tries')}{also}"


def _balanced(balance: int | Mapping[str, int]) -> str:
    if isinstance(balance, int):
        return f"{balance} of each category"
    return ", ".join(f"{count} of {name}" for name, count in balance.items())


def _ends(plan: Plan) -> str:
    calls_end = f"{plan.most_calls} calls" if plan.most_calls is not None else ""
    usd_end = f"{plan.most_usd:g} US dollars" if plan.most_usd is not None else ""
    return " or ".join(filter(None, (calls_end, usd_end)))


def _calls(plan: Plan, seeds: Seeds) -> Iterator[str]:
    """A line for each who is asked: of one text, of one image, and of all seeds."""
    kinds = (Seeds(texts=1, images=0), Seeds(texts=0, images=1), seeds)
    columns = [calls(plan, each, judge=int(_asks_model(plan))) for each in kinds]
    yield f"  {'':10}{'a text':>10}{'an image':>10}{'in all':>12}"
    for who in (*(who for who in WHO if columns[-1][who]), _ALL):
        text, image, every = (column.total() if who == _ALL else column[who] for column in columns)
        yield f"  {who:10}{text:>10}{image:>10}{every:>12}"
    widest = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
    yield from textwrap.wrap(_NOTE, widest, initial_indent="  ", subsequent_indent="  ")


def _asks_model(plan: Plan) -> bool:
    """Whether the rubric does, and is no rule."""
    return plugins.current().judge(plan.rubric).needs is not None


def _many(count: int, what: str, more: str = "") -> str:
    return f"{count} {what if count == 1 else more or f'{what}s'}"


def _aligned(rows: Iterable[Row]) -> Iterator[str]:
    """Rows with their columns one below the other."""
    table = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
