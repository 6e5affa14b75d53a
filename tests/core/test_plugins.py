"""The host's face: offers by name, files and folders as plugins, commands, and the current host of the process."""

import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import click
import pytest

from harness import HarnessError, UnknownName, hookimpl, plugins
from harness.contracts import Report, Strategy
from harness.makers import Build, Builder, Built, Trainer
from harness.plugins import Host
from harness.plugins import host as host_module
from harness.testing.fakes import FakePlugin, fake_judge, fake_provider, fake_task, host_of, source_of
from tests.acceptance.commands import harness


def unbound(function: object) -> object:
    """The plugin's own function, which the host calls behind the boundary of its plugin."""
    return inspect.unwrap(cast("Callable[..., object]", function))


def test_every_kind_is_found_by_its_name() -> None:
    async def build(_: Build) -> Built:
        return Built(folder=Path(), records={})

    strategy = Strategy(name="twice", version="1", description="", wrap=lambda model, _: model)
    report = Report(name="plain", description="", render=lambda _: "")
    trainer = Trainer(name="tune", description="", plan=lambda _: "", train=lambda _: Path())
    builder = Builder(name="make", description="", build=build, plan=lambda _: "")
    task, judge, provider = fake_task(), fake_judge(), fake_provider()
    host = host_of(strategy, report, trainer, builder, task, judge, provider)
    assert unbound(host.strategy("twice").wrap) is strategy.wrap
    assert unbound(host.report("plain").render) is report.render
    assert unbound(host.trainer("tune").train) is trainer.train
    assert unbound(host.builder("make").build) is build
    assert unbound(host.task("fake").samples) is task.samples
    assert unbound(host.judge("fake").open) is judge.open
    assert unbound(host.provider("fake").open) is provider.open


def test_a_report_that_holds_samples_is_offered_without_a_render() -> None:
    report = Report(name="whole", description="", samples=lambda *_: {})
    assert unbound(host_of(report).report("whole").samples) is report.samples


def test_what_a_report_draws_with_must_be_callable() -> None:
    faults = host_of(Report(name="plain", description="", render=lambda _: "", figures=[])).check()  # type: ignore[arg-type]
    assert "report 'plain': figures is a list, not callable" in str(faults[0])


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"no provider is called 'fke'\n  did you mean 'fake'\?"):
        host_of(fake_provider()).provider("fke")


def test_offers_are_sorted_by_name_with_their_plugin() -> None:
    host = host_of(fake_task(name="b"), fake_task(name="a"))
    assert [(task.name, plugin) for task, plugin in host.offers("tasks")] == [("a", "fakes"), ("b", "fakes")]


def test_an_offer_hook_is_called_once() -> None:
    calls: list[str] = []

    class Counting(FakePlugin):
        @hookimpl
        def harness_tasks(self) -> list[object]:
            calls.append("tasks")
            return []

    host = Host([source_of(Counting())])
    host.offers("tasks")
    host.check()
    assert calls == ["tasks"]


def test_a_file_is_a_plugin_without_packaging(tmp_path: Path) -> None:
    host = Host.load([written(tmp_path / "harness_mine.py", "", '"mine"')], allow=["mine"])
    assert host.task("mine").name == "mine"
    assert re.fullmatch(r"file [0-9a-f]{12}", host.provenance()["mine"])


def test_a_file_given_twice_is_one_plugin_and_two_files_of_one_name_are_two(tmp_path: Path) -> None:
    files = [written(tmp_path / name / "mine.py", "", f'"{name}"') for name in ("aa", "bb")]
    host = Host.load([files[0], files[0], files[1]], allow=["mine"])
    assert [task.name for task, _ in host.offers("tasks")] == ["aa", "bb"]
    assert len(host.plugins) == 2


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="cannot read the plugin file: No such file"):
        Host.load([tmp_path / "none.py"])


def test_a_file_that_fails_is_a_fault_like_any_other(tmp_path: Path) -> None:
    file = tmp_path / "bad.py"
    file.write_text("def (", "utf-8")
    lines: list[str] = []
    host = Host.load([file], allow=["bad"], tell=lines.append)
    assert host.plugins == []
    assert "SyntaxError" in lines[0]


class Adding(FakePlugin):
    """Adds commands by name; the last one may be an error."""

    def __init__(self, *names: str, error: BaseException | None = None) -> None:
        super().__init__()
        self.names = names
        self.error = error

    @hookimpl
    def harness_commands(self, cli: click.Group) -> None:
        for name in self.names:
            name, _, inner = name.partition(" ")
            if inner:
                group = cli.commands.setdefault(name, click.Group(name))
                assert isinstance(group, click.Group)
                group.command(inner)(lambda: None)
            else:
                cli.command(name)(lambda: None)
        if self.error:
            raise self.error


def commands(*adding: Adding) -> tuple[list[str], list[str]]:
    lines: list[str] = []
    host = Host([source_of(each, f"p{number}") for number, each in enumerate(adding)], tell=lines.append)
    return sorted(host.commands(["run", "judges", "judges list"], groups=["judges"])), lines


def test_plugins_add_commands() -> None:
    assert commands(Adding("view"), Adding("compare")) == (["compare", "view"], [])


