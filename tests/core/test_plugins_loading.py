"""Distributions as an installer leaves them: broken ones, two that want one name, and which of them are let in."""

import sys
from pathlib import Path

import pytest

from harness import HarnessError, UnknownName
from harness.plugins import Host
from harness.testing.installed import install
from tests.core.sites import GOOD, Install, load

HOOK = "from harness import hookimpl\n"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        pytest.param("import a_module_nobody_has", "ModuleNotFoundError: No module named 'a_module_nobody_has'",
                     id="its import fails"),
        pytest.param("raise SystemExit('bye')", "SystemExit: bye", id="it exits at import"),
        pytest.param("class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute", "Mute",
                     id="its error cannot be shown"),
        pytest.param(r"raise RuntimeError('\x1b[2J\x07wiped\nand more\u202e')", "RuntimeError: [2Jwiped and more",
                     id="it sends control characters to the terminal"),
        pytest.param(f"{HOOK}@hookimpl\ndef harness_task():\n    return []",
                     "there is no hook 'harness_task' (did you mean 'harness_tasks'?)", id="a hook is misspelled"),
    ],
)  # fmt: skip
def test_a_plugin_that_fails_is_named_in_one_line_and_the_others_work(site: Install, source: str, said: str) -> None:
    site("bad", source)
    host, lines = load("bad")
    assert host.task("good").name == "good"
    assert lines == [f"plugin bad (bad 1.0): {said}"]


def test_the_traceback_of_a_failed_import_is_kept(site: Install) -> None:
    site("bad-import", "import a_module_nobody_has")
    assert "import a_module_nobody_has" in load("bad-import")[0].faults[0].story


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


def test_a_hook_of_a_later_harness_may_be_marked_optional(site: Install) -> None:
    site("later", f"{HOOK}@hookimpl(optionalhook=True)\ndef harness_dances():\n    return []")
    assert load("later")[1] == []


def test_a_helper_with_a_name_of_its_own_is_nobodys_business(site: Install) -> None:
    site("helper", "def harness_helper():\n    return []\nfrom harness.hookspecs import harness_tasks")
    assert load("helper")[1] == []


def test_a_hook_with_an_argument_that_does_not_exist_is_refused_with_its_definition(site: Install) -> None:
    site("argument", f"{HOOK}@hookimpl\ndef harness_run_started(run, colour):\n    pass")
    host, lines = load("argument")
    assert "colour" in lines[0]
    assert [source.name for source in host.plugins] == ["good"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def harness_tasks():\n    return []", "harness_tasks is not marked with @hookimpl, so it is never called"),
        ("def harness_task():\n    return []", "did you mean 'harness_tasks'?"),
        (f"{HOOK}@hookimpl(wrapper=True)\ndef harness_tasks():\n    return (yield)", "harness_tasks is a wrapper"),
        (f"{HOOK}@hookimpl\nasync def harness_tasks():\n    return []", "harness_tasks is async"),
        (f"{HOOK}@hookimpl\nasync def harness_tasks():\n    yield 1", "harness_tasks is async"),
    ],
    ids=["without its mark", "misspelled and without its mark", "a wrapper", "a coroutine", "an async generator"],
)
def test_a_hook_that_cannot_be_called_is_reported_and_never_called(site: Install, source: str, said: str) -> None:
    site("odd", source)
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
    with pytest.raises(UnknownName, match=r"did you mean 'good'\?\n.*a plugin that failed may offer it \(half\)"):
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
    host, [line] = allowed("mis", "keyword", "stranger")
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
    _, [line] = allowed("stranger")
    assert "its module 'harness' is shadowed by that of vlm-safety-harness" in line


def allowed(*names: str) -> tuple[Host, list[str]]:
    lines: list[str] = []
    return Host.load(allow=names, tell=lines.append), lines


def test_a_second_claim_on_a_name_disables_that_kind_and_name_only(site: Install) -> None:
    site("rival", GOOD.replace("NAME", "good").replace('fake_judge(name="good")', 'fake_judge(name="own")'))
    host, lines = load("rival")
    with pytest.raises(UnknownName) as caught:
        host.task("good")
    said = str(caught.value)
    assert "good (good 1.0)" in said
    assert "rival (rival 1.0)" in said
    assert "HARNESS_PLUGINS_BLOCK=rival keeps good's" in said
    assert "HARNESS_PLUGINS_BLOCK=good keeps rival's" in said
    assert host.judge("good").name == "good"
    assert host.judge("own").name == "own"
    assert host.offers("tasks") == []
    assert [source.name for source in host.clashes("tasks")["good"]] == ["good", "rival"]
    assert "2 plugins offer the task 'good'" in "\n".join(lines)


@pytest.mark.parametrize(("blocked", "kept"), [("rival", "good"), ("good", "rival")])
def test_the_line_that_a_clash_names_settles_it(
    site: Install, monkeypatch: pytest.MonkeyPatch, blocked: str, kept: str
) -> None:
    site("rival", GOOD.replace("NAME", "good"))
    monkeypatch.setenv("HARNESS_PLUGINS_BLOCK", blocked)
    host, lines = load("rival")
    assert [plugin for _, plugin in host.offers("tasks")] == [kept]
    assert lines == []


