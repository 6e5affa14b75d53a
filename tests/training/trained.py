"""What `harness train` is asked in tests: small data of both ingredients, and the command on the mini model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from harness.cli import cli
from harness.cli.ending import exit_code
from tests.plugins.tiny.folders import Folders, make_once
from tests.training.data_sets import images, mis, pair, said
from tests.training.tiny_training import load_trainer

Train = Callable[..., tuple[int, str, str]]  #: the fixture `train`
PAIRS, GENERAL = 9, 3
#: three steps of four records
QUICK = ("-S", f"general_count={GENERAL}", "--set", "batch=4", "--set", "epochs=1")


def data(root: Path) -> Path:
    """MIS-train in `root`, and general samples in `root/general`."""
    mis(root, [pair(number) for number in range(1, PAIRS + 1)])
    general = root / "general"
    general.mkdir()
    records = [
        {
            "id": f"g{number}",
            "image": f"{number}.png",
            "conversations": said("<image>\nWhat is it?", f"Thing {number}."),
        }
        for number in range(GENERAL)
    ]
    (general / "general.json").write_text(json.dumps(records), encoding="utf-8")
    images(general, [f"{number}.png" for number in range(GENERAL)])
    return root


def words(root: Path, out: Path, *more: str, method: str = "mirage", model: str = "mini/base") -> list[str]:
    """The command without `harness`."""
    given = ("--model", model, "--data", str(root), "--data", f"general={root / 'general'}", "--out", str(out))
    return ["train", method, *given, *more]


def called(arguments: list[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command, as a shell would see them."""
    if arguments[0] == "train":
        load_trainer()
    code: list[int] = []

    @click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
    @click.argument("rest", nargs=-1, type=click.UNPROCESSED)
    def whole(rest: tuple[str, ...]) -> None:
        code.append(exit_code(lambda: cli.main(list(rest), prog_name="harness", standalone_mode=False), rest))

    done: Result = CliRunner().invoke(whole, arguments)
    assert done.exception is None, done.exception
    return code[0], done.stdout, done.stderr


def tune(root: Path, out: Path, *more: str, model: str = "mini/base") -> Path:
    """Train by the command -> the model's folder."""
    code, _, said = called(words(root, out, *QUICK, *more, model=model))
    assert code == 0, said
    return out


def tune_once(factory: pytest.TempPathFactory, name: str, root: Path, *more: str, model: str = "mini/base") -> Path:
    """A model that no test changes, trained once for all processes of the session -> its folder, alone in another."""
    return make_once(factory, name, lambda folder: tune(root, folder / "tuned", *more, model=model)) / "tuned"


def record(folder: Path) -> Any:
    """Its training.json."""
    return json.loads((folder / "training.json").read_text(encoding="utf-8"))


def large(folders: Folders, folder: Path) -> str:
    """A model folder whose configuration is as large as a 7B's, without weights."""
    shutil.copytree(folders["qwen2_vl"], folder, ignore=shutil.ignore_patterns("*.safetensors"))
    config: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = config["text_config"]
    text |= {"hidden_size": 3584, "intermediate_size": 18944, "num_hidden_layers": 28}
    text |= {"num_attention_heads": 28, "num_key_value_heads": 4, "layer_types": ["full_attention"] * 28}
    config["vision_config"]["hidden_size"] = 3584
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return str(folder)
