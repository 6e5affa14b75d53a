"""What reaches `run` and `judge` from flags, environment and config, and what is refused."""

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.shell_completion import get_completion_class

from harness import Suite
from harness.cli import cli, judge, main, run
from harness.cli.completion import VARIABLE, register
from harness.cli.config import config_keys
from harness.cli.flags import list_config_keys
from harness.cli.options import load_host
from harness.cli.run import build_specs
from harness.errors import HarnessError, UnknownName
from harness.runs.config import load_config, load_yaml


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, no config of the user's, no environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("HARNESS_JUDGE", "HARNESS_DATA"):
        monkeypatch.delenv(name, raising=False)


def config(text: str) -> None:
    Path("harness.yaml").write_text(text, encoding="utf-8")


def parsed(*words: str) -> dict[str, Any]:
    """The values of `harness run WORDS`."""
    with run.command.make_context("run", list(words), **cli.context_settings) as ctx:
        return dict(ctx.params)


def parsed_judge(*words: str) -> dict[str, Any]:
    with judge.command.make_context("judge", ["folder", *words], **cli.context_settings) as ctx:
        return dict(ctx.params)


def test_names_are_split_at_commas_and_blanks_are_dropped() -> None:
    assert parsed("--tasks", "mis:easy, mssbench,")["tasks"] == ("mis:easy", "mssbench")
    assert parsed("--retry", "empty,judge_refused")["retry"] == ("empty", "judge_refused")


def test_a_list_of_the_config_is_a_list_whatever_the_flag() -> None:
    config("tasks: [mis, 'mssbench:chat']\nretry: [empty]\njudge: [openai/A, mis=openai/B]\nmodel: [mini/base]")
    found = parsed()
    assert found["tasks"] == ("mis", "mssbench:chat")
    assert found["retry"] == ("empty",)
    assert found["judges"] == ("openai/A", "mis=openai/B")
    assert found["models"] == ("mini/base",)


def test_one_value_of_the_config_does_for_a_flag_that_may_be_repeated() -> None:
    config("judge: openai/A\nmodel: mini/base\ntasks: mis,mssbench")
    found = parsed()
    assert (found["judges"], found["models"], found["tasks"]) == (("openai/A",), ("mini/base",), ("mis", "mssbench"))


def test_numbers_and_switches_of_the_config_keep_their_types() -> None:
    config("limit: 5\ntemperature: 0\nno_probe: true\njson: yes\nmin_coverage: 1\nseed:\n")
    found = parsed()
    assert (found["limit"], found["temperature"], found["no_probe"], found["as_json"]) == (5, 0.0, True, True)
    assert isinstance(found["temperature"], float)
    assert (found["min_coverage"], found["seed"]) == (1.0, None)


def test_flags_stand_over_the_environment_and_both_over_the_config(monkeypatch: pytest.MonkeyPatch) -> None:
    config("judge: openai/config\ndata: /config\nlimit: 5")
    assert parsed()["judges"] == ("openai/config",)
    monkeypatch.setenv("HARNESS_JUDGE", "openai/environment")
    monkeypatch.setenv("HARNESS_DATA", "/environment")
    found = parsed()
    assert (found["judges"], found["data"]) == (("openai/environment",), Path("/environment"))
    found = parsed("--judge", "openai/flag", "--data", "/flag", "--limit", "1")
    assert (found["judges"], found["data"], found["limit"]) == (("openai/flag",), Path("/flag"), 1)


