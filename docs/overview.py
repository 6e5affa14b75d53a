"""`make docs`: put the table of all tasks into docs/tasks/README.md, between <!-- tasks --> and <!-- /tasks -->.

And what rubrics of other benchmarks lose on a task into its page, between <!-- losses --> and <!-- /losses -->.
A test runs the same functions and fails when the page is stale.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.contracts import Paper, Split, Task
from harness.labels import list_losses
from harness.plugins import Host
from harness.settings import effective

PAGES = Path(__file__).parent / "tasks"
PAGE = PAGES / "README.md"
LOSSES = re.compile(r"<!-- losses -->.*?<!-- /losses -->", re.DOTALL)
BLOCK = re.compile(r"<!-- tasks -->.*?<!-- /tasks -->", re.DOTALL)
HEAD = (
    "task",
    "split",
    "samples",
    "images",
    "judge",
    "main metric",
    "runs by",
    "words of input, rubric",
    "licence",
    "paper",
)
ARROWS = {"lower": "↓", "higher": "↑"}
OURS = "this project's"  #: packaged splits are drawn and written here
OPEN = ("vlmeval", "lm-eval")  #: their splits are other people's data sets, any of them


def splits_of(task: Task) -> dict[str, Split]:
    """The splits at default settings."""
    settings = effective(task.settings, {}, owner=f"task {task.name}")
    return dict(task.splits(settings, Path(task.name)) if callable(task.splits) else task.splits)


def rows(host: Host) -> Iterator[tuple[str, ...]]:
    """One row of cells for each split of each task that has splits of its own."""
    for task, plugin in host.offers("tasks"):
        if task.name in OPEN or host.source(plugin).distribution != "vlm-safety-harness":
            continue
        gate = "gated; " if task.source and task.source.gated else ""
        licence = gate + task.source.licence if task.source else ""
        for name, split in splits_of(task).items():
            terms = licence if split.data is None else OURS
            yield (_link(task.name), f"`{name}`", *_cells(host, split), terms, _cite(task.paper))


def _cells(host: Host, split: Split) -> tuple[str, ...]:
    judge = host.judge(next(iter(split.judges)))
    main = next((metric for metric in split.metrics if metric.main), split.metrics[0])
    rubric = judge.open(effective(judge.settings, {}, owner=judge.name), Path(judge.name))
    by = (
        f"pooled from {', '.join(split.parts)}"
        if split.parts
        else "the task's name"
        if split.selected
        else "its own name"
    )
    words = f"{split.fidelity or 'none added'}, {'rule' if judge.needs is None else rubric.fidelity}"
    return (
        "?" if split.n is None else str(split.n),
        "1 to N" if split.images is None else str(split.images),
        f"`{judge.name}`" + ("" if judge.needs is None else " + model"),
        f"{main.name} {ARROWS[main.better]}",
        by,
        words,
    )


def _cite(paper: Paper | None) -> str:
    if paper is None:
        return ""
    return f"[{f'arXiv {paper.arxiv}' if paper.arxiv else 'its page'}]({paper.link})"


def _link(name: str) -> str:
    page = f"{name.replace('-', '_')}.md"
    return f"[{name}]({page})"


def table(host: Host) -> str:
    """The whole table as Markdown."""
    lines = [HEAD, ("---", "---", "---:", "---:", "---", "---", "---", "---", "---", "---"), *rows(host)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def filled(page: str, host: Host) -> str:
    """The page with its table renewed. Raises ValueError where it has no place for it."""
    if not BLOCK.search(page):
        raise ValueError("the page has no <!-- tasks --> block")
    return BLOCK.sub(lambda _: f"<!-- tasks -->\n{table(host)}\n<!-- /tasks -->", page)


def losing(host: Host) -> dict[Path, str]:
    """Page of a task -> the table of what rubrics of other benchmarks lose there; only of tasks that have some."""
    found: dict[Path, str] = {}
    for task, _ in host.offers("tasks"):
        if task.name in OPEN:
            continue
        lines = [
            "| rubric of another benchmark | labels become | splits | what is lost |",
            "| --- | --- | --- | --- |",
        ]
        for loss in list_losses(splits_of(task)):
            words = ", ".join(f"`{label}` → `{word}`" for label, word in loss.translation.items()) or "themselves"
            splits = ", ".join(f"`{name}`" for name in loss.splits)
            lines.append(f"| [`{loss.rubric}`](../judges/{loss.rubric}.md) | {words} | {splits} | {loss.sentence} |")
        if len(lines) > 2:
            found[PAGES / f"{task.name.replace('-', '_')}.md"] = "\n".join(lines)
    return found


def filled_losses(page: str, table: str) -> str:
    """A task's page with its table of losses renewed. Raises ValueError where it has no place for it."""
    if not LOSSES.search(page):
        raise ValueError("the page has no <!-- losses --> block")
    return LOSSES.sub(lambda _: f"<!-- losses -->\n{table}\n<!-- /losses -->", page)


def main() -> int:
    """Renew the pages and say whether they changed."""
    host = Host.load(tell=lambda _: None)
    page = PAGE.read_text(encoding="utf-8")
    new = filled(page, host)
    PAGE.write_text(new, encoding="utf-8")
    sys.stdout.write(f"docs/tasks/README.md {'changed' if new != page else 'as it was'}\n")
    for path, losses in losing(host).items():
        page = path.read_text(encoding="utf-8")
        path.write_text(filled_losses(page, losses), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
