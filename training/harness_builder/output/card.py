"""Writes the card of a set, `README.md`, from `card.md.j2`: its content, how it was made, its reviewers, its terms.

Names come from sources, models and people: in the text they are escaped, and in the YAML a library writes them.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from harness.files import atomic_write
from harness.http.status import as_mapping
from harness.plugins.loader import FILE
from harness.stats.agreement import Agreement
from harness.text import escape_markdown, one_line
from harness_builder.calls.costs import RoleCosts, model_of
from harness_builder.calls.results import PAINTER
from harness_builder.disk import write_error
from harness_builder.licences import OutputLicence
from harness_builder.output.dataset import Calls, write_provenance
from harness_builder.plan import IMAGE_BITS, TEXT_LIKENESS, Plan
from harness_builder.quality import Rates, compute_rates
from harness_builder.review import Agreed
from harness_builder.tally import find_losses
from harness_builder.values import ENDS, STEPS

from .folder import CARD, FILES, LICENCE, clear_writing
from .manifest import CardData, count_stops, strip_machine, write_manifest

if TYPE_CHECKING:
    from jinja2 import Template

USE: Final = (
    "This data set was made to measure and to improve how safe vision-language models are.",
    "Its questions and images are harmful when they are taken together. Its answers decline, and say why.",
    "Use it for research on safety, for evaluation, and for training models to be safer.",
    "Do not use it to make a model less safe, to produce or spread harmful content, or against people.",
    "Do not put it where models are trained on all that stands there: what a model has seen no longer tests it.",
)
#: what the hub asks people who want the files
_FIELDS: Final = {
    "Name": "text",
    "Organisation": "text",
    "Country": "country",
    "What I will use it for": "text",
    "I use it for research on the safety of models, for evaluation, or to make models safer": "checkbox",
    "I will not pass it on without these terms": "checkbox",
}
_SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
#: in SPDX's spelling -> the hub's, where it has another one
_HUB_LICENCES: Final[Mapping[str, str]] = {"pddl-1.0": "pddl", "odbl-1.0": "odbl"}
_FILES: Final[Mapping[str, str]] = {
    "mis_easy.json": "test: the question is harmless by itself, an image shows something harmful",
    "mis_hard.json": "test: neither the question nor an image is harmful by itself",
    "mis_real.json": "test: questions of easy and hard, asked of photographs; do not add them up with those",
    "mis_train.json": "to train on: the question is harmful by itself; answers say what is wrong",
    "mis_train_refusal.json": "to train on: the same questions, with answers that decline and give no reason",
}
_PROBES: Final[Mapping[str, str]] = {
    "text": "the question alone",
    "first": "the question with the first image",
    "second": "the question with the second image",
    "both": "the whole",
}
_QUESTIONS: Final = {
    "kept": "keep or drop",
    "decision": "keep, mend or drop",
    "text_unsafe": "is the question unsafe by itself",
    "image_harmful": "does an image show something harmful",
}


def finish_set(data: CardData, calls: Calls) -> None:
    """Complete the set: write the provenance, the licence, the card, and the manifest over all files.

    Args:
        data: what the card and the manifest say.
        calls: finds a stored call.

    Raises:
        HarnessError: a file cannot be written.
    """
    folder = data.written.folder
    try:
        write_provenance(data.written, data.plan, calls)
        atomic_write(folder / LICENCE, render_licence(data.licence))
        atomic_write(folder / CARD, render_card(data))
        write_manifest(data)
        clear_writing(folder)
    except OSError as error:
        raise write_error(folder, error, "the set cannot be finished") from error


def render_licence(licence: OutputLicence) -> str:
    """The terms of the set, in the first line, and of each source."""
    lines = [licence.summary, "", "This set was built from:"]
    lines += [f"- {one_line(name)}: {one_line(terms)}" for name, terms in licence.sources.items()]
    if licence.accepted:
        lines += ["", "Whoever built it said that they may use: " + ", ".join(map(one_line, licence.accepted)) + "."]
    return "\n".join([*lines, ""])


def render_card(data: CardData) -> str:
    """The whole file."""
    plan, written, licence, tally = data.plan, data.written, data.licence, data.tally
    drawn = [entry for entry in written.entries if entry.real is None]
    shown = [entry.real for entry in written.entries if entry.real]
    files = [file for file in FILES if file in written.records]
    probed = [each for entry in drawn for each in entry.made.probed]
    every = Counter(entry.file for entry in drawn)
    refused = Counter(entry.file for entry in drawn if not entry.made.pair.accepted)
    kept = {entry.key for entry in written.entries}
    people = {name for entry in written.entries for name in entry.reviewers}
    photo_licences = Counter(terms for record in shown for terms in record.licences)
    settings = as_mapping(as_mapping(strip_machine(data.models.get(PAINTER))).get("settings"))
    text = _load_template().render(
        table=_table,
        plan=plan,
        written=written,
        licence=licence,
        open=data.open,
        identity=data.identity,
        at=data.at,
        use=_Markdown("\n".join(USE)),
        shown=shown,
        faces=sum(record.faces for record in shown),
        files=[(file, written.records[file], _FILES[file]) for file in files],
        listings=[FILES[file] for file in files],
        categories=_category_table(data, files),
        seeds={
            "all": tally.seeds,
            "giving": tally.with_elements,
            "elements": tally.came("elements") - (tally.seeds - tally.with_elements),
            "sorted": tally.ends["sort", "kept"],
            "train": tally.came("label"),
        },
        ends=_table(
            ("step", "#came", *(f"#{end}" for end in ENDS)),
            [(step, tally.came(step), *(tally.ends[step, end] for end in ENDS)) for step in STEPS if tally.came(step)],
        ),
        losses=[each.summary for each in find_losses(tally)],
        stops=sorted(count_stops(tally).items()),
        painter_settings=", ".join(f"{name} {value}" for name, value in settings.items() if value not in (None, "")),
        viewer=plan.model("viewer").ref,
        prober=plan.model("prober").ref,
        spending=_tabulate_spending(plan, data.spent) if data.spent else "",
        prompts=[
            (name, "the builder's" if name in data.prompts.own else "the user's", f"`{sha256}`")
            for name, sha256 in data.prompts.hashes.items()
        ],
        # a viewer that never accepts must be visible
        drawings=[(FILES[file].name, pairs, refused[file]) for file, pairs in every.items()],
        near=len(data.near),
        least_likeness=TEXT_LIKENESS,
        most_bits=IMAGE_BITS,
        compared=[
            (each.test, each.items, each.questions, each.named, each.images, each.broken) for each in data.compared
        ],
        contaminated=[(each.key, each.of, each.by, f"{each.likeness:.2f}") for each in data.contaminated],
        # item of a test that names no objects -> records with its words, for the reader to judge
        worded=sorted(Counter(each.of for each in data.worded if each.key in kept).items()),
        probes=_probe_values(compute_rates(probed)) if probed else None,
        people={
            "number": max(len(people), *(len(each.reviewers) for each in data.agreed), 0),
            "decided": sum(bool(entry.reviewers) for entry in written.entries),
        },
        agreement=_agreement_values([each for each in data.agreed if each.candidates]),
        left=[(end, why, f"{number:,}") for (end, why), number in sorted(data.left.items())],
        sources=_source_rows(data),
        photo_licences=sorted(photo_licences.items()),
        distributions=_distribution_rows(data.versions),
        ran_on=", ".join(f"{name} {value}" for name, value in data.environment.items() if value is not None),
    )
    return f"{_front_matter(data)}\n{text}"


class _Markdown(str):
    """Text of our own, which is not escaped."""

    __slots__ = ()


def _load_template() -> Template:
    from jinja2 import Environment, StrictUndefined

    def finalize(value: object) -> object:
        return value if isinstance(value, _Markdown) else escape_markdown(value)

    environment = Environment(  # noqa: S701 - every value is escaped for Markdown, by `finalize`
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        finalize=finalize,
    )
    return environment.from_string(Path(__file__).with_name("card.md.j2").read_text(encoding="utf-8"))


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> _Markdown:
    """A table. Cells are escaped; a head with # marks a column of numbers, one with ` our own code."""
    lines = [
        f"| {' | '.join(head.lstrip('#`') for head in heads)} |",
        f"| {' | '.join('---:' if head.startswith('#') else '---' for head in heads)} |",
    ]
    for row in rows:
        cells = (
            str(cell) if head.startswith("`") else escape_markdown(cell) for head, cell in zip(heads, row, strict=True)
        )
        lines.append(f"| {' | '.join(cells)} |")
    return _Markdown("\n".join(lines))


