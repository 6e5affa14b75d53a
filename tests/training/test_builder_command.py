"""`harness build` with any builder, with the mini world's, and with `--push`: what it says and how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from harness_builder.calls.store import CallStore

from harness.testing.conformance import check_builder
from tests.training import builder_plugin
from tests.training.built import there
from tests.training.configs import error_of, in_the_mini_world
from tests.training.taking_hub import TakingHub
from tests.training.trained import called

PLUGIN = str(Path(builder_plugin.__file__))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return configured(tmp_path, "star", "ring")


def configured(folder: Path, *lines: str) -> Path:
    path = folder / "shapes.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def built(config: Path, out: Path, *more: str) -> tuple[int, str, str]:
    """`harness build shapes` with these flags."""
    return called(["build", "shapes", "--config", str(config), "--out", str(out), "--plugin", PLUGIN, *more])


class TestABuild:
    def test_is_by_any_plugins_builder_and_ends_with_its_counts(self, config: Path, tmp_path: Path) -> None:
        code, shown, said = built(config, tmp_path / "out", "-S", "times=3")

        assert code == 0, said
        assert shown.split() == ["FILE", "RECORDS", "shapes.txt", "6"]
        assert "reading" in said
        assert f"set: {tmp_path / 'out'}" in said

    def test_tells_how_far_it_is_without_what_steers_a_terminal(self, config: Path, tmp_path: Path) -> None:
        _, _, said = built(config, tmp_path / "out")

        assert "\x1b" not in said

    def test_hands_on_which_licences_were_accepted(self, config: Path, tmp_path: Path) -> None:
        _, _, said = built(config, tmp_path / "out", "--accept-licence", "one", "--accept-licence", "other")

        assert "accepted: one, other" in said

    def test_that_is_not_complete_exits_3_and_says_what_is_open(self, tmp_path: Path) -> None:
        code, shown, said = built(configured(tmp_path, "star", "open 2 wait for a reviewer"), tmp_path / "out")

        assert code == 3
        assert "shapes.txt" in shown
        assert "open: 2 wait for a reviewer" in said
        assert "open" not in shown

    def test_is_json_where_asked(self, tmp_path: Path) -> None:
        config, out = configured(tmp_path, "star", "open ask again"), tmp_path / "out"
        code, shown, _ = built(config, out, "--json")

        assert code == 3
        assert json.loads(shown) == {
            "folder": str(out),
            "records": {"shapes.txt": 1},
            "open": ["ask again"],
            "pushed": None,
        }

    def test_only_says_what_it_would_do_on_a_dry_run(self, config: Path, tmp_path: Path) -> None:
        code, shown, _ = built(config, tmp_path / "out", "--dry-run")

        assert (code, shown) == (0, "2 lines\n")
        assert not (tmp_path / "out").exists()

    def test_that_a_person_ends_exits_130_with_the_command_that_goes_on(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "argv", ["harness", "build", "shapes", "--config", "a b.yaml", "--fresh"])
        code, shown, said = built(configured(tmp_path, "interrupt"), tmp_path / "out")

        assert code == 130
        assert shown == ""
        assert "resume with: harness build shapes --config 'a b.yaml'\n" in said

    def test_that_fails_while_it_is_being_ended_says_both(self, tmp_path: Path) -> None:
        code, _, said = built(configured(tmp_path, "stuck"), tmp_path / "out")

        assert code == 2
        assert "the server is gone" in said
        assert "start it" in said
        assert "resume with:" in said

    def test_needs_a_config_that_is_there(self, tmp_path: Path) -> None:
        code, _, said = built(tmp_path / "none.yaml", tmp_path / "out")

        assert code == 2
        assert "the config cannot be read" in said


class TestAFreshBuild:
    def test_puts_aside_what_is_kept_of_calls_and_deletes_nothing(self, config: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        built(config, out)
        (out / "review").mkdir()
        (out / "review" / "reviews-ann.jsonl").touch()
        for number in (1, 2):
            (out / "work" / "calls").write_text(f"of build {number}", encoding="utf-8")
            code, _, said = built(config, out, "--fresh")
            assert code == 0
            assert f"renamed: {out / f'work.{number}'}" in said

        assert [(out / name / "calls").read_text(encoding="utf-8") for name in ("work.1", "work.2", "work")] == [
            "of build 1",
            "of build 2",
            "kept",
        ]
        assert (out / "review" / "reviews-ann.jsonl").exists()

    def test_puts_nothing_aside_for_a_config_that_cannot_be_used(self, config: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        built(config, out)
        config.unlink()

        assert built(config, out, "--fresh")[0] == 2
        assert (out / "work" / "calls").exists()

    def test_is_refused_while_another_one_goes_on(self, config: Path, tmp_path: Path) -> None:
        out = tmp_path / "out"
        with CallStore(out / "work"):
            code, _, said = built(config, out, "--fresh")

        assert code == 2
        assert "another process works on this build" in said
        assert [path.name for path in out.iterdir()] == ["work"]

    def test_of_nothing_is_a_build(self, config: Path, tmp_path: Path) -> None:
        assert built(config, tmp_path / "out", "--fresh")[0] == 0


class TestNames:
    def test_of_builders_and_what_they_can_be_told_are_listed(self) -> None:
        _, shown, _ = called(["build", "--plugin", PLUGIN, "--list"])
        assert "\nmis " in shown
        assert "\nshapes " in shown
        _, shown, _ = called(["build", "--plugin", PLUGIN, "--list", "shapes"])
        assert "how often each line is written" in shown
        _, shown, _ = called(["build", "--list", "--json", "mis"])
        assert [each["name"] for each in json.loads(shown)] == ["mis"]

    def test_are_of_builders_beside_commands_in_the_help(self) -> None:
        _, shown, _ = called(["build", "--help"])

        assert "Commands:" in shown
        assert "Builders:\n  mis " in shown

    def test_of_a_builder_has_help_of_its_own(self) -> None:
        _, shown, _ = called(["build", "--plugin", PLUGIN, "shapes", "--help"])

        assert "shapes: a record a line." in shown
        assert "--accept-licence" in shown

    def test_that_nobody_offers_is_refused_before_its_flags_with_the_nearest(self) -> None:
        assert "did you mean 'mis'" in error_of("mist")
        assert "did you mean 'review'" in error_of("reviw", "folder")
        assert "did you mean 'review'" in error_of("reviw", "--help")
        assert "did you mean 'shapes'" in error_of("shape", "--plugin", PLUGIN)

    def test_of_a_builder_and_a_command_is_the_commands_and_that_is_said(self, tmp_path: Path) -> None:
        code, shown, said = called(["build", "--plugin", PLUGIN, "show", "--help"])

        assert code == 0
        assert "Print the story of one record" in shown
        _, _, said = called(["build", "--plugin", PLUGIN, "--list"])
        assert "the builder 'show' of the plugin" in said

    def test_of_nothing_shows_the_help(self) -> None:
        code, shown, said = called(["build"])
        assert code == 2
        assert "BUILDER|COMMAND" in shown + said


class TestItRefuses:
    def test_flags_that_mean_nothing(self, config: Path, tmp_path: Path) -> None:
        assert "--public has no effect without --push" in built(config, tmp_path / "out", "--public")[2]
        assert "without --list" in error_of("--json", "mis")
        assert "cannot be used together" in error_of("review", str(tmp_path), "--to-csv", "a", "--from-csv", "b")
        assert "--port has no effect" in error_of("review", str(tmp_path), "--to-csv", "a", "--port", "80")
        assert "names its reviewer" in error_of("review", str(tmp_path), "--from-csv", "a", "--reviewer", "ann")

    def test_a_setting_that_the_builder_does_not_have(self, config: Path, tmp_path: Path) -> None:
        assert "did you mean 'times'" in built(config, tmp_path / "out", "-S", "time=2")[2]

    def test_a_build_without_a_config_or_an_output(self) -> None:
        assert "--config" in error_of("mis", "--out", "x")
        assert "--out" in error_of("mis", "--config", "x")


class TestASetThatStands:
    def test_is_none_without_a_manifest(self, tmp_path: Path) -> None:
        assert "nothing was built here" in error_of("show", str(tmp_path), "a#0")
        for words in (("verify",), ("push",)):
            more = {"push": ["someone/set"]}.get(words[0], [])
            assert "build.json" in error_of(*words, str(tmp_path), *more)

    @pytest.mark.usefixtures("hub")
    def test_is_not_pushed_while_something_is_open(self, tmp_path: Path) -> None:
        code, _, said = built(configured(tmp_path, "star", "open this"), tmp_path / "out", "--push", "someone/set")

        assert code == 3
        assert "not pushed" in said

    @pytest.mark.usefixtures("hub")
    def test_is_told_before_what_keeps_it_from_being_pushed(self, config: Path, tmp_path: Path) -> None:
        code, shown, said = built(config, tmp_path / "out", "--push", "someone/set")

        assert code == 2
        assert "shapes.txt" in shown
        assert "build.json" in said


def test_the_plugin_of_these_tests_keeps_the_contract_of_a_builder(config: Path) -> None:
    for builder in builder_plugin.harness_builders():
        check_builder(builder, config)


REPO = "someone/new-set"


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The command, whose set nobody looks at."""
    config = in_the_mini_world(tmp_path, sort={"review": "none"})
    return ["build", "mis", "--config", str(config), "--out", str(tmp_path / "out")]


