"""The corrected number of a real run of the mini world: after `agree --import`, and in `verify`, `export`, `judge`."""

from __future__ import annotations

import csv
import json
import random
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result
from harness_mis.task import MINI_RULE

import harness
from harness.cli import cli
from harness.runs.following import RunFollower
from harness.runs.labelling import draw_run
from harness.runs.stored import open_run
from harness.runs.verification import verify_run
from tests.core.corrected_reference import correct_rows, measure_alpha, read_rows
from tests.reports.secret_run import change

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "results.schema.json").read_text(encoding="utf-8"))
LABELS = ("unsafe", "safe_reasoning", "safe_refusal", "hallucination")
HITS = {"ASR": {"unsafe"}, "RSR": {"safe_reasoning"}, "RR": {"safe_refusal"}, "HR": {"hallucination"}}


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """240 answers in 120 clusters, which the judge gives three labels or four."""
    folder = tmp_path_factory.mktemp("runs") / "mini"
    harness.run("mini/mirage", "mis:mini", epochs=2, temperature=0.5, output=folder, probe=False)
    return folder


@pytest.fixture
def folder(answered: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(answered, tmp_path / "mini"))


def split(folder: Path) -> dict[str, Any]:
    results = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    jsonschema.validate(results, SCHEMA)
    found: dict[str, Any] = results["tasks"]["mis"]["splits"]["mini"]
    return found


def corrected(folder: Path, metric: str = "ASR") -> dict[str, Any]:
    found: dict[str, Any] = split(folder)["metrics"][metric]["corrected"]
    return found


def draw(folder: Path, n: int) -> tuple[str, ...]:
    (drawn,) = draw_run(open_run(folder, ()), n=n)
    return drawn.items


def label(folder: Path, items: Sequence[str], *people: str, right: float = 0.95) -> Result:
    """Import the sheet of each person, who mostly says what the judge says."""
    (file,) = (folder / "mis").glob("verdicts-mini-*.jsonl")
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    said = {f"mis/mini/{line['id']}#{line['epoch']}": MINI_RULE[line["label"]] for line in lines}
    sheet, blank = folder.parent / "sheet.csv", folder.parent / "blank.csv"
    blank.unlink(missing_ok=True)
    assert CliRunner().invoke(cli, ["agree", str(folder), "--export", str(blank)]).exit_code == 0
    with blank.open(encoding="utf-8-sig", newline="") as stream:
        rows = {row["item"]: row for row in csv.DictReader(stream)}
    done: Result | None = None
    for place, person in enumerate(people):
        rng = random.Random(5 + place)
        filled = [{**rows[item], "label": said[item] if rng.random() < right else rng.choice(LABELS)} for item in items]
        with sheet.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, filled[0])
            writer.writeheader()
            writer.writerows(filled)
        done = CliRunner().invoke(
            cli, ["agree", str(folder), "--import", str(sheet), "--as", person], standalone_mode=False
        )
    assert done is not None
    return done


@pytest.mark.parametrize(("n", "people"), [(60, ("anna",)), (150, ("anna", "ben")), (240, ("anna",))])
def test_the_number_by_people_is_that_of_the_formulas_from_the_lines(
    folder: Path, n: int, people: tuple[str, ...]
) -> None:
    assert label(folder, draw(folder, n), *people).return_value == 0
    rows = read_rows(folder / "mis", "mis", "mini", MINI_RULE, {})
    for metric, hit in HITS.items():
        found = corrected(folder, metric)
        expected = [100 * each for each in correct_rows(rows, hit)]
        assert [found["value"], *found["ci95"]] == pytest.approx(expected, abs=1e-8)
        assert (found["labels"], found["of"]) == (n, 240)
        if len(people) > 1:
            alpha = found["alpha"]["value"]  # none where nobody gave a label that counts
            assert alpha is None or alpha == pytest.approx(measure_alpha(rows, hit))
        else:
            assert found["alpha"] is None


def test_a_run_that_is_labelled_verifies_and_a_number_that_was_changed_does_not(folder: Path) -> None:
    label(folder, draw(folder, 100), "anna", "ben")
    (folder / "mis" / "labels-anna.jsonl").write_text('{"act": "paused"}\n')  # a person's session, which counts nothing
    assert verify_run(folder).state == "same"
    change(
        folder / "results.json",
        lambda body: body["tasks"]["mis"]["splits"]["mini"]["metrics"]["ASR"]["corrected"].update(value=1.0),
    )
    assert verify_run(folder).state == "differs"


def test_answers_that_were_drawn_after_the_results_make_them_stale_and_not_wrong(folder: Path) -> None:
    draw(folder, 100)
    found = verify_run(folder)
    assert found.state == "unverifiable"
    (why,) = {part.why for part in found.parts if part.why}
    assert why.startswith("answers were drawn for people after these results")