@pytest.mark.parametrize(
    ("value", "judges"),
    [
        ("mis=openai/NAME", ("mis=openai/NAME",)),
        ("openai/A, mis=openai/B", ("openai/A", "mis=openai/B")),
        ("hf/my models/a", ("hf/my models/a",)),
        ("", ()),
    ],
)
def test_the_environment_names_one_judge_or_several(
    value: str, judges: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_JUDGE", value)
    assert parsed()["judges"] == judges


def test_settings_are_key_and_value_and_a_value_may_hold_anything() -> None:
    found = parsed("-M", 'extra={"a": 1}', "-M", "base_url=http://x/?a=b", "-T", "mis.prompt=", "-J", "mis.seed=1")
    assert found["model_settings"] == {"extra": '{"a": 1}', "base_url": "http://x/?a=b"}
    assert (found["task_settings"], found["judge_settings"]) == ({"mis.prompt": ""}, {"mis.seed": "1"})


@pytest.mark.parametrize("text", ["alone", "=value", ""])
def test_a_setting_that_is_no_pair_is_refused(text: str) -> None:
    with pytest.raises(HarnessError, match="not KEY=VALUE"):
        parsed("-T", text)


def test_settings_of_the_config_are_mappings_under_the_names_of_what_they_set() -> None:
    config(
        "model_settings: {timeout: 5.5, extra: {a: 1}, max_images: }\n"
        "task_settings:\n  mis.prompts: own\n  mssbench: {setting: qc, queries: first}\n"
        "judge_settings: {temperature: 0, mis: {max_tokens: 9}}\n"
        "strategy_settings: {lines: 3}\n"
    )
    found = parsed()
    assert found["model_settings"] == {"timeout": 5.5, "extra": '{"a": 1}', "max_images": None}
    assert found["task_settings"] == {"mis.prompts": "own", "mssbench.setting": "qc", "mssbench.queries": "first"}
    assert found["judge_settings"] == {"temperature": 0, "mis.max_tokens": 9}
    assert found["strategy_settings"] == {"lines": 3}


def test_a_setting_on_the_command_line_replaces_that_key_of_the_config_and_no_other() -> None:
    config("task_settings: {mis: {data: /here, prompts: own}}")
    assert parsed("-T", "mis.prompts=upstream")["task_settings"] == {"mis.data": "/here", "mis.prompts": "upstream"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("limit: [1]", "limit takes one value"),
        ("limit: {a: 1}", "limit must not be a mapping"),
        ("judge_settings: [temperature=0]", "judge_settings must be a mapping"),
    ],
)
def test_a_value_of_the_wrong_shape_is_refused(text: str, said: str) -> None:
    config(text)
    with pytest.raises(HarnessError, match=said):
        parsed()


def test_a_value_of_the_config_that_the_flag_would_not_take_is_refused() -> None:
    config("limit: 0")
    with pytest.raises(click.BadParameter, match="range"):
        parsed()


def test_one_config_serves_run_and_judge() -> None:
    config("limit: 5\nmodel: mini/base\ntasks: mis\nprimary: true\nconcurrency: 3\nsuites: {core: [mis]}")
    assert parsed()["limit"] == 5
    found = parsed_judge()
    assert (found["concurrency"], found["primary"]) == (3, True)
    assert found["tasks"] == (), "what is run by default is no filter of what is judged"


def test_a_key_of_no_command_is_answered_with_the_nearest() -> None:
    config("max_token: 5")
    with pytest.raises(UnknownName, match="unknown key 'max_token'") as caught:
        parsed()
    assert (caught.value.where, caught.value.remedy) == ("harness.yaml", "did you mean 'max_tokens'?")


def test_every_flag_has_a_key_of_its_own() -> None:
    for command in (run.command, judge.command):
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        keys = [key for option in options for key in config_keys(option)]
        assert len(keys) == len(set(keys))
        assert set(keys) - {"config"} <= list_config_keys()
        assert all(key.isidentifier() for key in keys)


def test_models_come_from_flags_and_from_a_file_whose_own_settings_stand_first() -> None:
    Path("models.yaml").write_text(
        "- model: openai/A\n  settings: {timeout: 9}\n- {model: hf/B, strategy: cautious, strategy_settings: {n: 2}}\n"
    )
    given = parsed("--model", "mini/base", "--models", "models.yaml", "-M", "timeout=1", "--strategy", "plain")
    assert [(spec.ref, dict(spec.settings), spec.strategy) for spec in build_specs(given)] == [
        ("mini/base", {"timeout": "1"}, "plain"),
        ("openai/A", {"timeout": 9}, "plain"),
        ("hf/B", {"timeout": "1"}, "cautious"),
    ]


