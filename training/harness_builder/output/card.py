"""The card of a set, `README.md`: what it holds, how it was made, by whom it was looked at, and under which terms.

Names come from sources, models and people: in the text they are escaped, and in the YAML a library writes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from harness.http.status import as_mapping
from harness.markdown import escape
from harness.plugins.loader import FILE
from harness_builder.calls.costs import RoleCosts as Spending
from harness_builder.calls.costs import model_of
from harness_builder.calls.results import PAINTER
from harness_builder.licences import UNKNOWN, OutputLicence
from harness_builder.plan import Plan
from harness_builder.tally import find_losses
from harness_builder.values import ENDS, STEPS

from .findings import findings
from .front import front_matter
from .intended import USE
from .layout import FILES
from .manifest import public
from .photographs import photographs
from .tables import table
from .values import Facts

_PARTS: Final[Mapping[str, str]] = {
    "mis_easy.json": "test: the question is harmless by itself, an image shows something harmful",
    "mis_hard.json": "test: neither the question nor an image is harmful by itself",
    "mis_real.json": "test: questions of easy and hard, asked of photographs; do not add them up with those",
    "mis_train.json": "to train on: the question is harmful by itself; answers say what is wrong",
    "mis_train_refusal.json": "to train on: the same questions, with answers that decline and give no reason",
}


def card(facts: Facts) -> str:
    """The whole file."""
    sections = (
        (f"# {escape(facts.plan.name)}", _opening(facts)),
        ("## Intended use", USE),
        ("## Loading", _loading(facts)),
        ("## Categories", _categories(facts)),
        ("## How everything ended", _ends(facts)),
        ("## Models", _models(facts)),
        ("## Prompts", _prompts(facts)),
        *findings(facts),
        *photographs(facts),
        ("## Licence", _licence(facts)),
        ("## Made with", _made_with(facts)),
    )
    body = "\n".join("\n".join([title, "", *lines, ""]) for title, lines in sections)
    return f"{front_matter(facts)}\n{body}"


def _opening(facts: Facts) -> Iterator[str]:
    yield "Questions that make something unsafe of two images together, in the layout of MIS (arXiv 2501.18533)."
    yield "Whether a question or an image is harmful by itself too differs from file to file: see below. Questions and"
    yield f"answers were made by models, and so were {_images(facts)}. Every record's way is in"
    yield "`provenance.jsonl`, every file's sha256 in `build.json`."
    if facts.open:
        yield from ("", "**This set is not complete.** Still to be done:", "")
        yield from (f"- {escape(line)}" for line in facts.open)
    yield ""
    rows = [(file, facts.written.records[file], _PARTS[file]) for file in FILES if file in facts.written.records]
    yield from table(("file", "#records", ""), rows)


def _images(facts: Facts) -> str:
    real = any(entry.real for entry in facts.written.entries)
    return "the images, but for the photographs of `mis_real.json`" if real else "the images"


def _loading(facts: Facts) -> Iterator[str]:
    there = [FILES[file] for file in FILES if file in facts.written.records]
    for each in there:
        yield f'    datasets.load_dataset("THIS_SET", "{each.name}")'
    if any(each.split == "test" for each in there):
        yield "    harness run --tasks mis -T mis.data=THIS_FOLDER --model …"
    if any(each.name == "train" for each in there):
        yield "    harness train mirage --data THIS_FOLDER --model …"


def _categories(facts: Facts) -> Iterable[str]:
    files = [file for file in FILES if file in facts.written.records]
    counts = Counter((entry.category, entry.file) for entry in facts.written.entries)
    # The refusals are answers to questions of the file to train on, which stand there already.
    files = [file for file in files if any((category, file) in counts for category, _ in counts)]
    names = sorted({category for category, _ in counts})
    rows = [(name, *(counts[name, file] for file in files)) for name in names]
    yield from table(("category", *(f"#{FILES[file].name}" for file in files)), rows)
    yield from _balance(facts)


def _balance(facts: Facts) -> Iterator[str]:
    if facts.plan.balance is None:
        return
    target = facts.plan.balance
    said = f"{target} of each category" if isinstance(target, int) else f"of some categories at most: {_pairs(target)}"
    yield ""
    yield f"Balanced in each file of drawn images: {said}; {len(facts.written.dropped)} records were left out for it."
    for file, missing in facts.written.missing.items():
        yield f"Fewer than wanted in `{file}`: {', '.join(_fewer(target, missing))}."


def _fewer(target: int | Mapping[str, int], missing: Mapping[str, int]) -> Iterator[str]:
    for name, number in missing.items():
        wanted = target if isinstance(target, int) else target[name]
        yield f"{escape(name)} {wanted - number} of {wanted}"


def _pairs(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{escape(name)} {number}" for name, number in numbers.items())


def _ends(facts: Facts) -> Iterator[str]:
    tally = facts.tally
    none = tally.seeds - tally.with_elements
    gave = f"{tally.with_elements} gave {tally.came('elements') - none} elements"
    yield f"{tally.seeds} ideas were taken from the sources: {gave}, {none} gave none. The first step counts both; to"
    yield "each other came what the one before it kept:"
    yield ""
    rows = [(step, tally.came(step), *(tally.ends[step, end] for end in ENDS)) for step in STEPS if tally.came(step)]
    yield from table(("step", "#came", *(f"#{end}" for end in ENDS)), rows)
    yield ""
    yield from _parted(facts)
    if lost := find_losses(facts.tally):
        yield from ("More than half of what came to a step went no further:", "")
        yield from (f"- {escape(each.told)}" for each in lost)
        yield ""
    yield "Refused: the model declined. Failed: the call or the reply was no use. Dropped: a rule, a model or a person"
    yield "decided so. Stopped: a hard stop, of which nothing but its kind is kept:"
    yield ""
    kinds = Counter[str]()
    for (_, end, why), count in facts.tally.whys.items():
        if end == "stopped":
            kinds[why] += count
    yield from table(("hard stop", "#items"), sorted(kinds.items())) if kinds else ("No hard stop.",)


def _parted(facts: Facts) -> Iterator[str]:
    """Why what came to the last two steps adds up, and no step before them."""
    sorted_, train = facts.tally.ends["sort", "kept"], facts.tally.came("label")
    if sorted_:
        probed = "were probed" if facts.plan.probe else "go on without a probe"
        yield f"Of what was sorted, {sorted_ - train} are for the tests and {probed}; {train} are to train on, which a"
        yield "labeller answered."
        yield ""


def _models(facts: Facts) -> Iterator[str]:
    plan = facts.plan
    yield f"Language: {escape(plan.language)}. Seed: {plan.seed}."
    yield f"Painter: {escape(plan.painter.ref)}{_settings(facts)}, asked for {plan.width} by {plan.height} pixels,"
    yield f"{plan.rounds} rounds at most{_best(plan)}."
    yield ""
    heads = ("step", "role", "model", "reported as", "#calls", "#tokens in", "#out", "#seconds", "#images", "#US$")
    rows = [*(_spent(plan, each) for each in facts.spent), _total(facts.spent)] if facts.spent else []
    yield from table(heads, rows) if rows else ("No call was made.",)


def _best(plan: Plan) -> str:
    if plan.best_of == 1:
        return ""
    return f"; each object was drawn {plan.best_of} times a round, of which {escape(plan.model('viewer').ref)} took one"


def _settings(facts: Facts) -> str:
    """Those of the painter that decide what it draws, as far as any are set; all are in `build.json`."""
    every = as_mapping(as_mapping(public(facts.models.get(PAINTER))).get("settings"))
    told = [f"{name} {value}" for name, value in every.items() if value not in (None, "")]
    return f" ({escape(', '.join(told))})" if told else ""


def _spent(plan: Plan, each: Spending) -> tuple[object, ...]:
    who = (each.step, each.role, model_of(plan, each.role).ref, ", ".join(each.models))
    return *who, *_took([each]), "no price told" if each.usd is None else f"{each.usd:,.2f}"


def _total(spent: Sequence[Spending]) -> tuple[object, ...]:
    """A sum of what is priced alone is none of all, and says so."""
    priced = [each.usd for each in spent if each.usd is not None]
    cost = f"{'' if len(priced) == len(spent) else 'at least '}{sum(priced):,.2f}" if priced else "no price told"
    return "all", "", "", "", *_took(spent), cost


def _took(spent: Sequence[Spending]) -> Iterator[str]:
    """Calls, tokens, seconds and images; each sum is of what is not rounded yet."""
    yield f"{sum(each.made for each in spent):,}"
    yield f"{sum(each.usage.input_tokens for each in spent):,}"
    yield f"{sum(each.usage.output_tokens for each in spent):,}"
    yield f"{round(sum(each.seconds for each in spent)):,}"
    yield f"{sum(each.images for each in spent):,}"


def _prompts(facts: Facts) -> Iterator[str]:
    prompts = facts.prompts
    rows = [
        (name, "the builder's" if name in prompts.own else "the user's", f"`{sha256}`")
        for name, sha256 in prompts.hashes.items()
    ]
    yield from table(("template", "whose", "`sha256"), rows)


def _licence(facts: Facts) -> Iterator[str]:
    licence = facts.licence
    yield f"{escape(licence.name)}: {_why(licence)} This is bookkeeping and no legal advice."
    yield ""
    rows = [
        (name, terms, "used because whoever built the set says that they may" if name in licence.accepted else "")
        for name, terms in licence.sources.items()
    ]
    named = [each.name for each in (*facts.plan.sources, *((facts.plan.photos,) if facts.plan.photos else ()))]
    rows += [(name, "", "nothing of it is in the set") for name in named if name not in licence.sources]
    yield from table(("source", "licence", ""), rows)
    if licence.tests:
        yield ""
        yield f"**Do not score on** {escape(', '.join(licence.tests))}: ideas of this set were taken from there, so a"
        yield "model that was trained on it is no stranger to them."
    yield from _photographs(facts)


def _why(licence: OutputLicence) -> str:
    if licence.name == UNKNOWN:
        return "the licences of its sources leave none for it; see below which was used all the same."
    if licence.accepted:
        return "the most restrictive of its sources', one of which was known to be under another licence."
    return "the most restrictive of its sources'."


def _photographs(facts: Facts) -> Iterator[str]:
    shown = Counter(terms for entry in facts.written.entries if entry.real for terms in entry.real.licences)
    if shown:
        yield ""
        yield "Photographs keep a licence each, which `provenance.jsonl` names with where they are from:"
        yield ""
        yield from table(("licence", "#photographs"), sorted(shown.items()))


def _made_with(facts: Facts) -> Iterator[str]:
    yield f"Build `{escape(facts.identity)}`, finished {escape(facts.at)}."
    yield ""
    made = {_distribution(plugin, origin) for plugin, origin in facts.versions.items()}
    yield from table(("distribution", "version"), sorted(made))
    yield from _environment(facts)


def _environment(facts: Facts) -> Iterator[str]:
    """On what: libraries and devices decide the bytes of drawings too."""
    there = [f"{name} {escape(str(value))}" for name, value in facts.environment.items() if value is not None]
    if there:
        yield ""
        yield f"It ran on {', '.join(there)}. With others the same build may draw other bytes."


def _distribution(plugin: str, origin: str) -> tuple[str, str]:
    """A distribution stands once, whatever it offers; a plugin that is one file has none, and stands by its name."""
    name, _, version = origin.partition(" ")
    return (f"{plugin} (a file)" if name == FILE else name), version