def test_no_plugin_replaces_a_core_command() -> None:
    assert commands(Adding("run", "view")) == (
        ["view"],
        ["plugin p0 (p0 1.0): the command 'run' exists already"],
    )


def test_plugins_add_subcommands_to_a_core_command_that_is_open_to_them() -> None:
    assert commands(Adding("judges bench"), Adding("judges attack", "view")) == (
        ["judges attack", "judges bench", "view"],
        [],
    )


@pytest.mark.parametrize("name", ["judges list", "run fast", "judges"])
def test_no_plugin_replaces_a_subcommand_or_enters_a_command_that_is_not_open(name: str) -> None:
    found, (line,) = commands(Adding(name, "view"))
    taken = "run" if name == "run fast" else name
    assert (found, line) == (["view"], f"plugin p0 (p0 1.0): the command {taken!r} exists already")


def test_a_command_of_two_plugins_is_nobodys() -> None:
    found, lines = commands(Adding("view", "one"), Adding("view", "two"))
    assert found == ["one", "two"]
    assert "2 plugins offer the command 'view'" in lines[0]


def test_a_plugin_that_fails_while_it_adds_commands_adds_none() -> None:
    found, lines = commands(Adding("half", error=SystemExit(3)), Adding("whole"))
    assert found == ["whole"]
    assert lines == ["plugin p0 (p0 1.0): SystemExit: 3"]


def test_use_replaces_the_current_host_and_gives_the_one_before_back() -> None:
    first, second = host_of(), host_of()
    with plugins.use(first):
        assert plugins.current() is first
        with plugins.use(second) as inner:
            assert inner is second
            assert plugins.current() is second
        assert plugins.current() is first


def test_the_current_host_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_module, "_current", None)
    monkeypatch.setenv("HARNESS_PLUGINS_ALLOW", "nobody")
    assert plugins.current() is plugins.current()


def test_an_empty_list_in_the_environment_is_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_PLUGINS_ALLOW", " , ")
    monkeypatch.setenv("HARNESS_PLUGINS_BLOCK", "")
    host = Host.load(tell=lambda _: None)
    assert host.blocked == []
    assert os.environ["HARNESS_PLUGINS_ALLOW"] == " , "


TASK = """
from harness import hookimpl
from harness.testing.fakes import fake_task
{imports}

@hookimpl
def harness_tasks():
    return [fake_task(name={name})]
"""


@pytest.fixture(autouse=True)
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The path of imports, and the modules that a test adds, go with it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None)).startswith(str(tmp_path)):
            del sys.modules[name]


def written(place: Path, imports: str, name: str) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(TASK.format(imports=imports, name=name))
    return place


def names(place: Path, name: str = "") -> list[str]:
    host = Host.load([place], allow=[name or place.stem.removeprefix("harness_")])
    assert list(host.faults) == []
    return [task.name for task, _ in host.offers("tasks")]


def test_a_file_may_import_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "neighbour_words.py").write_text('NAME = "beside"\n')
    assert names(written(tmp_path / "mine.py", "from neighbour_words import NAME", "NAME")) == ["beside"]


def test_a_neighbour_never_hides_a_module_that_is_installed(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('hidden')\n")
    (tmp_path / "json.py").write_text("raise SystemExit('hidden')\n")
    assert names(written(tmp_path / "mine.py", "import click, json", '"whole"')) == ["whole"]


def test_a_package_is_loaded_by_its_folder_with_its_modules_and_files(tmp_path: Path) -> None:
    folder = tmp_path / "harness_packed"
    written(folder / "__init__.py", "from .words import NAME\nfrom harness_packed.words import NAME as SAME", "NAME")
    (folder / "words.py").write_text('NAME = "packed"\n')
    assert names(folder) == ["packed"]


def test_the_folder_of_a_project_stands_for_the_package_in_it(tmp_path: Path) -> None:
    written(tmp_path / "harness-inner" / "harness_inner" / "__init__.py", "", '"inner"')
    assert names(tmp_path / "harness-inner", "inner") == ["inner"]


def test_the_version_of_a_package_changes_with_any_of_its_modules(tmp_path: Path) -> None:
    folder = tmp_path / "harness_packed"
    written(folder / "__init__.py", "", '"packed"')
    (folder / "words.py").write_text("A = 1\n")
    first = Host.load([folder], allow=["packed"]).plugins[0].version
    (folder / "words.py").write_text("A = 2\n")
    assert Host.load([folder], allow=["packed"]).plugins[0].version != first


def test_a_folder_without_a_package_is_refused_with_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match=r"no __init__\.py") as caught:
        Host.load([tmp_path])
    assert "give the folder that contains __init__.py" in str(caught.value)


def test_a_package_of_a_name_that_is_installed_is_that_plugins_fault(tmp_path: Path) -> None:
    folder = written(tmp_path / "harness_mis" / "__init__.py", "", '"other"').parent
    host = Host.load([folder], allow=["file"])
    [fault] = host.faults
    assert "the name harness_mis is taken by the module" in str(fault)


def test_the_command_takes_a_folder(tmp_path: Path) -> None:
    folder = written(tmp_path / "harness_packed" / "__init__.py", "", '"packed"').parent
    ended = harness("tasks", "list", "packed", "--plugin", folder)
    assert ended.code == 0, ended.err
    assert "packed" in ended.out