def test_models_may_stand_in_the_config_itself() -> None:
    config("models:\n- model: openai/A\n- model: openai/B\n  settings: {timeout: 2}\n")
    assert [(spec.ref, dict(spec.settings)) for spec in build_specs(parsed())] == [
        ("openai/A", {}),
        ("openai/B", {"timeout": 2}),
    ]


def test_no_model_at_all_is_said() -> None:
    with pytest.raises(HarnessError, match="no model to run"):
        build_specs(parsed())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model: openai/A", "the file: Input should be a valid list"),
        ("- settings: {}", "0.model: Field required"),
        ("- {model: a/b, setings: {}}", "0.setings: Extra inputs"),
        ("- {model: a/b, settings: [1]}", "0.settings: Input should be a valid dictionary"),
        ("a: b: c", "not YAML"),
    ],
)
def test_a_models_file_that_is_wrong_is_answered_with_entry_and_field(text: str, said: str) -> None:
    Path("models.yaml").write_text(text)
    with pytest.raises(HarnessError, match=said) as caught:
        parsed("--models", "models.yaml")
    assert caught.value.where == "models.yaml"


def test_a_plugin_file_of_the_config_is_loaded() -> None:
    Path("mine.py").write_text("import harness\n")
    config(f"plugin: [{json.dumps(str(Path('mine.py').resolve()))}]")
    with run.command.make_context("run", [], **cli.context_settings) as ctx:
        assert "mine" in {source.entry for source in load_host(ctx, quiet=True).plugins}


# Settings of the config belong to what the config names.


def notes(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]


