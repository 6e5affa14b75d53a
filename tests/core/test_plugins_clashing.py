"""Plugins that want one name, and which of them are let in."""

from pathlib import Path

import pytest

from harness import UnknownName
from harness.plugins import Host
from harness.testing.installed import install
from tests.core.sites import GOOD, Install, load


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
    with pytest.raises(UnknownName, match=r"plugin never .* is kept out by HARNESS_PLUGINS_ALLOW"):
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