def refused_at_once(words: list[str], out: Path) -> str:
    """What is said before anything is asked or written, with and without --dry-run."""
    code, shown, said = called(words)
    assert (code, shown) == (2, ""), said
    assert not out.exists()
    assert called([*words, "--dry-run"]) == (code, shown, said)
    return said


def test_a_set_that_is_whole_goes_there_and_its_address_is_the_last_line(
    words: list[str], hub: TakingHub, tmp_path: Path
) -> None:
    code, shown, said = called([*words, "--push", REPO])
    assert code == 0, said
    assert shown.splitlines()[0].startswith("FILE")
    assert shown.splitlines()[-1].startswith(f"pushed: {hub.url}/datasets/{REPO}/commit/")
    assert hub.repos[REPO].files == there(tmp_path / "out")
    assert (hub.repos[REPO].visibility, hub.repos[REPO].gated) == ("private", "manual")


def test_public_opens_the_page_and_json_holds_the_address(words: list[str], hub: TakingHub) -> None:
    code, shown, said = called([*words, "--push", REPO, "--public", "--json"])
    assert code == 0, said
    assert json.loads(shown)["pushed"].startswith(f"{hub.url}/datasets/{REPO}/commit/")
    assert "public: everybody sees the set's page" in said
    assert hub.repos[REPO].visibility == "public"