@pytest.mark.parametrize(
    "words", [("--strategy", "cot", "-S", "place=user"), ("-S", "place=user", "--strategy", "cot")]
)
def test_settings_of_the_configs_strategy_are_dropped_with_a_note_where_a_flag_names_another(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    config("strategy: smooth\nstrategy_settings: {copies: 3}\n")
    found = parsed(*words)
    assert (found["strategy"], found["strategy_settings"]) == ("cot", {"place": "user"})
    assert notes(capsys) == ["note: strategy_settings of the config belong to smooth, so they are not used for cot"]


def test_settings_of_the_config_stay_where_a_flag_names_the_same_or_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    config("strategy: smooth\nstrategy_settings: {copies: 3}\nattack_settings: {seed: 1}\n")
    assert parsed()["strategy_settings"] == {"copies": 3}
    assert parsed("--strategy", "smooth", "-S", "share=2")["strategy_settings"] == {"copies": 3, "share": "2"}
    assert parsed("--attack", "order")["attack_settings"] == {"seed": 1}, "the config names no attack"
    assert notes(capsys) == []


@pytest.mark.parametrize("other", ["order", ""])
def test_settings_of_the_configs_attack_are_dropped_for_another_attack_and_for_none(
    other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config("attack: blank\nattack_settings: {color: gray}\n")
    assert parsed("--attack", other)["attack_settings"] == {}
    (note,) = notes(capsys)
    assert note.endswith(f"belong to blank, so they are not used for {other or 'none'}")


def test_settings_of_the_configs_judge_are_not_those_of_another_judge(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config("judge: [openai/A, mis=openai/B]\njudge_settings: {base_url: 'http://x/v1'}\n")
    for name in ("openai/A", "mis=openai/A", "openai/B"):
        assert parsed("--judge", name)["judge_settings"] == {"base_url": "http://x/v1"}
    assert notes(capsys) == []
    assert parsed_judge("--judge", "openai/A", "--judge", "openai/C", "-J", "seed=1")["judge_settings"] == {"seed": "1"}
    assert notes(capsys)[0].endswith("belong to openai/A, openai/B, so they are not used for openai/C")
    monkeypatch.setenv("HARNESS_JUDGE", "gemini/D")
    assert parsed()["judge_settings"] == {}


def test_settings_of_the_configs_model_go_to_the_models_that_it_names_and_to_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    config("model: openai/A\nmodel_settings: {base_url: 'http://x/v1', extra: {a: 1}}\n")
    Path("models.yaml").write_text("- model: openai/B\n")

    def settings(*words: str) -> dict[str, dict[str, Any]]:
        with run.command.make_context("run", list(words), **cli.context_settings) as ctx:
            return {spec.ref: dict(spec.settings) for spec in build_specs(ctx.params, ctx.obj.get("own_settings"))}

    own = {"base_url": "http://x/v1", "extra": '{"a": 1}'}
    assert settings() == {"openai/A": own}
    assert settings("--model", "openai/A", "-M", "timeout=1") == {"openai/A": {**own, "timeout": "1"}}
    assert notes(capsys) == []
    assert settings("--model", "openai/C", "-M", "timeout=1") == {"openai/C": {"timeout": "1"}}
    assert settings("--models", "models.yaml") == {"openai/A": own, "openai/B": {}}
    assert [note.rpartition(" ")[2] for note in notes(capsys)] == ["openai/C", "openai/B"]


def test_settings_of_the_users_config_are_not_those_of_what_the_local_one_names(home: Path) -> None:
    put(home, "judge: openai/A\njudge_settings: {seed: 1}\nstrategy: cot\nstrategy_settings: {place: user}\n")
    config("judge: openai/B\njudge_settings: {top_p: 1}\nstrategy: cot\n")
    told: list[str] = []
    found = load_config(None, list_config_keys, tell=told.append)
    assert (found["judge_settings"], found["strategy_settings"]) == ({"top_p": 1}, {"place": "user"})
    where = home / "harness.yaml"
    assert told == [f"note: judge_settings of {where} belong to openai/A, so they are not used for openai/B"]


def test_settings_of_the_strategy_are_not_those_of_a_models_own_strategy() -> None:
    Path("models.yaml").write_text("[{model: a/A, strategy: cot}, {model: a/B}, {model: a/C, strategy: smooth}]")
    specs = build_specs(parsed("--models", "models.yaml", "--strategy", "smooth", "-S", "copies=3"))
    assert [dict(spec.strategy_settings) for spec in specs] == [{}, {"copies": "3"}, {"copies": "3"}]


# Plugins and the data folder of the config reach each command that takes them.

MINE = """
import click
from harness import hookimpl
from harness.testing.fakes import fake_judge, fake_provider, fake_task

@hookimpl
def harness_tasks():
    return [fake_task(name="mine-task")]

@hookimpl
def harness_judges():
    return [fake_judge(name="mine-judge")]

@hookimpl
def harness_models():
    return [fake_provider(scheme="mineown")]

@hookimpl
def harness_commands(cli):
    cli.command("minecommand")(lambda: click.echo("mine"))
"""


def ended(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `harness WORDS`."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert isinstance(caught.value.code, int)
    out, err = capsys.readouterr()
    return caught.value.code, out, err


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("tasks", "show", "mine-task"), "mine-task"),
        (("tasks", "list"), "mine-task"),
        (("models",), "mineown"),
        (("judges", "show", "mine-judge"), "mine-judge"),
        (("data", "list"), "mine-task"),
        (("plugins", "list"), "mine "),
        (("minecommand",), "mine"),
        (("--help",), "minecommand"),
    ],
)
def test_a_plugin_of_the_config_is_there_for_every_command(
    words: tuple[str, ...], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine.py").write_text(MINE)
    config("plugin: mine.py")
    code, out, err = ended(capsys, *words)
    assert (code, shown in out) == (0, True), err
    config("limit: 1")
    code, out, err = ended(capsys, *words)
    assert code == 2 or shown not in out


def test_config_says_which_plugins_load_until_a_flag_or_the_environment_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config("plugins_allow: [mini, xstest]\n")
    assert "mssbench" not in ended(capsys, "tasks", "list")[1]
    assert "mssbench" in ended(capsys, "tasks", "list", "--plugins-allow", "mssbench")[1]
    monkeypatch.setenv("HARNESS_PLUGINS_ALLOW", "mssbench")
    assert "mssbench" in ended(capsys, "tasks", "list")[1]
    monkeypatch.delenv("HARNESS_PLUGINS_ALLOW")
    config("plugins_block: gate\n")
    assert ended(capsys, "gate", "--help")[0] == 2, "a command of a plugin that is blocked is not there"


def test_a_file_that_config_names_takes_the_place_of_the_local_plugins(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text(MINE)
    Path("bad.py").write_text("raise RuntimeError('loaded')\n")
    config("plugin: bad.py\nstrict_plugins: true\n")
    Path("other.yaml").write_text("plugin: mine.py\n")
    code, out, err = ended(capsys, "tasks", "list", "--config", "other.yaml")
    assert (code, "mine-task" in out) == (0, True), err
    code, out, err = ended(capsys, "sweep", "gone.yaml", "--config=other.yaml")  # a plugin's command
    assert (code, "loaded" in err, "gone.yaml" in err) == (2, False, True)
    code, out, err = ended(capsys, "tasks", "list")
    assert (code, "loaded" in err) == (2, True)


@pytest.mark.parametrize("text", ["plugin: {a: b}", "plugin: bad.py\nlimit: [1", "strict_plugins: [true]"])
def test_help_comes_whatever_the_config_says_of_plugins(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    config(text)
    code, out, err = ended(capsys, "--help")
    assert (code, "Usage" in out, "config" in err) == (0, True, True)
    assert ended(capsys, "tasks", "list")[0] == 2


def test_completion_runs_no_code_that_a_folder_names() -> None:
    Path("bad.py").write_text("from pathlib import Path\nPath('ran').touch()\n")
    config("plugin: bad.py\n")
    register()
    shell = get_completion_class("zsh")
    assert shell is not None
    assert shell(cli, {}, "harness", VARIABLE).get_completions(["run", "--tasks"], "xst")
    assert shell(cli, {}, "harness", VARIABLE).get_completions([], "gat")
    assert not Path("ran").exists()


def test_the_data_folder_of_the_config_is_that_of_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    config(f"data: {Path('sets').resolve()}\n")
    for words in (("data", "list"), ("doctor",)):
        assert str(Path("sets").resolve()) in ended(capsys, *words)[1]


# The config files themselves: where they are read from, and what they say to a mistake.

KNOWN = ("data", "judge", "suites", "task_settings", "limit")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The user's config folder."""
    (tmp_path / "config" / "harness").mkdir(parents=True)
    return tmp_path / "config" / "harness"


def put(folder: Path, text: str) -> Path:
    path = folder / "harness.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def load(explicit: Path | None = None) -> dict[str, Any]:
    return load_config(explicit, lambda: KNOWN)


def test_without_a_file_or_with_an_empty_one_there_is_nothing() -> None:
    assert load() == {}
    config("# nothing yet\n")
    assert load() == {}


def test_the_local_file_stands_over_the_users(home: Path) -> None:
    put(home, "limit: 1\ndata: /user")
    config("limit: 2")
    assert load() == {"limit": 2, "data": "/user"}


def test_mappings_of_both_files_are_merged_key_by_key(home: Path) -> None:
    put(home, "suites: {core: [mis], mine: [mssbench]}\ntask_settings: {mis.data: /a}")
    config("suites: {core: [mis, mssbench]}\ntask_settings: {mis.prompts: own}")
    found = load()
    tasks = {name: row.suite.tasks for name, row in found["suites"].items()}
    assert tasks == {"core": ("mis", "mssbench"), "mine": ("mssbench",)}
    assert found["task_settings"] == {"mis.data": "/a", "mis.prompts": "own"}


def test_a_file_that_is_named_is_the_only_one(home: Path, tmp_path: Path) -> None:
    put(home, "limit: 1")
    config("data: /local")
    assert load(put(tmp_path / "config", "limit: 3")) == {"limit": 3}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n- b", "must be a mapping of flags"),
        ("a: b: c", "not YAML"),
        ("suites: [mis]", "suites must be a mapping"),
        ("suites: {core: {mis: 1}}", "a suite has no key 'mis'"),
        ("suites: {core: {tasks: {mis: 1}}}", "must be a list of tasks"),
        ("suites: {core: {tasks: [mis], judges: [mis]}}", "must be a mapping"),
        ("suites: {core: 3}", "must be a mapping, or for a suite a list of tasks"),
        ("suites: {core: []}", "a suite needs tasks"),
    ],
)
def test_what_is_no_config_is_said(text: str, said: str) -> None:
    config(text)
    with pytest.raises(HarnessError, match=said):
        load()


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("model: a/b\ntasks: mis\n'model': c/d\n", "model", 3),
        ("task_settings:\n  mis.data: a\n  mis.data: b\n", "mis.data", 3),
        ("tasks:\n  - {a: 1, b: 2, a: 3}\n", "a", 2),
        ("model_settings: {a: {1: x,\n 1: x}}\n", "1", 2),
    ],
)
def test_a_key_that_stands_twice_is_refused_with_its_line(home: Path, text: str, key: str, line: int) -> None:
    (home / "twice.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(HarnessError, match=f"the key '{key}' is repeated; it is first in line") as caught:
        load_yaml(home / "twice.yaml", "the config")
    assert caught.value.where == f"{home / 'twice.yaml'}, line {line}"


def test_what_is_merged_into_a_mapping_may_be_said_again(home: Path) -> None:
    text = "a: &a {x: 1, y: 2}\nb: {<<: *a, <<: {z: 3}, x: 4}\nc: {<<: *a, x: 5}\nd: &d [*d, *a]\n1: m\n'1': n\n"
    (home / "merged.yaml").write_text(text, encoding="utf-8")
    found = load_yaml(home / "merged.yaml", "the config")
    assert isinstance(found, dict)
    assert (found["b"], found["c"]) == ({"x": 4, "y": 2, "z": 3}, {"x": 5, "y": 2})
    assert (found[1], found["1"]) == ("m", "n")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        pytest.param(b"data: \xff\xfe", "the config is not YAML", id="in another encoding"),
        pytest.param(b"[" * 20_000 + b"]" * 20_000, "the config is nested too deeply", id="nested too deeply"),
        pytest.param(b"limit: " + b"9" * 5000, "the config is not YAML", id="a number of thousands of digits"),
        pytest.param(b"a: 1\nb: [c: d", 'in "harness.yaml", line 2', id="a fault with its line"),
        pytest.param(b"a: 1\nb: \a", 'in "harness.yaml", position', id="a character with its position"),
    ],
)
def test_a_file_that_is_no_yaml_is_refused_with_its_name(data: bytes, said: str) -> None:
    Path("harness.yaml").write_bytes(data)
    with pytest.raises(HarnessError, match=said) as caught:
        load()
    assert caught.value.where == "harness.yaml"
    assert "unicode string" not in str(caught.value)


