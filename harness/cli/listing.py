"""The list commands: `harness models`, `tasks`, `judges` and `painters` share one implementation."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import click

from harness import plugins
from harness.contracts import Attack, DataSource, Judge, Paper, Provider, Rubric, Split, Strategy, Suite, Task
from harness.errors import BadData, UnknownName, describe_error
from harness.plugins.host import Host
from harness.settings import effective, nearest
from harness.text import one_line, plain
from harness.types import Json, Setting

from .config import schemes_flag, suites_flag, with_schemes, with_suites
from .options import Group, OpenGroup, add_flags, load_host, plugin_options, show_examples
from .stdout import indented, results_stream, show, table

if TYPE_CHECKING:
    from harness.makers import Painter

_T = TypeVar("_T")
_F = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[_T]):
    """How one kind is listed.

    Attributes:
        kind: the kind's name in `Host.offers`.
        key: the field with the name.
        columns: header -> cell, between name and plugin.
        facts: further facts for `--json` and the details, by name; plain JSON.
        details: further sections of the detailed view.
        flag: the flag that sets one of its settings.
        settings: returns its settings.
        host: loads the offers.
        flags: adds the flags that `host` needs.
        name: the word for the names of this kind.
        below: another kind, listed below this one; its names differ from this kind's.
    """

    kind: str
    key: str = "name"
    columns: Mapping[str, Callable[[_T], str]]
    facts: Callable[[_T], Mapping[str, Json]]
    details: Callable[[_T], str]
    flag: Callable[[_T], str]
    settings: Callable[[_T], Sequence[Setting]] = lambda item: getattr(item, "settings", ())
    host: Callable[[click.Context], Host] = load_host
    flags: Callable[[_F], _F] = lambda function: function
    name: str = "NAME"
    below: Listing[Any] | None = None

    @property
    def every(self) -> tuple[Listing[Any], ...]:
        """This kind and the one below it."""
        return (self,) if self.below is None else (self, self.below)


def list_command(listing: Listing[Any], text: str, example: str) -> click.Group:
    """The group `harness KIND` with the commands `list` and `show`; `example` is a name for their help."""

    def flags(function: _F) -> _F:
        json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
        return add_flags(function, json_flag, listing.flags, plugin_options, click.pass_context)

    from . import OPEN

    kind = OpenGroup if listing.kind in OPEN else Group

    named = f"harness {listing.kind} show {example}"
    examples = show_examples(f"harness {listing.kind}", named)

    @click.group(cls=kind, name=listing.kind, help=text, invoke_without_command=True, epilog=examples)
    @flags
    def group(ctx: click.Context, as_json: bool) -> None:
        if ctx.invoked_subcommand is None:
            show_offers(listing.host(ctx), listing, (), as_json)

    def show_some(ctx: click.Context, names: tuple[str, ...], as_json: bool) -> None:
        if listing.below is not None and names:
            from harness.evaluation.splits import load_task_files

            load_host(ctx)
            names = tuple(load_task_files(names))
        as_json = as_json or (ctx.parent is not None and bool(ctx.parent.params.get("as_json")))
        show_offers(listing.host(ctx), listing, names, as_json)

    listed = show_examples(f"harness {listing.kind} list", f"harness {listing.kind} list --json")
    shown = show_examples(named, f"{named} --json")
    group.command("list", help=text, epilog=listed)(click.argument("names", nargs=-1)(flags(show_some)))
    group.command("show", help="Show some in detail.", epilog=shown)(
        click.argument("names", nargs=-1, required=True)(flags(show_some))
    )
    return group


def show_offers(host: Host, listing: Listing[Any], names: Sequence[str], as_json: bool) -> None:
    """Print a table of all offers of a kind, on a terminal in its width, or the details of some. Raises UnknownName."""
    offers = {
        getattr(item, each.key): (each, item, plugin)
        for each in listing.every
        for item, plugin in host.offers(each.kind)
    }
    for name in names:
        if name not in offers:
            _refuse(host, listing, name, offers)
    chosen = [offers[name] for name in names or offers]
    if as_json:
        show(json.dumps([_to_json(host, *offer) for offer in chosen], indent=2, ensure_ascii=False), raw=True)
    elif names:
        show("\n\n".join(_render_details(host, *offer) for offer in chosen))
    else:
        width = 0
        if results_stream().isatty():
            import shutil  # it imports what packs archives, which a pipe need not wait for

            width = shutil.get_terminal_size().columns
        tables: list[str] = []
        for each in listing.every:
            rows = [
                [getattr(item, each.key), *(cell(item) for cell in each.columns.values()), plugin, item.description]
                for item, plugin in host.offers(each.kind)
            ]
            if rows or each is listing:
                tables.append(table([each.name, *each.columns, "PLUGIN", "DESCRIPTION"], rows, width=width))
        show("\n\n".join(tables))


def _refuse(host: Host, listing: Listing[Any], name: str, offers: Mapping[str, object]) -> None:
    """Raise the error for a name that is unknown, offered by several plugins, or from a failed plugin."""
    one = {
        "models": host.provider,
        "tasks": host.task,
        "judges": host.judge,
        "suites": host.suite,
        "strategies": host.strategy,
        "attacks": host.attack,
        "painters": host.painter,
        "builders": host.builder,
    }
    disputed = (each.kind for each in listing.every if name in host.clashes(each.kind))
    one[next(disputed, listing.kind)](name)
    raise UnknownName(f"{name!r} is not among the {listing.kind}", remedy=nearest(name, offers))


def _to_json(host: Host, listing: Listing[_T], item: _T, plugin: str) -> dict[str, Json]:
    source = host.source(plugin)
    settings = [
        {
            "name": setting.name,
            "type": setting.type.__name__,
            "default": str(setting.default) if isinstance(setting.default, Path) else setting.default,
            "identity": setting.identity,
            "choices": list(setting.choices),
            "least": setting.least,
            **({} if setting.most is None else {"most": setting.most}),
            "help": setting.help,
        }
        for setting in listing.settings(item)
    ]
    return {
        "name": getattr(item, listing.key),
        "description": getattr(item, "description", ""),
        **listing.facts(item),
        "settings": settings,
        "plugin": {"name": plugin, "distribution": source.distribution, "version": source.version},
    }


def _render_details(host: Host, listing: Listing[_T], item: _T, plugin: str) -> str:
    name = getattr(item, listing.key)
    head = f"{name}: {getattr(item, 'description', '')}\n  plugin {plugin} ({host.source(plugin).origin})"
    parts = [head, listing.details(item)]
    rows: list[list[str]] = []
    for setting in listing.settings(item):
        accepts = "|".join(setting.choices) or setting.type.__name__
        if setting.least is not None:
            accepts = f"{accepts} ≥ {setting.least:g}"
        if setting.most is not None:
            accepts = f"{accepts} ≤ {setting.most:g}"
        default = "" if setting.default is None else str(setting.default)
        counts_as = "identity" if setting.identity else "transport"
        rows.append([setting.name, accepts, default, counts_as, setting.help])
    if rows:
        settings = table(["KEY", "VALUE", "DEFAULT", "COUNTS AS", "HELP"], rows)
        parts.append(indented(f"settings: {listing.flag(item)}\n{indented(settings)}"))
    return plain("\n".join(part for part in parts if part))


def _find_splits(task: Task) -> Mapping[str, Split] | str:
    """The splits at default settings, or why they cannot be listed."""
    from harness.data.places import find_root, find_splits

    try:
        splits = find_splits(task, effective(task.settings, {}, owner=f"task {task.name}"), find_root(task))
        return {name: splits[name] for name in splits}
    except Exception as error:  # noqa: BLE001 - a plugin's code; the list still shows the others
        return f"unknown: {one_line(describe_error(error))}"


def _list_split_names(task: Task) -> str:
    splits = _find_splits(task)
    return splits if isinstance(splits, str) else " ".join(splits)


def task_facts(task: Task) -> Mapping[str, Json]:
    """The facts of a task in `harness tasks --json`, besides its name, settings and plugin."""
    splits, source = _find_splits(task), task.source
    return {
        "kind": "task",
        "version": task.version,
        "splits": splits if isinstance(splits, str) else {name: _split_facts(split) for name, split in splits.items()},
        "data": {
            "hub": source.hub,
            "url": source.url,
            "revision": _find_revision(source),
            "unchecked": source.unchecked,
            "licence": source.licence,
            "size": source.size,
            "gated": source.gated,
        }
        if source
        else None,
        "paper": _paper_facts(task.paper),
    }


def _paper_facts(paper: Paper | None) -> dict[str, Json] | None:
    if paper is None:
        return None
    return {
        "key": paper.key,
        "title": paper.title,
        "authors": list(paper.authors),
        "year": paper.year,
        "venue": paper.venue or paper.journal,
        "arxiv": paper.arxiv,
        "url": paper.link,
    }


def _describe_paper(paper: Paper | None) -> list[str]:
    """The line with the paper; no line without one."""
    if paper is None:
        return []
    from harness.board.bibtex import describe_paper

    return [f"paper {describe_paper(paper)}"]


def _split_facts(split: Split) -> dict[str, Json]:
    metrics = [metric.name for metric in split.metrics]
    main = [metric.name for metric in split.metrics if metric.main]
    return {
        "n": split.n,
        "images": split.images,
        "judges": list(split.judges),
        "maps": {rubric: dict(translation) for rubric, translation in split.judges.items()},
        "losses": dict(split.losses),
        "labels": list(split.vocabulary or ()),
        "metrics": metrics,
        "main": next(iter([*main, *metrics]), ""),
        "by": list(split.by),
        "selected": split.selected,
        "mini": split.data is not None,
        "parts": list(split.parts),
    }


def _find_revision(source: DataSource) -> str:
    return source.revision or (source.archive or ("", ""))[1]


def _task_details(task: Task) -> str:
    lines = [f"version {task.version}", *_describe_paper(task.paper)]
    if source := task.source:
        size, gated = f"size: {source.size}" if source.size else "", "gated" if source.gated else ""
        facts = [source.hub or source.url, size, f"licence: {source.licence or 'not stated'}", gated]
        lines.append(f"data {'; '.join(filter(None, facts))}")
        # the commit with which the counts were checked, or why there is none
        if revision := f"not checked: {source.unchecked}" if source.unchecked else _find_revision(source):
            lines.append(f"revision {revision}")
    splits = _find_splits(task)
    if isinstance(splits, str):
        lines.append(f"splits {splits}")
    else:
        rows: list[list[str]] = []
        for name, split in splits.items():
            n, images = ("?" if count is None else str(count) for count in (split.n, split.images))
            metrics = ", ".join(metric.name for metric in split.metrics)
            pooled = f"pooled from {' + '.join(split.parts)}" if split.parts else ""
            selected = pooled or ("yes" if split.selected else "by name")
            rows.append([name, n, images, ", ".join(split.judges), metrics, ", ".join(split.by), selected])
        header = ["SPLIT", "SAMPLES", "IMAGES", "JUDGES", "METRICS", "BY", "SELECTED"]
        lines += ["splits", indented(table(header, rows)), *_render_labels(splits), *_render_losses(splits)]
    return indented("\n".join([*lines, *_render_published(task)]))


def _render_labels(splits: Mapping[str, Split]) -> Iterator[str]:
    """The labels of the splits, those of several splits together."""
    found: dict[tuple[str, ...], list[str]] = {}
    for name, split in splits.items():
        if known := split.vocabulary:
            found.setdefault(known, []).append(name)
    for labels, names in found.items():
        of = "" if len(names) == len(splits) else f" of {', '.join(names)}"
        yield f"labels{of}: {', '.join(labels)}"


def _render_losses(splits: Mapping[str, Split]) -> Iterator[str]:
    """What the labels of rubrics of other benchmarks become here, and what is lost."""
    from harness.labels import list_losses

    rows = [
        [
            loss.rubric,
            ", ".join(f"{label}={word}" for label, word in loss.translation.items()) or "themselves",
            " ".join(loss.splits),
            loss.sentence,
        ]
        for loss in list_losses(splits)
    ]
    if rows:
        yield "rubrics of other benchmarks, and what they lose here"
        yield indented(table(["RUBRIC", "LABELS BECOME", "SPLITS", "LOSES"], rows))


def _render_published(task: Task) -> Iterator[str]:
    """Numbers published by others, by source; an unreadable file hides nothing else."""
    from harness.board.published import published

    try:
        found = published(task)
    except BadData as error:
        yield f"published numbers: {one_line(str(error))}"
        return
    for source in dict.fromkeys(row.source for row in found):
        rows = [row for row in found if row.source == source]
        yield f"published, not measured here: {', '.join(filter(None, (source.title, source.place, source.url)))}"
        metrics = list(dict.fromkeys(metric for row in rows for metric in row.values))
        cells: list[list[str]] = []
        for row in rows:
            values = (row.values.get(metric) for metric in metrics)
            numbers = ["" if value is None else f"{value:.2f}" for value in values]
            cells.append([row.model, row.split, *numbers, "; ".join(filter(None, (*row.slips, row.note)))])
        notes = [f"judge: {source.judge}" if source.judge else "", source.note]
        yield indented("\n".join([*filter(None, notes), table(["MODEL", "SPLIT", *metrics, "MIND"], cells)]))


def _suite_facts(suite: Suite) -> Mapping[str, Json]:
    return {
        "kind": "suite",
        "tasks": list(suite.tasks),
        "task_settings": {key: str(value) for key, value in suite.task_settings.items()},
        "judges": dict(suite.judges),
        "mean": list(suite.mean),
        "notes": list(suite.notes),
        "paper": _paper_facts(suite.paper),
    }


def _suite_details(suite: Suite) -> str:
    settings: dict[str, list[str]] = {}  # task or rubric -> its settings
    for key, value in suite.task_settings.items():
        settings.setdefault(key.split(".")[0], []).append(f"{key}={value}")
    names = {task: task.partition(":")[0] for task in suite.tasks}
    rows = [
        [task, suite.rubric(task), " ".join(settings.get(name, ())), "yes" if task in suite.mean else ""]
        for task, name in names.items()
    ]
    lines = [table(["TASK", "RUBRIC", "SETTINGS", "IN THE MEAN"], rows)]
    if others := [f"{k}={v}" for k, v in suite.task_settings.items() if k.split(".")[0] not in names.values()]:
        lines.append(f"settings of rubrics: {' '.join(others)}")
    with_model = {judge.name for judge, _ in plugins.current().offers("judges") if judge.needs is not None}
    rubrics = [rubric for rubric in dict.fromkeys(suite.judges.values()) if rubric in with_model]
    lines += [f"needs a separate model: --judge {rubric}=SCHEME/NAME" for rubric in rubrics]
    return indented("\n".join([*_describe_paper(suite.paper), *lines, *suite.notes]))


def _provider_settings(provider: Provider) -> Sequence[Setting]:
    from harness.models import list_settings

    return list_settings(provider)


def _provider_details(provider: Provider) -> str:
    base = f"\n  {provider.base} with other defaults" if provider.base else ""
    return f"  --model {provider.scheme}/NAME{base}"


def _judge_needs(judge: Judge) -> str:
    if judge.needs is None:
        return "no model"
    return f"a model with {', '.join(sorted(judge.needs))}" if judge.needs else "a model"


def _open_rubric(judge: Judge) -> Rubric | None:
    """A judge's rubric at default settings; None for one that cannot be opened here."""
    from harness.data.places import data_folder

    try:
        values = effective(judge.settings, {}, owner=f"judge {judge.name}")
        return judge.open(values, data_folder() / judge.name)
    except Exception:  # noqa: BLE001 - a plugin's code; the list still shows the others
        return None


