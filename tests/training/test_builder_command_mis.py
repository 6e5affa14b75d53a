"""`harness build mis` and the review of what it made, as a person meets them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

from harness_builder.calls.store import CallStore
from harness_builder.people import open_review_queue

from harness import plugins
from harness.testing.conformance import check_builder
from tests.training.configs import error_of, in_the_mini_world
from tests.training.reviewed import answer_all
from tests.training.test_builder_people import written
from tests.training.trained import called


class TestAReview:
    def test_has_its_address_on_stdout_and_ends_with_the_agreement(self, tmp_path: Path) -> None:
        written(tmp_path, 3)
        for name in ("ann", "bob"):
            answer_all(open_review_queue(tmp_path), name, text_unsafe=False)
        with serving_review(tmp_path, "--reviewer", "cem") as process:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)

        assert url.startswith("http://127.0.0.1:")
        assert "reviewer=cem" in url
        assert process.returncode == 0, said
        assert "ann       3        0            0" in said
        assert "kept" in said
        assert "ann and bob  text_unsafe  3              one label only" in said
        assert "100% [44%, 100%]" in said

    def test_goes_by_a_sheet_as_well(self, tmp_path: Path) -> None:
        written(tmp_path, 3)
        sheet = tmp_path / "ann.csv"
        code, shown, said = called(["build", "review", str(tmp_path), "--to-csv", str(sheet), "--reviewer", "Ann"])
        assert (code, shown) == (0, ""), said
        rows = sheet.read_text(encoding="utf-8-sig").splitlines()
        filled = [rows[0], *(row.replace(",,,,,,,ann,,", ",keep,,,no,,,ann,,") for row in rows[1:])]
        sheet.write_text("\n".join(filled), encoding="utf-8")

        code, _, said = called(["build", "review", str(tmp_path), "--from-csv", str(sheet)])
        assert code == 0, said
        assert "3 new, 0 changed, 0 as before" in said
        assert "ann       3" in said
        assert [each.decision for each in open_review_queue(tmp_path).reviews()] == ["keep"] * 3

    def test_shows_a_reviewer_nothing_of_the_others_on_the_sheet(self, tmp_path: Path) -> None:
        written(tmp_path, 2)
        answer_all(open_review_queue(tmp_path), "bob", reason="bob's own reason")
        for name, there in (("ann", False), ("bob", True)):
            called(["build", "review", str(tmp_path), "--to-csv", str(tmp_path / name), "--reviewer", name])
            assert ("bob's own reason" in (tmp_path / name).read_text(encoding="utf-8-sig")) is there

    def test_writes_over_nobodys_sheet(self, tmp_path: Path) -> None:
        written(tmp_path, 1)
        (tmp_path / "ann.csv").write_text("hours of work", encoding="utf-8")

        assert "a person's work" in error_of("review", str(tmp_path), "--to-csv", str(tmp_path / "ann.csv"))

    def test_of_a_sheet_that_cannot_be_read_says_so(self, tmp_path: Path) -> None:
        written(tmp_path, 1)
        (tmp_path / "utf16.csv").write_text("key", encoding="utf-16")

        assert "cannot be read" in error_of("review", str(tmp_path), "--from-csv", str(tmp_path / "none.csv"))
        assert "not UTF-8" in error_of("review", str(tmp_path), "--from-csv", str(tmp_path / "utf16.csv"))

    def test_of_a_folder_without_candidates_names_the_command_that_makes_some(self, tmp_path: Path) -> None:
        assert "run `harness build`" in error_of("review", str(tmp_path))


def serving_review(folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "harness", "build", "review", str(folder), "--no-browser", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class TestMis:
    def test_keeps_the_contract_of_a_builder(self, tmp_path: Path) -> None:
        check_builder(plugins.current().builder("mis"), in_the_mini_world(tmp_path, sort={"review": "none"}))

    def test_waits_for_people_and_goes_on_with_what_they_decided(self, tmp_path: Path) -> None:
        words = ["build", "mis", "--config", str(in_the_mini_world(tmp_path)), "--out", str(tmp_path / "out")]
        code, shown, said = called(words)
        assert (code, shown) == (3, "no records\n"), said
        assert f"harness build review {tmp_path / 'out'}" in said
        asked = spent(tmp_path / "out")
        keys = answer_all(open_review_queue(tmp_path / "out"), "ann", text_unsafe=True)

        code, shown, said = called([*words, "--json"])
        assert code == 0, said
        assert json.loads(shown)["records"] == {"mis_train.json": len(keys)}
        added = {place: calls - asked.get(place, 0) for place, calls in spent(tmp_path / "out").items()}
        assert {step for (step, _), calls in added.items() if calls} == {"label"}

    def test_says_what_leaves_a_finished_set_until_people_have_decided(self, tmp_path: Path) -> None:
        words = ["build", "mis", "--config", str(in_the_mini_world(tmp_path, sort={"review": "none"}))]
        words += ["--out", str(tmp_path / "out")]
        _, before, said = called([*words, "--json"])
        assert "fewer records" not in said
        held = json.loads(before)["records"]
        lost = ", ".join(f"{file} 0 of {number}" for file, number in held.items())

        in_the_mini_world(tmp_path)
        assert f"until people have decided, the set holds fewer records than before: {lost}\n" in called(words)[2]
        assert "fewer records" not in called(words)[2], "they have left it already"
        in_the_mini_world(tmp_path, sort={"review": "none"})
        code, back, said = called([*words, "--json"])
        assert (code, json.loads(back)["records"]) == (0, held), said

    def test_takes_no_source_that_nobody_knows_the_licence_of_unless_it_is_accepted(self, tmp_path: Path) -> None:
        config = in_the_mini_world(tmp_path, sources=[{"name": "found", "path": "ideas.csv"}])
        words = ["mis", "--config", str(config), "--out", str(tmp_path / "out"), "--dry-run"]

        assert "--accept-licence found" in error_of(*words)
        assert called(["build", *words, "--accept-licence", "found"])[0] == 0


def spent(out: Path) -> dict[tuple[str, str], int]:
    """Calls that were made in all builds of a folder, by step and role."""
    with CallStore(out / "work") as store:
        return {(each.step, each.role): each.calls for each in store.total_usage()}
