"""Distributions as an installer leaves them, each broken in its own way, beside one that works."""

import sys
from pathlib import Path

import pytest

from harness import HarnessError, UnknownName
from harness.plugins import Host
from harness.testing.installed import install
from tests.core.sites import GOOD, Install, load


def test_a_plugin_whose_import_fails_is_skipped_and_named_in_one_line(site: Install) -> None:
    site("bad-import", "import a_module_nobody_has")
    host, lines = load("bad-import")
    assert host.task("good").name == "good"
    assert lines == ["plugin bad-import (bad-import 1.0): ModuleNotFoundError: No module named 'a_module_nobody_has'"]
    assert "import a_module_nobody_has" in host.faults[0].story


def test_a_plugin_that_exits_at_import_does_not_end_the_process(site: Install) -> None:
    site("bad-exit", "raise SystemExit('bye')")
    host, lines = load("bad-exit")
    assert [source.name for source in host.plugins] == ["good"]
    assert lines == ["plugin bad-exit (bad-exit 1.0): SystemExit: bye"]


def test_an_interrupt_during_import_ends_loading(site: Install) -> None:
    site("bad-interrupt", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load("bad-interrupt")


def test_what_a_plugin_prints_at_import_never_reaches_stdout(site: Install, capsys: pytest.CaptureFixture[str]) -> None:
    site("chatty", "print('hello from a plugin')\n" + GOOD.replace("NAME", "chatty"))
    host, _ = load("chatty")
    assert host.task("chatty")
    assert capsys.readouterr() == ("", "hello from a plugin\n")


def test_a_plugin_that_is_none_is_refused(site: Install) -> None:
    site("nothing", "plugin = None", entries={"nothing": "MODULE:plugin"})
    _, lines = load("nothing")
    assert "is None, not a plugin" in lines[0]


def test_a_plugin_may_be_an_object_of_its_module(site: Install) -> None:
    site("object", GOOD.replace("NAME", "inner") + "\nimport sys\nplugin = sys.modules[__name__]\n",
         entries={"object": "MODULE:plugin"})  # fmt: skip
    host, lines = load("object")
    assert host.task("inner")
    assert lines == []


def test_a_misspelled_hook_is_reported_with_the_nearest_name(site: Install) -> None:
    site("typo", "from harness import hookimpl\n@hookimpl\ndef harness_task():\n    return []")
    _, lines = load("typo")
    assert lines == ["plugin typo (typo 1.0): there is no hook 'harness_task' (did you mean 'harness_tasks'?)"]


def test_a_hook_of_a_later_harness_may_be_marked_optional(site: Install) -> None:
    site("later", "from harness import hookimpl\n@hookimpl(optionalhook=True)\ndef harness_dances():\n    return []")
    assert load("later")[1] == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("harness_tasks", "harness_tasks is not marked with @hookimpl, so it is never called"),
        ("harness_task", "did you mean 'harness_tasks'?"),
    ],
)
def test_a_hook_without_its_mark_is_reported(site: Install, name: str, said: str) -> None:
    site("unmarked", f"def {name}():\n    return []")
    _, lines = load("unmarked")
    assert said in lines[0]


def test_a_helper_with_a_name_of_its_own_is_nobodys_business(site: Install) -> None:
    site("helper", "def harness_helper():\n    return []\nfrom harness.hookspecs import harness_tasks")
    assert load("helper")[1] == []


def test_a_hook_with_an_argument_that_does_not_exist_is_refused_with_its_definition(site: Install) -> None:
    site("argument", "from harness import hookimpl\n@hookimpl\ndef harness_run_started(run, colour):\n    pass")
    host, lines = load("argument")
    assert "colour" in lines[0]
    assert [source.name for source in host.plugins] == ["good"]


@pytest.mark.parametrize(
    ("mark", "body", "said"),
    [
        ("@hookimpl(wrapper=True)", "def harness_tasks():\n    return (yield)", "harness_tasks is a wrapper"),
        ("@hookimpl", "async def harness_tasks():\n    return []", "harness_tasks is async"),
        ("@hookimpl", "async def harness_tasks():\n    yield 1", "harness_tasks is async"),
    ],
)
def test_wrappers_and_coroutines_are_reported_and_never_called(site: Install, mark: str, body: str, said: str) -> None:
    site("odd", f"from harness import hookimpl\n{mark}\n{body}")
    host, lines = load("odd")
    assert said in lines[0]
    assert [plugin for _, plugin in host.offers("tasks")] == ["good"]