def _find_sees(judge: Judge, rubric: Rubric | None) -> list[str] | None:
    """What a judge is shown; None for a rule, or for a rubric that cannot be opened here."""
    return None if judge.needs is None or rubric is None else list(rubric.sees)


def _judge_details(judge: Judge) -> str:
    how = judge.name if judge.needs is None else f"{judge.name}=SCHEME/NAME"
    rubric = _open_rubric(judge)
    sees = _find_sees(judge, rubric)
    shown = f"  sees {', '.join(sees)}\n" if sees else ""
    lines = [f"version {judge.version}", *_describe_paper(judge.paper), f"needs {_judge_needs(judge)}"]
    head = indented("\n".join(lines))
    found = f"{head}\n{shown}  --judge {how}"
    if rubric is None or not rubric.labels:
        return found
    rows = [[label, one_line(rubric.meanings.get(label, ""))] for label in rubric.labels]
    return f"{found}\n  labels\n{indented(indented(table(['LABEL', 'MEANING'], rows)))}"


def _judge_facts(judge: Judge) -> Mapping[str, Json]:
    needs = None if judge.needs is None else sorted(judge.needs)
    rubric = _open_rubric(judge)
    return {
        "version": judge.version,
        "needs": needs,
        "sees": _find_sees(judge, rubric),
        "labels": None if rubric is None else {label: rubric.meanings.get(label, "") for label in rubric.labels},
        "paper": _paper_facts(judge.paper),
    }


