"""`harness init`: writes a commented `harness.yaml` that holds every key."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import click

from harness.errors import HarnessError
from harness.files import atomic_write

from .flags import list_config_options, tasks_option
from .options import show_examples
from .stdout import show, tell

_HEAD: Final = """\
# Defaults of `harness run` and `harness judge` in this folder. A flag on the command line overrides them.
# `data` and the keys about plugins hold for every other command, too.
# Take the # away from a line to set it. A key is the flag's name with _ in place of -.
# `harness run --help` and `harness judge --help` say more of each key, and `harness run --dry-run` checks the file.
"""
#: section -> key -> an example of its value, as YAML
EXAMPLES: Final[Mapping[str, Mapping[str, str]]] = {
    "What is asked": {
        "model": "[openai/NAME]",
        "models": "[{model: openai/NAME, settings: {timeout: 60}}]",
        "tasks": "[mis, mssbench]",
        "limit": "100",
        "epochs": "1",
        "system": '"Answer in one sentence."',
        "temperature": "0",
        "max_tokens": "1024",
        "seed": "0",
        "strategy": "self-reminder",
        "attack": "blank",
    },
    "Who judges": {
        "judge": "[openai/JUDGE]",
        "map": "{keyword: {refusal: safe, compliance: unsafe}}",
        "judge_repeat": "3",
        "judge_vote": "majority",
        "primary": "true",
        "sample": "100",
        "combine": "majority",
        "members": "[mis, keyword]",
    },
    "Settings": {
        "model_settings": "{base_url: http://127.0.0.1:8000/v1}",
        "judge_settings": "{temperature: 0}",
        "task_settings": "{mis.prompts: upstream}",
        "strategy_settings": "{}",
        "attack_settings": "{}",
    },
    "Where": {
        "data": "/data/vlm",
        "output": "runs/mine",
        "upload": "s3://BUCKET/PATH",
    },
    "How fast, and for how much": {
        "concurrency": "16",
        "rpm": "500",
        "tpm": "200000",
        "max_usd": "20",
        "batch": "true",
        "wait": "true",
    },
    "Local models": {
        "devices": '"0,1"',
        "launch": "local",
        "host": "[node1:0,1]",
        "ray_address": "auto",
        "phases": "auto",
        "shard": "0/4",
    },
    "The run": {
        "min_coverage": "0.98",
        "retry": "[output_blocked]",
        "no_probe": "true",
        "dry_run": "true",
        "fresh": "true",
        "json": "true",
    },
    "Plugins": {
        "plugin": "[mine.py]",
        "strict_plugins": "true",
        "plugins_allow": "[mis, openai]",
        "plugins_block": "[vlmeval]",
    },
}
#: key without a flag -> what it is, and an example
ROWS: Final[Mapping[str, tuple[str, str]]] = {
    "suites": ("Suites of your own: docs/tasks/suites.md.", "{quick: [mis:hard, xstest:safe]}"),
    "schemes": (
        "Servers of your own under a short name: docs/commands/run.md.",
        "{mylab: {provider: openai, settings: {base_url: http://127.0.0.1:8000/v1, api_key_env: MYLAB_KEY}}}",
    ),
    "prices": (
        "Dollars for a million tokens, where the table lacks a model: docs/prices.md.",
        '{openai/NAME: {input: 1.0, output: 4.0, source: "https://example.org/prices", date: 2026-12-01}}',
    ),
    "gate": ("Rules of `harness gate`: docs/gates.md.", '{max: {"ASR:mis:test": 5}}'),
}


@click.command(
    name="init",
    epilog=show_examples("harness init", "harness init --model openai/NAME --tasks mis,mssbench --judge openai/JUDGE"),
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), default="harness.yaml")
@click.option("--model", default="", metavar="SCHEME/NAME", help="The evaluated model.")
@tasks_option("Tasks, splits or suites.", stored=False)
@click.option("--judge", default="", metavar="[RUBRIC=]SCHEME/NAME", help="The model that judges, or a rule.")
@click.option("--data", default="", metavar="DIR", help="Data folder.")
def command(file: Path, model: str, tasks: tuple[str, ...], judge: str, data: str) -> None:
    """Write a commented harness.yaml that holds every key.

    FILE is ./harness.yaml unless another is named. What a flag gives is set in it; all other keys are comments.
    """
    given = {"model": [model] if model else [], "tasks": list(tasks), "judge": [judge] if judge else [], "data": data}
    text = build_config({key: value for key, value in given.items() if value})
    if file.exists():
        raise HarnessError("the file already exists", where=str(file), remedy="harness init OTHER.yaml")
    atomic_write(file, text)
    show(f"wrote {file}")
    tell("edit it, and check it: harness run --dry-run" + ("" if file.name == "harness.yaml" else f" --config {file}"))


def build_config(given: Mapping[str, object]) -> str:
    """A config with every key as a comment, and those that are given as values."""
    helps = {key: option.help or "" for key, option in list_config_options().items()}
    return "\n".join([_HEAD, *_write_sections(given, helps)]) + "\n"


def _write_sections(given: Mapping[str, object], helps: Mapping[str, str]) -> Iterator[str]:
    for section, keys in EXAMPLES.items():
        yield f"# ---- {section}"
        if section == "Settings":
            yield "# They belong to the model, judges, strategy and attack above. A flag that names another drops them."
        for key, example in keys.items():
            yield from textwrap.wrap(helps[key], 110, initial_indent="# ", subsequent_indent="# ")
            yield f"{key}: {json.dumps(given[key], ensure_ascii=False)}" if key in given else f"#{key}: {example}"
        yield ""
    yield "# ---- Rows of your own"
    for key, (text, example) in ROWS.items():
        yield f"# {text}"
        yield f"#{key}: {example}"