def _front_matter(data: CardData) -> str:
    """The YAML for the hub and `datasets`: the licence, the files by name and split, and the gate."""
    import yaml

    records = data.written.records
    configs = [
        {"config_name": listing.name, "data_files": [{"split": listing.split, "path": file}]}
        for file, listing in FILES.items()
        if file in records
    ]
    total = sum(records.values())
    values: dict[str, Any] = {
        "pretty_name": one_line(data.plan.name),
        "license": _HUB_LICENCES.get(data.licence.name, data.licence.name),
        "task_categories": ["visual-question-answering"],
        "size_categories": [next((name for most, name in _SIZES if total < most), "n>1M")],
        "tags": ["safety", "vision-language", "multi-image", "synthetic", "not-for-all-audiences"],
        "configs": configs,
        "extra_gated_heading": "Ask for access, and say what for",
        "extra_gated_prompt": "\n\n".join(USE),
        "extra_gated_fields": dict(_FIELDS),
        "extra_gated_button_content": "Agree, and ask for access",
    }
    language = _fold(data.plan.language)
    for line in Path(__file__).with_name("languages.txt").read_text(encoding="utf-8").splitlines():
        code, _, names = line.partition(":")
        if not line.startswith("#") and language in (code, *map(_fold, names.split(","))):
            values["language"] = [code]
    # its stubs leave the type of `width` open
    dumped = yaml.safe_dump(values, allow_unicode=True, sort_keys=False, width=120)  # pyright: ignore[reportUnknownMemberType]
    return f"---\n{dumped}---\n"


