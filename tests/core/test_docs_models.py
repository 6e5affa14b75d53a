"""Every command of the page on models is one that the command line would take."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from harness import plugins
from harness.cli import cli, run
from harness.cli.models_file import checked
from harness.cli.run import _options, _specs
from harness.evaluation.judges import check_judges
from harness.evaluation.plan import make_plan
from harness.local.profiles import PROFILES
from harness.models import resolve
from harness.plugins import Host

PAGE = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
CODE = re.compile(r"`(harness run [^`]+)`|^ {4}(harness run .+)$", re.MULTILINE)
COMMANDS = sorted({first or second for first, second in CODE.findall(PAGE)})
ROWS = re.findall(r"^\| ([^|]+) \| `harness run --model ([^ `]+)", PAGE, re.MULTILINE)
FILES = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)]
HOST = Host.load(tell=lambda _: None)

#: a name in the leaderboard of MIS -> what the page calls it
LEADERBOARD = (
    "Mantis-SIGLIP", "MiniCPM-V 2.6", "Phi-3.5-Vision", "Idefics3-8B", "DeepSeek-VL2", "LLaVA-NeXT-Interleave",
    "LLaVA-OneVision-7B", "LLaVA-OneVision-72B-Chat", "Qwen2-VL-7B", "Qwen2-VL-72B", "InternVL2.5-8B",
    "InternVL2.5-78B", "GPT-4o", "Gemini 1.5 Pro", "Qwen2-VL-7B + MIRage", "InternVL2.5-8B + MIRage",
)  # fmt: skip


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The working directory of a reader: the file of the page, and nothing of this machine's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in ("HARNESS_JUDGE", "HARNESS_DATA"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "leaderboard.yaml").write_text(yaml.safe_dump(FILES[0]), encoding="utf-8")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_would_be_accepted(command: str) -> None:
    words = shlex.split(command)[2:]
    with plugins.use(HOST), run.command.make_context("run", words, **cli.context_settings) as ctx:
        specs = _specs(ctx.params)
        for spec in specs:
            resolve(spec)
            options = _options(spec, ctx.params, several=len(specs) > 1)
            options.check()
            plans = make_plan(options).splits
            assert plans
            check_judges((choice for each in plans for choice in each.judges), options)


def test_every_entry_of_the_pages_file_of_models_would_be_accepted() -> None:
    (entries,) = FILES
    with plugins.use(HOST):
        for spec in checked(entries, "docs/models.md"):
            resolve(spec)


def test_each_model_of_the_leaderboard_has_a_command() -> None:
    assert [name for name, _ in ROWS][: len(LEADERBOARD)] == list(LEADERBOARD)


def test_each_model_with_a_profile_is_of_a_family_that_has_one() -> None:
    named = re.findall(r"^\| ([^|]+) \| `[^`]*-M profile=mis-paper[^`]*`", PAGE, re.MULTILINE)
    assert named
    families = tuple(profile.family for profile in PROFILES["mis-paper"])
    assert [name for name in named if not name.startswith(families)] == []


def test_every_provider_of_a_real_model_is_on_the_page() -> None:
    shown = {ref.partition("/")[0] for _, ref in ROWS} | {"deepseek"}
    assert "--judge deepseek/" in PAGE
    assert {provider.scheme for provider, _ in HOST.offers("models")} - {"mini"} == shown


def test_the_page_shows_the_smoke_test() -> None:
    assert any("--limit 20 --dry-run" in command for command in COMMANDS)
    assert len(COMMANDS) == PAGE.count("harness run --")