OFFER = "from harness import hookimpl, Task\nfrom harness.testing.fakes import *\n@hookimpl\ndef harness_tasks():\n    "


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("yield fake_task(name='half')\n    raise RuntimeError('midway')", "RuntimeError: midway"),
        ("yield fake_task(name='half')\n    raise SystemExit", "SystemExit"),
        ("raise RecursionError", "RecursionError"),
        ("return None", "harness_tasks returned None, not an iterable of Task"),
        ("return fake_task(name='half')", "harness_tasks returned a Task, not an iterable of Task"),
        ("return 'half'", "harness_tasks returned a str, not an iterable of Task"),
        ("return {'half': 1}", "harness_tasks returned a dict, not an iterable of Task"),
        ("return [fake_task(name='half'), fake_judge()]", "harness_tasks offers a Judge, not a Task"),
        ("return [fake_task(name='half'), fake_task(name='half')]", "harness_tasks offers 'half' twice"),
        ("return [fake_task(name='Half')]", "harness_tasks offers the name 'Half'"),
        ("return [fake_task(name='../half')]", "harness_tasks offers the name '../half'"),
        ("return [fake_task(name=7)]", "harness_tasks offers the name 7"),
        ("return [fake_task(name='half', settings=[])]", "task 'half': settings is a list, not a tuple of Setting"),
        ("return [fake_task(name='half', settings=(1,))]", "task 'half': settings holds a int, not a Setting"),
        (
            "return [Task(name='half', version=1, description='', splits={}, samples=print)]",
            "task 'half': version is a int, not text",
        ),
        (
            "return [Task(name='half', version='1', description='', splits={}, samples=[])]",
            "task 'half': samples is a list, not callable",
        ),
        (
            "return [Task(name='half', version='1', description='', splits=None, samples=print)]",
            "task 'half': splits is None, neither a mapping nor callable",
        ),
        ("while True: yield fake_task(name='half')", "harness_tasks offers more than 10000 items"),
    ],
)
def test_an_offer_that_is_not_whole_is_refused_whole(site: Install, body: str, said: str) -> None:
    site("half", f"{OFFER}{body}")
    host, lines = load("half")
    assert [plugin for _, plugin in host.offers("tasks")] == ["good"]
    assert said in lines[0]


def test_an_error_that_cannot_be_shown_is_reported_by_its_type(site: Install) -> None:
    site("mute", "class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute")
    assert load("mute")[1] == ["plugin mute (mute 1.0): Mute"]


def test_control_characters_of_a_plugin_never_reach_the_terminal(site: Install) -> None:
    site("escape", r"raise RuntimeError('\x1b[2J\x07wiped\nand more\u202e')")
    assert load("escape")[1] == ["plugin escape (escape 1.0): RuntimeError: [2Jwiped and more"]


def test_strict_makes_any_fault_fatal(site: Install) -> None:
    site("half", f"{OFFER}return None")
    with pytest.raises(HarnessError, match="harness_tasks returned None"):
        load("half", strict=True)
    assert load(strict=True)[0].task("good")


def test_a_name_that_a_failed_plugin_may_have_offered_says_so(site: Install) -> None:
    site("half", f"{OFFER}return None")
    host, _ = load("half")
    with pytest.raises(UnknownName, match=r"no task is called 'half': plugin half \(half 1\.0\): TypeError"):
        host.task("half")
    with pytest.raises(UnknownName, match=r"did you mean 'good'\?\n.*a plugin that failed offers it \(half\)"):
        host.task("goood")


def test_another_distributions_broken_metadata_is_reported_and_hides_nothing(tmp_path: Path, site: Install) -> None:
    broken = tmp_path / "broken-1.0.dist-info"
    broken.mkdir()
    (broken / "entry_points.txt").write_text("[harness]\nthis line has no value\n", "utf-8")
    host, lines = load()
    assert host.task("good")
    assert ["unreadable" in line for line in lines] == [True]


@pytest.mark.parametrize("entry", ["a_stranger", "z_stranger"])
def test_a_distribution_whose_module_is_shadowed_by_ours_is_named_and_ours_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    install(tmp_path, "stranger", entries={entry: "harness_mis"}, modules={"harness_mis": "raise AssertionError"})
    monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path)])
    lines: list[str] = []
    host = Host.load(allow=["mis", "keyword", "stranger"], tell=lines.append)
    [line] = lines
    assert line.startswith(
        f"plugin {entry} (stranger 1.0): its module 'harness_mis' is shadowed by that of vlm-safety-harness ("
    )
    assert host.task("mis").name == "mis"
    assert [source.name for source in host.plugins] == ["keyword", "mis"]


def test_a_module_inside_a_package_that_is_ours_is_named_as_shadowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "extra.py").write_text("", "utf-8")
    install(tmp_path, "stranger", entries={"extra": "harness.extra"}, modules={})
    monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path)])
    lines: list[str] = []
    Host.load(allow=["stranger"], tell=lines.append)
    [line] = lines
    assert "its module 'harness' is shadowed by that of vlm-safety-harness" in line