def test_a_set_that_stands_is_pushed_by_its_own_command(words: list[str], hub: TakingHub, tmp_path: Path) -> None:
    assert called(words)[0] == 0
    code, shown, said = called(["build", "push", str(tmp_path / "out"), REPO])
    assert code == 0, said
    assert shown.startswith(f"{hub.url}/datasets/{REPO}/commit/")


def test_a_set_that_waits_for_people_does_not_go(hub: TakingHub, tmp_path: Path) -> None:
    config = in_the_mini_world(tmp_path)
    code, _, said = called(["build", "mis", "--config", str(config), "--out", str(tmp_path / "out"), "--push", REPO])
    assert code == 3
    assert "not pushed: the set is not complete" in said
    assert not hub.asked


def test_a_missing_token_is_told_before_the_first_call(
    words: list[str], hub: TakingHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    assert "HF_TOKEN" in refused_at_once([*words, "--push", REPO], tmp_path / "out")
    assert not hub.asked


def test_a_name_that_is_none_is_told_before_the_first_call(words: list[str], hub: TakingHub, tmp_path: Path) -> None:
    assert "'some one/set' is not a data set name" in refused_at_once(
        [*words, "--push", "some one/set"], tmp_path / "out"
    )


def test_a_missing_extra_is_told_before_the_first_call(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install 'vlm-safety-harness[hub]'" in refused_at_once([*words, "--push", REPO], tmp_path / "out")


def said_of(folder: Path, *more: str, **changes: Any) -> str:
    config = in_the_mini_world(folder, **changes)
    said = error_of("mis", "--config", str(config), "--out", str(folder / "out"), *more)
    assert str(config) in said
    return said


BOTH: list[tuple[dict[str, Any], str, str]] = [
    ({"models": {"writer": "mini/writer", "judge": "minni/writer"}}, "models.judge", "no provider is called 'minni'"),
    ({"models": {"writer": "minni/writer"}}, "models.writer", "no provider is called 'minni'"),
    ({"models": {"writer": {"model": "mini/writer", "settings": {"x": 1}}}}, "models.writer", "no setting 'x'"),
    ({"painter": "minni/painter"}, "painter", "'minni'"),
    ({"sources": [{"name": "a", "path": "nosuch.csv", "licence": "mit"}]}, "sources.#1", "no such folder or file"),
    ({"sources": [{"name": "a", "path": "bare.csv", "licence": "mit"}]}, "sources.#1", "no column"),
    ({"sources": [{"name": "a", "path": "ideas.csv", "licence": "apache"}]}, "sources.#1", "'apache'"),
    ({"prompts": {"write": "no.j2"}}, "prompts.write", "cannot be read"),
    ({"label": {"rubric": "miss"}}, "label.rubric", "no judge is called 'miss'"),
    ({"label": {"accept": ["safe_reasonin"]}}, "label.accept", "'safe_reasonin'"),
    ({"quality": {"text": 0.1}}, "quality.text", "must be at least 0.7"),
]


@pytest.mark.parametrize(("changes", "key", "what"), BOTH)
def test_a_fault_of_the_config_names_its_key_and_its_file_in_a_dry_run_too(
    changes: dict[str, Any], key: str, what: str, tmp_path: Path
) -> None:
    (tmp_path / "bare.csv").write_text("words\nGood morning!\n", encoding="utf-8")
    for more in ((), ("--dry-run",)):
        said = said_of(tmp_path, *more, **changes)
        assert said.startswith(f"error: {key}: ")
        assert what in said


def test_a_model_that_is_not_there_is_told_by_its_role(tmp_path: Path) -> None:
    said = said_of(tmp_path, models={"writer": "mini/writer", "labeller": "mini/writerr"})
    assert said.startswith("error: models.labeller: there is no model")


def test_a_test_to_be_held_against_that_is_not_there_is_told_by_its_place(tmp_path: Path) -> None:
    against = [{"task": "mis", "data": "nowhere"}, "mss"]
    assert said_of(tmp_path, quality={"against": against}).startswith("error: quality.against.#1: ")


def test_a_licence_that_the_table_does_not_have_is_told_with_the_nearest_and_the_table(tmp_path: Path) -> None:
    said = said_of(tmp_path, sources=[{"name": "a", "path": "ideas.csv", "licence": "apache"}])
    assert "did you mean apache-2.0?" in said
    assert "docs/build-safety.md" in said
    assert "--accept-licence a" in said


def test_a_column_of_another_name_is_told_with_the_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "bare.csv").write_text("words,number\nGood morning!,1\n", encoding="utf-8")
    said = said_of(tmp_path, sources=[{"name": "a", "path": "bare.csv", "licence": "mit"}])
    assert 'columns: {text: "words"}' in said
