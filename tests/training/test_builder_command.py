"""`harness build` as a person meets it: any plugin's builder, and what is done with what it made."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from harness_builder.calls.store import CallStore

from harness.testing.conformance import check_builder
from tests.training import builder_plugin
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


def refused(*words: str) -> str:
    """What a command says that the user can mend."""
    code, _, said = called(["build", *words])
    assert code == 2, said
    assert "Traceback" not in said
    return said


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
        assert "go on with: harness build shapes --config 'a b.yaml'\n" in said

    def test_that_fails_while_it_is_being_ended_says_both(self, tmp_path: Path) -> None:
        code, _, said = built(configured(tmp_path, "stuck"), tmp_path / "out")

        assert code == 2
        assert "the server is gone" in said
        assert "start it" in said
        assert "go on with:" in said

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
            assert f"put aside: {out / f'work.{number}'}" in said

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
        assert "did you mean 'mis'" in refused("mist")
        assert "did you mean 'review'" in refused("reviw", "folder")
        assert "did you mean 'review'" in refused("reviw", "--help")
        assert "did you mean 'shapes'" in refused("shape", "--plugin", PLUGIN)

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
        assert "--public says nothing without --push" in built(config, tmp_path / "out", "--public")[2]
        assert "without --list" in refused("--json", "mis")
        assert "two commands" in refused("review", str(tmp_path), "--to-csv", "a", "--from-csv", "b")
        assert "--port says nothing" in refused("review", str(tmp_path), "--to-csv", "a", "--port", "80")
        assert "each row names its own" in refused("review", str(tmp_path), "--from-csv", "a", "--reviewer", "ann")

    def test_a_setting_that_the_builder_does_not_have(self, config: Path, tmp_path: Path) -> None:
        assert "did you mean 'times'" in built(config, tmp_path / "out", "-S", "time=2")[2]

    def test_a_build_without_a_config_or_an_output(self) -> None:
        assert "--config" in refused("mis", "--out", "x")
        assert "--out" in refused("mis", "--config", "x")


class TestASetThatStands:
    def test_is_none_without_a_manifest(self, tmp_path: Path) -> None:
        assert "nothing was built here" in refused("show", str(tmp_path), "a#0")
        for words in (("verify",), ("push",)):
            more = {"push": ["someone/set"]}.get(words[0], [])
            assert "build.json" in refused(*words, str(tmp_path), *more)

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