_MODELS: Listing[Provider] = Listing(
    kind="models",
    key="scheme",
    columns={"OF": lambda provider: provider.base},
    facts=lambda provider: {"model": f"{provider.scheme}/NAME", "base": provider.base or None},
    details=_provider_details,
    flag=lambda _: "-M KEY=VALUE",
    settings=_provider_settings,
    host=with_schemes,
    flags=schemes_flag,
)


def _strategy_details(strategy: Strategy) -> str:
    needs = f"a model that can {', '.join(sorted(strategy.needs))}" if strategy.needs else "any model"
    return f"  version {strategy.version}; stands around {needs}"


def _name_attack_kind(attack: Attack) -> str:
    return "control" if attack.control else "attack"


_SUITES: Listing[Suite] = Listing(
    kind="suites",
    columns={"TASKS": lambda suite: " ".join(suite.tasks)},
    facts=_suite_facts,
    details=_suite_details,
    flag=lambda suite: f"--tasks {suite.name}",
    name="SUITE",
)
_TASKS: Listing[Task] = Listing(
    kind="tasks",
    columns={"VERSION": lambda task: task.version, "SPLITS": _list_split_names},
    facts=task_facts,
    details=_task_details,
    flag=lambda task: f"-T {task.name}.KEY=VALUE",
    host=with_suites,
    flags=suites_flag,
    below=_SUITES,
)
_JUDGES: Listing[Judge] = Listing(
    kind="judges",
    columns={"VERSION": lambda judge: judge.version, "NEEDS": _judge_needs},
    facts=_judge_facts,
    details=_judge_details,
    flag=lambda judge: f"-T {judge.name}.KEY=VALUE",
)
_PAINTERS: Listing[Painter] = Listing(
    kind="painters",
    key="scheme",
    columns={"RUNS": lambda painter: "here" if painter.local else ""},
    facts=lambda painter: {"painter": f"{painter.scheme}/NAME", "local": painter.local},
    details=lambda painter: f"  {painter.scheme}/NAME, where a builder asks for a painter",
    flag=lambda _: "KEY: VALUE, beside the painter's name",
)
_ATTACKS: Listing[Attack] = Listing(
    kind="attacks",
    columns={"VERSION": lambda attack: attack.version, "KIND": _name_attack_kind},
    facts=lambda attack: {"version": attack.version, "kind": _name_attack_kind(attack), "variants": attack.variants},
    details=lambda attack: f"  {_name_attack_kind(attack)}; variants of a sample: {attack.variants or 'one an epoch'}",
    flag=lambda attack: f"--attack {attack.name} -A KEY=VALUE",
)
_STRATEGIES: Listing[Strategy] = Listing(
    kind="strategies",
    columns={"VERSION": lambda strategy: strategy.version, "NEEDS": lambda strategy: " ".join(sorted(strategy.needs))},
    facts=lambda strategy: {"version": strategy.version, "needs": sorted(strategy.needs)},
    details=_strategy_details,
    flag=lambda strategy: f"--strategy {strategy.name} -S KEY=VALUE",
)
models_command = list_command(_MODELS, "List the providers of models, or show some in detail.", "hf")
tasks_command = list_command(_TASKS, "List the tasks and suites, or show some in detail.", "mis")


@tasks_command.command(
    "new",
    epilog=show_examples(
        "harness tasks new kitchen.yaml --from questions.csv", "harness tasks new arc.yaml --from lm_eval_task.yaml"
    ),
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--from",
    "source",
    metavar="PATH|hub:OWNER/NAME",
    required=True,
    help="The data: CSV, TSV, JSON, JSON lines, parquet, an Excel workbook or a set of the hub; a report of garak, an "
    "export of PyRIT; or lm-eval's YAML.",
)
def _write_new(file: Path, source: str) -> int:
    """Write a task file: a task without Python, from the columns that a data file has.

    Says what it guessed, and reads the whole file by it. Exit 3 if that fails: then correct the task file.
    """
    from . import cli
    from .task_draft import write_draft

    cli.collect()  # unlike a list, it reads data of any size
    return write_draft(file, source)


judges_command = list_command(_JUDGES, "List the judges, or show some in detail.", "keyword")
strategies_command = list_command(
    _STRATEGIES, "List the strategies around a model, or show some in detail.", "self-reminder"
)
attacks_command = list_command(_ATTACKS, "List the attacks and controls, or show some in detail.", "typographic")
painters_command = list_command(_PAINTERS, "List the painters of builders, or show some in detail.", "diffusers")