def test_the_line_that_settles_a_clash_keeps_what_is_blocked_already(
    site: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    site("rival", GOOD.replace("NAME", "good"))
    site("other", GOOD.replace("NAME", "other"))
    monkeypatch.setenv("HARNESS_PLUGINS_BLOCK", "other")
    host, _ = load("rival", "other")
    with pytest.raises(UnknownName, match="HARNESS_PLUGINS_BLOCK=other,rival keeps good's"):
        host.task("good")


def test_of_a_distribution_with_many_plugins_the_line_blocks_only_one(site: Install) -> None:
    site("many", GOOD.replace("NAME", "good"), entries={"one": "MODULE", "two": "MODULE_two"})
    host, _ = load("many")
    with pytest.raises(UnknownName, match="HARNESS_PLUGINS_BLOCK=many keeps good's"):
        host.task("good")  # `two` is not there, so that `one` is all of the distribution
    site("more", GOOD.replace("NAME", "good"), entries={"three": "MODULE", "four": "json"})
    host, _ = load("more")
    with pytest.raises(UnknownName, match="HARNESS_PLUGINS_BLOCK=three keeps good's"):
        host.task("good")


def test_of_a_file_the_line_blocks_that_file_and_no_other(site: Install, tmp_path: Path) -> None:
    files = [tmp_path / "mine.py", tmp_path / "beside.py"]
    files[0].write_text(GOOD.replace("NAME", "good"), "utf-8")
    files[1].write_text(GOOD.replace("NAME", "beside"), "utf-8")
    with pytest.raises(UnknownName) as caught:
        Host.load(files=files[:1]).task("good")
    assert "HARNESS_PLUGINS_BLOCK=mine keeps good's" in str(caught.value)
    assert Host.load(files=files, block=["mine"]).task("beside")


def test_two_distributions_with_one_entry_name_are_both_loaded(site: Install) -> None:
    site("first", GOOD.replace("NAME", "first"), entries={"same": "MODULE"})
    site("second", GOOD.replace("NAME", "second"), entries={"same": "MODULE"})
    host, lines = load("first", "second")
    assert host.provenance() == {"good": "good 1.0", "same@first": "first 1.0", "same@second": "second 1.0"}
    assert host.task("first")
    assert host.task("second")
    assert lines == []


def test_of_two_with_one_entry_name_either_can_be_blocked(site: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    site("first", GOOD.replace("NAME", "good"), entries={"good": "MODULE"})
    host, _ = load("first")
    with pytest.raises(UnknownName, match="HARNESS_PLUGINS_BLOCK=first keeps good@good's") as caught:
        host.task("good")
    assert "HARNESS_PLUGINS_BLOCK=good@good keeps good@first's" in str(caught.value)
    monkeypatch.setenv("HARNESS_PLUGINS_BLOCK", "good@good")
    host, _ = load("first")
    assert host.offers("tasks")[0][1] == "good@first"


def test_a_blocked_plugin_is_never_imported(site: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    site("never", "raise SystemExit")
    monkeypatch.setenv("HARNESS_PLUGINS_BLOCK", " Never ,")
    host, lines = load("never")
    assert lines == []
    assert [source.name for source in host.blocked if source.name == "never"] == ["never"]
    with pytest.raises(UnknownName, match=r"plugin never .* is excluded by HARNESS_PLUGINS_ALLOW"):
        host.task("never")


def test_only_allowed_plugins_are_loaded(site: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    site("other", GOOD.replace("NAME", "other"))
    monkeypatch.setenv("HARNESS_PLUGINS_ALLOW", "other")
    host = Host.load()
    assert host.provenance() == {"other": "other 1.0"}


def test_a_list_that_names_no_plugin_says_so(site: Install) -> None:
    lines: list[str] = []
    Host.load(allow=["good"], block=["goood"], tell=lines.append)
    assert lines == ["plugin goood (not installed): an allow or block list names it (did you mean 'good'?)"]


def test_the_order_of_plugins_is_not_the_order_of_installation(site: Install) -> None:
    for name in ("zebra", "ape"):
        site(name, GOOD.replace("NAME", name))
    assert list(load("ape", "zebra")[0].provenance()) == ["ape", "good", "zebra"]


def test_the_nearer_of_two_installations_hides_the_other(
    site: Install, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    site("twice", GOOD.replace("NAME", "far"), version="1.0")
    nearer = install(
        tmp_path_factory.mktemp("nearer"),
        "Twice",
        entries={"twice": "nearer_module"},
        modules={"nearer_module": GOOD.replace("NAME", "near")},
        version="2.0",
    )
    monkeypatch.syspath_prepend(nearer)
    host, _ = load("twice")
    assert host.provenance()["twice"] == "twice 2.0"
    assert host.task("near")


def test_one_module_under_two_names_is_registered_once_and_reported(site: Install) -> None:
    site("double", GOOD.replace("NAME", "double"), entries={"one": "MODULE", "two": "MODULE"})
    host, lines = load("double")
    assert host.task("double")
    assert len(lines) == 1
    assert "plugin two (double 1.0): ValueError: Plugin already registered" in lines[0]