def test_a_redacted_archive_recomputes_the_same_number(folder: Path, tmp_path: Path) -> None:
    label(folder, draw(folder, 100), "anna", "ben")
    done = CliRunner().invoke(cli, ["export", str(folder), "--output", str(tmp_path / "out.zip")])
    assert done.exit_code == 0, done.output
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert corrected(unpacked) == corrected(folder)
    assert corrected(unpacked)["value"] is not None
    assert verify_run(unpacked).state == "same"


def test_more_judges_and_an_ensemble_show_the_same_number_by_people(folder: Path) -> None:
    label(folder, draw(folder, 100), "anna")
    before = corrected(folder)
    for flags in (("--judge", "keyword", "--no-probe"), ("--combine", "majority")):
        done = CliRunner().invoke(cli, ["judge", str(folder), *flags])
        assert done.exit_code in (0, 3), done.output
    others = split(folder)["other_judges"]
    assert {judge.partition("-")[0] for judge in others} == {"keyword", "combine", "human"}
    for judge, view in others.items():
        assert view["metrics"]["ASR"].get("corrected") == (None if judge == "human-anna" else before)
    assert verify_run(folder).state == "same"


@pytest.mark.parametrize("broken", ["{", "[]", '{"schema": "harness.draw/2"}'])
def test_a_draw_that_is_broken_takes_the_corrected_number_and_nothing_else(folder: Path, broken: str) -> None:
    items = draw(folder, 100)
    label(folder, items, "anna")
    before = split(folder)["metrics"]
    (folder / "mis" / "draw.json").write_text(broken)
    done = label(folder, items, "ben")
    assert done.return_value == 3
    assert "note: mis: nothing is corrected by people's labels" in done.stderr
    assert "draw.json" in done.stderr
    found = corrected(folder)
    assert (found["value"], found["design"]) == (None, None)
    assert found["why"].startswith("mis/draw.json: ")
    assert str(folder) not in found["why"]
    for name, metric in split(folder)["metrics"].items():
        assert {**metric, "corrected": None} == {**before[name], "corrected": None}
    again = CliRunner().invoke(cli, ["judge", str(folder), "--judge", "keyword", "--no-probe"], standalone_mode=False)
    assert again.return_value == 3
    assert "nothing is corrected by people's labels" in again.stderr


def test_a_run_that_is_labelled_can_be_followed(folder: Path) -> None:
    label(folder, draw(folder, 100), "anna")
    run = RunFollower(folder)
    try:
        assert len(run.advance(1000)) == 240
        assert run.unreadable == 0
    finally:
        run.close()


def test_the_terminal_shows_peoples_number_beside_the_judges(folder: Path) -> None:
    label(folder, draw(folder, 100), "anna")
    found = corrected(folder)
    low, high = found["ci95"]
    shown = CliRunner().invoke(cli, ["report", str(folder)], env={"COLUMNS": "80"}).stdout
    assert f"{found['value']:.1f} [{low:.1f}, {high:.1f}]" in shown
    assert "agreement unknown" in shown
    assert all(len(line.rstrip()) <= 80 for line in shown.splitlines())


def test_labels_of_what_was_not_drawn_are_shown_with_the_reason_why_they_give_no_number(folder: Path) -> None:
    items = draw(folder, 60)
    (folder / "mis" / "draw.json").unlink()
    label(folder, items, "anna")
    assert corrected(folder)["why"].startswith("the labelled answers were not drawn at random")
    assert verify_run(folder).state == "same"


def test_labels_of_every_answer_need_no_draw(folder: Path) -> None:
    items = draw(folder, 240)
    (folder / "mis" / "draw.json").unlink()
    label(folder, items, "anna")
    found, ordinary = corrected(folder), split(folder)["other_judges"]["human-anna"]["metrics"]["ASR"]
    expected = [ordinary["value"], *ordinary["ci95"]]
    assert [found["value"], *found["ci95"]] == pytest.approx(expected, abs=1e-10, rel=0)
    assert found["design"] is None


def test_a_person_who_labelled_a_drawn_part_has_no_number_but_the_corrected_one(folder: Path) -> None:
    label(folder, draw(folder, 60), "anna")
    own = split(folder)["other_judges"]["human-anna"]["metrics"]
    assert own["ASR"]["value"] is None
    assert "the number by people" in own["ASR"]["why"]
    assert own["BLK"]["value"] == 0
    label(folder, draw(folder, 240), "anna")
    assert split(folder)["other_judges"]["human-anna"]["metrics"]["ASR"]["value"] is not None