def _fold(name: str) -> str:
    """Without case and accents."""
    apart = unicodedata.normalize("NFKD", name.strip().casefold())
    return "".join(each for each in apart if not unicodedata.combining(each))


def _category_table(data: CardData, files: Sequence[str]) -> _Markdown:
    counts = Counter((entry.category, entry.file) for entry in data.written.entries)
    names = sorted({category for category, _ in counts})
    # The refusals are answers to questions of the file to train on, which are counted there already.
    counted = [file for file in files if any((name, file) in counts for name in names)]
    rows = [(name, *(counts[name, file] for file in counted)) for name in names]
    return _table(("category", *(f"#{FILES[file].name}" for file in counted)), rows)


def _tabulate_spending(plan: Plan, spent: Sequence[RoleCosts]) -> _Markdown:
    def sums(entries: Sequence[RoleCosts]) -> Iterator[str]:  # sum first, then round
        yield f"{sum(each.made for each in entries):,}"
        yield f"{sum(each.usage.input_tokens for each in entries):,}"
        yield f"{sum(each.usage.output_tokens for each in entries):,}"
        yield f"{round(sum(each.seconds for each in entries)):,}"
        yield f"{sum(each.images for each in entries):,}"

    rows: list[tuple[object, ...]] = []
    for each in spent:
        who = (each.step, each.role, model_of(plan, each.role).ref, ", ".join(each.models))
        rows.append((*who, *sums([each]), "no price told" if each.usd is None else f"{each.usd:,.2f}"))
    priced = [each.usd for each in spent if each.usd is not None]
    # The sum covers priced calls alone, and says so.
    total = f"{'' if len(priced) == len(spent) else 'at least '}{sum(priced):,.2f}" if priced else "no price told"
    rows.append(("all", "", "", "", *sums(spent), total))
    heads = ("step", "role", "model", "reported as", "#calls", "#tokens in", "#out", "#seconds", "#images", "#US$")
    return _table(heads, rows)


def _probe_values(found: Rates) -> dict[str, object]:
    named = [*((_PROBES[part], rate) for part, rate in found.parts.items()), ("the whole, and no part", found.together)]
    rows: list[tuple[object, ...]] = []
    for name, rate in named:
        value = "" if rate.value is None else f"{rate.value:.1f}"
        interval = "" if rate.ci95 is None else f"{rate.ci95[0]:.1f} to {rate.ci95[1]:.1f}"
        rows.append((name, value, interval, rate.n, rate.unread))
    every = found.together.n + found.together.unread
    return {"rows": rows, "every": every, "told": found.told, "alone": len(found.alone)}


def _agreement_values(shared: Sequence[Agreed]) -> dict[str, list[tuple[object, ...]]]:
    def number(found: Agreement) -> tuple[str, str]:
        """The value with its interval, or why there is none."""
        if found.value is None:
            return (found.why.value if found.why else ""), ""
        return f"{found.value:.2f}", "" if found.ci95 is None else f"{found.ci95[0]:.2f} to {found.ci95[1]:.2f}"

    questions: list[tuple[object, ...]] = []
    pairs: list[tuple[object, ...]] = []
    for each in shared:
        about = _QUESTIONS.get(each.about, each.about)
        questions.append((about, each.candidates, *number(each.alpha)))
        pairs += [
            (f"{pair.left} and {pair.right}", about, pair.kappa.n, *number(pair.kappa))
            for pair in each.pairs
            if pair.kappa.n
        ]
    return {"questions": questions, "pairs": pairs}


def _source_rows(data: CardData) -> list[tuple[str, str, str]]:
    plan, licence = data.plan, data.licence
    rows = [
        (name, terms, "used because whoever built the set says that they may" if name in licence.accepted else "")
        for name, terms in licence.sources.items()
    ]
    named = [each.name for each in (*plan.sources, *((plan.photos,) if plan.photos else ()))]
    return rows + [(name, "", "nothing of it is in the set") for name in named if name not in licence.sources]


def _distribution_rows(versions: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each distribution once; a single-file plugin has none and is listed by name."""
    rows: set[tuple[str, str]] = set()
    for plugin, origin in versions.items():
        name, _, version = origin.partition(" ")
        rows.add((f"{plugin} (a file)" if name == FILE else name, version))
    return sorted(rows)
