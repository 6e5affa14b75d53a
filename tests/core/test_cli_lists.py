"""What the lists show: offers with their plugin, in a table for people and as JSON for programs."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from harness import Setting, hookimpl
from harness.cli import CORE, cli, main
from harness.plugins import Host
from harness.testing.fakes import FakePlugin, fake_judge, fake_painter, fake_provider, fake_task, source_of

SETTINGS = (
    Setting(name="url", type=str, default="http://x", identity=True, help="where it is"),
    Setting(name="mode", type=str, default="fast", identity=False, help="how", choices=("fast", "slow")),
    Setting(name="file", type=Path, default=None, identity=False, help="a FILE"),
)
Said = Callable[..., tuple[int, str, str]]


class Broken(FakePlugin):
    """Offers a task whose name is taken, and adds a command that cannot be added."""

    @hookimpl
    def harness_tasks(self) -> list[object]:  # type: ignore[override]
        return [fake_task(name="fake")]

    @hookimpl
    def harness_commands(self, cli: click.Group) -> None:
        raise RuntimeError("no \x1b[31mcommand")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Exit code, stdout and stderr of `harness ARGUMENTS` with some plugins."""

    def run(*arguments: str, plugins: tuple[object, ...] = ()) -> tuple[int, str, str]:
        good = FakePlugin(fake_provider(settings=SETTINGS), fake_task(), fake_judge(), fake_task(name="odd"))
        sources = [source_of(each, f"plugin{number}") for number, each in enumerate(plugins or (good,))]
        monkeypatch.setattr(Host, "load", lambda *_args, tell=None, **_kw: Host(sources, tell=tell))
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert isinstance(caught.value.code, int)
        return caught.value.code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("command", ["tasks", "models", "judges", "plugins"])
def test_a_list_command_alone_lists(said: Said, command: str) -> None:
    assert said(command) == said(command, "list")
    assert said(command)[0] == 0


def test_a_list_names_the_plugin_of_each_offer(said: Said) -> None:
    lines = said("tasks")[1].splitlines()
    assert lines[0].split() == ["NAME", "VERSION", "SPLITS", "PLUGIN", "DESCRIPTION"]
    assert lines[1].split() == ["fake", "1", "all", "plugin0", "a", "fake"]


@pytest.mark.parametrize("arguments", [("list", "--json"), ("--json",), ("--json", "list"), ("list", "fake", "--json")])
@pytest.mark.parametrize("command", ["tasks", "models", "judges"])
def test_json_has_name_settings_and_plugin(said: Said, command: str, arguments: tuple[str, ...]) -> None:
    code, out, err = said(command, *arguments)
    assert (code, err) == (0, "")
    first = json.loads(out)[0]
    assert first["name"] == "fake"
    assert first["plugin"] == {"name": "plugin0", "distribution": "plugin0", "version": "1.0"}


def test_painters_are_listed_as_models_are(said: Said) -> None:
    plugin = FakePlugin(fake_painter(settings=SETTINGS))
    assert said("painters", plugins=(plugin,)) == said("painters", "list", plugins=(plugin,))
    (painter,) = json.loads(said("painters", "--json", plugins=(plugin,))[1])
    assert (painter["name"], painter["painter"], painter["local"]) == ("fake", "fake/NAME", False)
    assert [setting["name"] for setting in painter["settings"]] == ["url", "mode", "file"]
    code, out, _ = said("painters", "show", "fake", plugins=(plugin,))
    assert code == 0
    assert "where it is" in out
    code, _, err = said("painters", "show", "fke", plugins=(plugin,))
    assert code == 2
    assert "did you mean 'fake'?" in err


def test_json_of_a_provider_holds_every_setting(said: Said) -> None:
    (provider,) = json.loads(said("models", "--json")[1])
    assert [setting["name"] for setting in provider["settings"]] == ["url", "mode", "file", "tuned_from", "trained_on"]
    assert provider["settings"][1] == {
        "name": "mode", "type": "str", "default": "fast", "identity": False, "choices": ["fast", "slow"], "least": None,
            "help": "how",
    }  # fmt: skip