def test_a_named_file_that_is_missing_is_said() -> None:
    with pytest.raises(HarnessError, match="cannot read the config: No such file"):
        load(Path("gone.yaml"))


def test_a_suite_is_a_list_of_tasks_or_a_row_that_also_says_how_they_are_run() -> None:
    config(
        """
        suites:
          one: 'mis:easy, mssbench'
          two:
            tasks: [mis, "figstep:full"]
            description: both
            task_settings: {mis: {prompts: own}, figstep.prompts: upstream}
            judges: {figstep: llamaguard}
            mean: [mis]
        """,
    )
    one, two = (row.suite for row in load()["suites"].values())
    assert (one.tasks, one.description) == (("mis:easy", "mssbench"), "of your own: mis:easy, mssbench")
    assert two == Suite(
        name="two",
        description="both",
        tasks=("mis", "figstep:full"),
        task_settings={"mis.prompts": "own", "figstep.prompts": "upstream"},
        judges={"figstep": "llamaguard"},
        mean=("mis",),
    )


def test_a_mistake_in_a_suite_says_where_it_stands() -> None:
    config("suites: {core: {task: [mis]}}")
    with pytest.raises(UnknownName) as caught:
        load()
    assert (caught.value.where, caught.value.remedy) == ("harness.yaml: suites.core", "did you mean 'tasks'?")
