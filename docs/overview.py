"""`make docs`: put the table of all tasks into docs/tasks/README.md, between <!-- tasks --> and <!-- /tasks -->.

A test runs the same functions and fails when the page is stale.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.contracts import Split, Task
from harness.plugins import Host
from harness.settings import effective

PAGE = Path(__file__).parent / "tasks" / "README.md"
BLOCK = re.compile(r"<!-- tasks -->.*?<!-- /tasks -->", re.DOTALL)
HEAD = ("task", "split", "samples", "images", "judge", "main metric", "runs by", "words of input, rubric", "licence")
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
            yield (_link(task.name), f"`{name}`", *_cells(host, split), terms)


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


def _link(name: str) -> str:
    page = f"{name.replace('-', '_')}.md"
    return f"[{name}]({page})"


def table(host: Host) -> str:
    """The whole table as Markdown."""
    lines = [HEAD, ("---", "---", "---:", "---:", "---", "---", "---", "---", "---"), *rows(host)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def filled(page: str, host: Host) -> str:
    """The page with its table renewed. Raises ValueError where it has no place for it."""
    if not BLOCK.search(page):
        raise ValueError("the page has no <!-- tasks --> block")
    return BLOCK.sub(lambda _: f"<!-- tasks -->\n{table(host)}\n<!-- /tasks -->", page)


def main() -> int:
    """Renew the page and say whether it changed."""
    page = PAGE.read_text(encoding="utf-8")
    new = filled(page, Host.load(tell=lambda _: None))
    PAGE.write_text(new, encoding="utf-8")
    sys.stdout.write(f"docs/tasks/README.md {'changed' if new != page else 'as it was'}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
