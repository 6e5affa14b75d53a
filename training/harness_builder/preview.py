"""What a plan would do, as text for a person: what it reads, asks and writes, and how many calls it takes at most.

Calls are counted as if every element that is asked for were found and came to its end, in either way that it can end,
and every drawing were sent back until the last round; and as if, for photographs, no record found its two before the
last of those that are tried. Not counted: the second try after a reply that cannot be read, calls that were stored
before (which are not made again), the check and sorting of a question that people changed, and a further photograph
where another record took one first.
"""

from __future__ import annotations

import shutil
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from harness import plugins
from harness.text import one_line
from harness_builder.licences import OutputLicence
from harness_builder.photos.selection import TRIED
from harness_builder.plan import INSTEAD, ROLES, ModelChoice, Plan, read_plan_seeds
from harness_builder.steps.probing import PARTS

_WHO: Final = (*ROLES, "painter")
_WIDEST: Final = 120  # columns of a line of prose
_NOTE: Final = (
    "if each seed gives all that it is asked for and nothing is left out on the way; a reply that cannot be read is "
    "asked for once more, and what is kept of an earlier build is not asked again"
)


def count_calls(plan: Plan, texts: int, images: int) -> Counter[str]:
    """Role, or `painter`, -> its calls at most for so many seeds of a text alone and seeds with an image."""
    drawings = plan.rounds * plan.best_of
    choices = 2 * plan.rounds if plan.best_of > 1 else 0
    photographs = 2 * TRIED if plan.photos else 0
    judge = plan.tries if _asks_judge(plan) else 0
    of_element = {
        "writer": 2,  # written, made neutral
        "checker": plan.rounds + drawings + photographs,  # all texts before each round, and each of its pairs
        "painter": 2 * drawings,
        # better prompts after each round but the last; sorted
        "viewer": choices + (plan.rounds - 1) + 1 + photographs,
        "prober": len(PARTS) if plan.probe else 0,
        "labeller": plan.tries + plan.text_only + plan.refusal,
        "judge": judge,
    }
    elements = texts * plan.per_text + images * plan.per_image
    found = Counter({who: of_element[who] * elements for who in _WHO})
    found["writer"] += texts
    found["viewer"] += images
    found["checker"] += images  # before the viewer sees one
    return found


def render_plan(plan: Plan, licence: OutputLicence) -> str:
    """The plan, section by section. Sources are read to count their seeds; no image is opened, no model is asked.

    Raises:
        HarnessError: a source cannot be read.
    """
    counted = Counter((source.name, seed.image is None) for source, seed in read_plan_seeds(plan))
    sources: list[tuple[str, ...]] = []
    for source in plan.sources:
        numbers = ((counted[source.name, True], "texts"), (counted[source.name, False], "images"))
        what = " and ".join(f"{number} {kind}" for number, kind in numbers if number)
        sources.append((source.name, source.layout, what, licence.sources[source.name], str(source.path)))
    texts = sum(counted[source.name, True] for source in plan.sources)
    images = sum(counted[source.name, False] for source in plan.sources)
    sections = (
        ("sources", _align_rows(sources)),
        ("models", _align_rows(_list_models(plan))),
        ("steps", _align_rows(_list_steps(plan))),
        ("calls at most", _list_calls(plan, texts, images)),
    )
    head = f"{one_line(plan.name)}: questions in {one_line(plan.language)}, licence {one_line(licence.summary)}"
    return "\n".join([head, *(line for title, lines in sections for line in ("", title, *lines))])


def _asks_judge(plan: Plan) -> bool:
    return plugins.current().judge(plan.rubric).needs is not None  # else a rule judges


def _list_models(plan: Plan) -> Iterator[tuple[str, str]]:
    for role in ROLES:
        if role == "judge" and not _asks_judge(plan):
            continue
        own = plan.models.get(role)
        yield role, _format_choice(own) if own else f"{plan.models[INSTEAD[role]].ref}, as the {INSTEAD[role]}"
    yield "painter", f"{_format_choice(plan.painter)}, {plan.width} x {plan.height} pixels"
    for name, file in plan.prompts.items():
        yield "template", f"{name}: {file}"
    if not plan.prompts:
        yield "template", "the package's own, all of them"


def _format_choice(choice: ModelChoice) -> str:
    return choice.ref + "".join(f", {key}={value}" for key, value in choice.settings.items())


def _list_steps(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "elements", f"{plan.per_text} of a text, {plan.per_image} of an image"
    if plan.categories:
        yield "categories", ", ".join(plan.categories)
    yield "draw", f"{_format_number(plan.rounds, 'round')}{f', the best of {plan.best_of}' if plan.best_of > 1 else ''}"
    people = f"{_format_number(plan.reviewers, 'person', 'people')} must review each candidate before it goes on"
    yield "sort", people if plan.review else "by the model alone, no person looks at it"
    together = "the tests keep what is risky together alone" if plan.together else "the rates go into the card"
    yield "probe", together if plan.probe else "not asked"
    more = [name for name, made in (("refusals", plan.refusal), ("answers in words alone", plan.text_only)) if made]
    also = f"; also {' and '.join(more)}" if more else ""
    tries = _format_number(plan.tries, "try", "tries")
    yield "label", f"{' or '.join(plan.accept)} by the rubric {plan.rubric}, in {tries}{also}"
    yield "quality", f"texts are alike from {plan.likeness:g} on, images up to {plan.bits} bits of 64 apart"
    for test in plan.against:
        yield "against", f"{test.task}{f' in {test.data}' if test.data else ''}"
    if isinstance(plan.balance, int):
        yield "balance", f"{plan.balance} of each category"
    elif plan.balance is not None:
        yield "balance", ", ".join(f"{count} of {name}" for name, count in plan.balance.items())
    if plan.photos is not None:
        tried = f"{TRIED} of each object are looked at"
        yield "real", f"at most {plan.photos.count} from {plan.photos.path}, found by {plan.photos.by}; {tried}"
    ends = [f"{plan.most_calls} calls"] if plan.most_calls is not None else []
    ends += [f"{plan.most_usd:g} US dollars"] if plan.most_usd is not None else []
    if ends:
        yield "ends at", " or ".join(ends)


def _list_calls(plan: Plan, texts: int, images: int) -> Iterator[str]:
    """A line for each role: calls of one text, of one image, and of all seeds."""
    columns = [count_calls(plan, *seeds) for seeds in ((1, 0), (0, 1), (texts, images))]
    yield f"  {'':10}{'a text':>10}{'an image':>10}{'in all':>12}"
    for who in (who for who in _WHO if columns[-1][who]):
        text, image, every = (column[who] for column in columns)
        yield f"  {who:10}{text:>10}{image:>10}{every:>12}"
    text, image, every = (column.total() for column in columns)
    yield f"  {'all':10}{text:>10}{image:>10}{every:>12}"
    widest = min(shutil.get_terminal_size((_WIDEST, 24)).columns, _WIDEST)
    yield from textwrap.wrap(_NOTE, widest, initial_indent="  ", subsequent_indent="  ")


def _format_number(count: int, what: str, more: str = "") -> str:
    return f"{count} {what if count == 1 else more or f'{what}s'}"


def _align_rows(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    table = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
