"""`make docs`: put each command's --help into its page, between <!-- help --> and <!-- /help -->, and the schema of
task files into `task.schema.json`.

A test runs the same functions and fails when a page is stale.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import click

from harness.cli import cli
from harness.task_files.schema import SCHEMA

PAGES = Path(__file__).parent / "commands"
TASK_SCHEMA = Path(__file__).with_name("task.schema.json")
BLOCK = re.compile(r"<!-- help -->.*?<!-- /help -->", re.DOTALL)


def helps(name: str) -> str:
    """The help of a command and of its subcommands, as code blocks."""
    root = click.Context(cli, info_name="harness", **cli.context_settings)
    command = cli.get_command(root, name)
    assert command is not None
    ctx = click.Context(command, info_name=name, parent=root, max_content_width=100, terminal_width=100)
    texts = [ctx.get_help()]
    if isinstance(command, click.Group):
        for sub in command.list_commands(ctx):
            inner = command.get_command(ctx, sub)
            assert inner is not None
            texts.append(click.Context(inner, info_name=sub, parent=ctx, terminal_width=100).get_help())
    return "\n\n".join(f"```text\n{text}\n```" for text in texts)


def filled(page: str, name: str) -> str:
    """A page with its block renewed. Raises ValueError where it has none."""
    if not BLOCK.search(page):
        raise ValueError(f"the page of {name} has no <!-- help --> block")
    return BLOCK.sub(lambda _: f"<!-- help -->\n{helps(name)}\n<!-- /help -->", page)


def main() -> int:
    """Renew all pages; the number of those that changed is said."""
    changed, paths = 0, sorted(PAGES.glob("*.md"))
    for path in paths:
        name = path.stem
        page = path.read_text(encoding="utf-8")
        new = filled(page, name)
        changed += new != page
        path.write_text(new, encoding="utf-8")
    TASK_SCHEMA.write_text(json.dumps(SCHEMA, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    sys.stdout.write(f"{len(paths)} pages, {changed} changed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