def test_json_of_a_task_holds_its_splits(said: Said) -> None:
    task = json.loads(said("tasks", "list", "fake", "--json")[1])[0]
    assert task["splits"]["all"]["judges"] == ["fake"]
    assert task["splits"]["all"]["main"] == "ASR"


def test_details_show_settings_and_how_to_set_them(said: Said) -> None:
    code, out, _ = said("models", "list", "fake")
    assert code == 0
    assert "--model fake/NAME" in out
    assert "settings: -M KEY=VALUE" in out
    assert "fast|slow  fast      transport  how" in out


def test_details_of_a_task_and_of_a_judge(said: Said) -> None:
    assert "all    ?        0       fake    ASR          yes" in said("tasks", "list", "fake")[1]
    assert "needs no model" in said("judges", "list", "fake")[1]


@pytest.mark.parametrize("command", ["tasks", "models", "judges"])
def test_an_unknown_name_exits_2_with_the_nearest(said: Said, command: str) -> None:
    code, out, err = said(command, "list", "fke")
    assert (code, out) == (2, "")
    assert "did you mean 'fake'?" in err


def test_a_task_whose_splits_cannot_be_told_hides_no_other(said: Said) -> None:
    def splits(*_: object) -> object:
        raise ValueError("no\x1b[2J data")

    plugin = FakePlugin(fake_task(), replace(fake_task(name="odd"), splits=splits))  # type: ignore[arg-type]
    code, out, _ = said("tasks", plugins=(plugin,))
    assert code == 0
    assert "unknown: ValueError: no[2J data" in out
    assert "all" in out
    assert said("tasks", "list", "odd", plugins=(plugin,))[0] == 0
    assert said("tasks", "--json", plugins=(plugin,))[0] == 0


def test_a_list_of_plugins_shows_state_and_offers(said: Said) -> None:
    code, out, _ = said("plugins", "list", "--json")
    assert code == 0
    assert json.loads(out) == [
        {
            "name": "plugin0",
            "distribution": "plugin0",
            "version": "1.0",
            "state": "ok",
            "offers": {"models": ["fake"], "tasks": ["fake", "odd"], "judges": ["fake"]},
        }
    ]


def test_a_disputed_task_is_in_no_list_and_both_plugins_are_faulty(said: Said) -> None:
    both = (FakePlugin(fake_task()), Broken())
    code, out, err = said("tasks", plugins=both)
    assert (code, out.splitlines()[1:]) == (0, [])
    assert "2 plugins offer the task 'fake'" in err
    rows = json.loads(said("plugins", "list", "--json", plugins=both)[1])
    assert [row["state"] for row in rows] == ["faulty", "faulty"]


def test_doctor_tells_the_whole_story_on_stdout_and_exits_2(said: Said) -> None:
    code, out, err = said("plugins", "doctor", plugins=(FakePlugin(fake_task()), Broken()))
    assert (code, err) == (2, "")
    assert "plugin1 (plugin1 1.0), at hook: RuntimeError: no [31mcommand" in out
    assert "Traceback" in out
    assert "HARNESS_PLUGINS_BLOCK=plugin1 keeps plugin0's" in out
    assert "\x1b" not in out


def test_doctor_of_plugins_that_are_well_exits_0(said: Said) -> None:
    assert said("plugins", "doctor") == (0, "1 plugins, nothing wrong\n", "")


def test_both_doctors_show_a_slow_plugin_with_its_time(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Host, "slow", lambda host: {host.plugins[0]: {"import": 3.21, "offer": 0.51}})
    code, out, _ = said("plugins", "doctor")
    assert (code, out.splitlines()[1]) == (0, "plugin0 (plugin0 1.0) is slow: 3.2 s at import, 0.5 s at offer")
    assert "slow: plugin0 3.7 s: harness plugins doctor" in said("doctor")[1]


def test_doctor_shows_the_machine_and_only_the_names_of_keys(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-for-your-eyes")
    before = "torch" in sys.modules
    code, out, _ = said("doctor")
    assert code == 0
    assert "not-for-your-eyes" not in out
    assert ["OPENAI_API_KEY", "set"] in [line.split()[:2] for line in out.splitlines()]
    for word in ("python", "torch", "data folder", "accelerator", "plugins"):
        assert word in out
    assert ("torch" in sys.modules) is before


def test_doctor_names_what_lies_in_the_data_folder(said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mis").mkdir()
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    assert f"{tmp_path} (HARNESS_DATA): mis" in said("doctor")[1]


@pytest.mark.parametrize("name", sorted(CORE))
def test_help_says_of_each_command_what_the_command_says_itself(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help is not None
    assert command.help.split("\n\n")[0].replace("\n", " ") == CORE[name]


def test_control_characters_of_plugins_never_reach_the_terminal(said: Said) -> None:
    plugin = FakePlugin(replace(fake_task(), description="wipe\x1b[2J\x07 it\u202e"))
    for arguments in (("tasks",), ("tasks", "list", "fake")):
        out = said(*arguments, plugins=(plugin,))[1]
        assert "wipe[2J it" in out
        assert "\x1b" not in out


class Judging(FakePlugin):
    """Adds a subcommand to `harness judges`; it says something, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(fake_judge())
        self.error = error

    @hookimpl
    def harness_commands(self, cli: click.Group) -> None:
        @click.group("judges")
        def group() -> None:
            """Judge."""

        @group.command("weigh")
        def weigh() -> int:
            """Weigh the judges."""
            if self.error is not None:
                raise self.error
            click.echo("weighed")
            return 3

        cli.add_command(group)


def test_a_plugin_adds_a_subcommand_to_a_list_command(said: Said) -> None:
    code, out, _ = said("judges", "weigh", plugins=(Judging(),))
    assert (code, out) == (3, "weighed\n")
    assert "weigh  Weigh the judges." in said("judges", "--help", plugins=(Judging(),))[1]
    assert said("judges", plugins=(Judging(),))[0] == 0
    assert "judges weigh" in said("plugins", "list", plugins=(Judging(),))[1]


def test_an_error_in_a_plugins_subcommand_names_the_plugin(said: Said) -> None:
    code, _, err = said("judges", "weigh", plugins=(Judging(RuntimeError("no scale")),))
    assert code == 2
    assert "plugin plugin0" in err
    assert "command 'judges weigh': RuntimeError: no scale" in err


def test_a_misspelled_subcommand_is_corrected_to_that_of_a_plugin(said: Said) -> None:
    code, _, err = said("judges", "wiegh", plugins=(Judging(),))
    assert code == 2
    assert "weigh" in err


def test_a_judge_and_a_task_show_their_labels_and_a_judge_what_they_mean() -> None:
    shown = CliRunner().invoke(cli, ["judges", "show", "llamaguard"]).stdout
    assert "unsafe  Llama Guard finds that the answer breaks one of its categories." in shown
    (facts,) = json.loads(CliRunner().invoke(cli, ["judges", "show", "keyword", "--json"]).stdout)
    assert facts["labels"]["refusal"] == "The answer holds words of a refusal."
    assert "  labels: unsafe, safe" in CliRunner().invoke(cli, ["tasks", "show", "figstep"]).stdout
    assert "  labels of mini-benign: answered" in CliRunner().invoke(cli, ["tasks", "show", "mis"]).stdout
    (facts,) = json.loads(CliRunner().invoke(cli, ["tasks", "show", "figstep", "--json"]).stdout)
    assert facts["splits"]["mini"]["labels"] == ["unsafe", "safe"]
