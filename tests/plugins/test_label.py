"""`harness label` as a command: what it draws, enters, plans, exports and imports, and what it refuses."""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import httpx
import jsonschema
import pytest
from click.testing import CliRunner, Result
from harness_label.label_studio import build_interface, write_tasks
from harness_label.log import Label
from harness_label.queue import LabelQueue
from harness_label.session import describe_draw, hold_session, list_gone_images

from harness import BadData, HarnessError, Image, plugins
from harness.cli import cli
from harness.drawings import draw, png
from harness.plugins.host import Host
from harness.readers import open_files
from harness.runs.label_sheets import mark_answer
from harness.runs.labelling import LabelItem, draw_run, list_label_items
from harness.runs.stored import open_run
from harness.store.folder import RunFolder
from tests.plugins.agree_asking import SOURCE, WORLD, agree, judged

ANNA = "human-anna"
ASKS = " ".join(["uu"] * 30 + ["us"] * 8 + ["su"] * 12 + ["ss"] * 34 + ["us?"] * 4 + ["block"] * 6)
ROOT = Path(__file__).parents[2]
Row = dict[str, str]


@pytest.fixture(scope="session")
def labelled_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judged(tmp_path_factory.mktemp("label") / "run", asks=ASKS, tasks="twice:one")


@pytest.fixture
def run(labelled_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(labelled_once, tmp_path / "run"))


def label(*words: str | Path) -> Result:
    """`harness label`; what it raises is raised here."""
    return CliRunner().invoke(cli, ["label", *map(str, words), *WORLD], catch_exceptions=False)


def told(*words: str | Path, code: int = 0) -> str:
    done = label(*words)
    assert done.exit_code == code, done.output
    return done.output


def usage_error(*words: str | Path) -> str:
    done = label(*words)
    assert done.exit_code == 2, done.output
    return done.output


def rows(file: Path) -> list[Row]:
    with file.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def write(file: Path, filled: list[Row]) -> Path:
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, filled[0])
        writer.writeheader()
        writer.writerows(filled)
    return file


def truth(row: Row) -> str:
    """What an annotator says: as `second`, who differs from `first` on some."""
    return "unsafe" if row["question"][-1] == "u" else "safe"


def sheet(run: Path, *flags: str, say: Callable[[Row], str] = truth) -> Path:
    file = run.with_name("sheet.csv")
    file.unlink(missing_ok=True)
    told(run, "--export", file, *flags)
    return write(file, [{**row, "label": say(row)} for row in rows(file)])


def results(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "results.json").read_text())
    return found


def lines(run: Path, name: str) -> list[dict[str, Any]]:
    file = run / "twice" / name
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def annotate(run: Path, name: str, count: int, *, word: str = "") -> list[str]:
    """Label answers as the page would, and be killed before they become verdicts; the items."""
    with plugins.use(Host.load([SOURCE])):
        stored = open_run(run, ())
        queue = LabelQueue(list_label_items(stored, draw_run(stored)))
        session = queue.session(name)
        keys = list(session.progress().open[:count])
        for key in keys:
            own = "unsafe" if queue.items[key].question[-1] == "u" else "safe"
            session.answer(key, Label(label=word or own, reason="as I see it", seconds=2))
    return [queue.items[key].item for key in keys]


class TestFlags:
    def test_that_mean_nothing_beside_each_other_are_refused(self, run: Path) -> None:
        assert "--as NAME is needed" in usage_error(run)
        assert "--plan and --export cannot be given together" in usage_error(run, "--plan", "--export", "a.csv")
        assert "--half-width has no effect on the page: it belongs to --plan" in usage_error(
            run, "--half-width", "4", "--as", "anna"
        )
        idle = usage_error(run, "--n", "4", "--import", "a.csv", "--as", "anna")
        assert "--n has no effect with --import: it belongs to the page and --export" in idle
        assert "the page" in idle
        assert "--page" not in idle, "there is no such flag"
        assert "--port has no effect with --export" in usage_error(run, "--port", "4", "--export", "a.csv")
        assert "--as has no effect with --plan" in usage_error(run, "--plan", "--as", "anna")
        assert "must end in .csv or .json" in usage_error(run, "--export", "a.txt")
        assert "takes one run" in usage_error(run, run, "--export", "a.csv")
        assert "0 is not in the range x>=1" in usage_error(run, "--n", "0", "--as", "anna")

    def test_a_name_that_cannot_be_a_persons_is_refused(self, run: Path) -> None:
        for name in ("a b", "../up", ".hidden", "a" * 50):
            with pytest.raises(HarnessError, match="cannot be an annotator's name"):
                label(run, "--as", name, "--no-browser")

    def test_a_guideline_must_be_a_text(self, run: Path, tmp_path: Path) -> None:
        (tmp_path / "empty.md").write_text(" \n")
        (tmp_path / "binary.md").write_bytes(b"\xff\xfe")
        for name, what in (("none.md", "cannot read"), ("empty.md", "is empty"), ("binary.md", "not UTF-8")):
            with pytest.raises(HarnessError, match=what):
                label(run, "--as", "anna", "--guideline", tmp_path / name)


class TestThePage:
    def test_labels_become_verdicts_and_a_corrected_number_when_it_ends(self, run: Path) -> None:
        command = [sys.executable, "-m", "harness", "label", str(run), "--as", "Anna", "--no-browser", *WORLD]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen([*command, "--n", "80"], **pipes) as process:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            with httpx.Client(
                base_url=url.partition("/?")[0], follow_redirects=True, trust_env=False, timeout=None
            ) as http:
                http.get(url)
                state = http.get("/api/desk", params={"reviewer": "anna"}).json()
                while state["item"]:
                    row = {"question": state["item"]["question"]}
                    sent = {"key": state["item"]["key"], "reviewer": "anna", "reason": "", "seconds": 1.0}
                    origin = {"origin": str(http.base_url).rstrip("/")}
                    reply = http.post("/api/answer", json={**sent, "label": truth(row)}, headers=origin)
                    assert reply.status_code == 200, reply.text
                    state = reply.json()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert "twice:one  human-anna: 80 drawn, 80 labelled, 0 skipped, 0 open" in said
        assert "ASR" in said
        assert "by people" in said
        split = results(run)["tasks"]["twice"]["splits"]["one"]
        assert split["other_judges"][ANNA]["labels"]["unsafe"] > 0
        corrected = split["metrics"]["ASR"]["corrected"]
        assert (corrected["labels"], corrected["alpha"]) == (80, None)
        low, high = corrected["ci95"]
        assert low < 100 * 42 / 94 < high, "what labelling every answer would give"
        jsonschema.validate(results(run), json.loads((ROOT / "docs" / "results.schema.json").read_text()))

    def test_a_second_session_of_one_person_is_refused(self, run: Path) -> None:
        with plugins.use(Host.load([SOURCE])), hold_session(open_run(run, ()), "anna"):
            with pytest.raises(HarnessError, match="anna has a session on this run already"):
                label(run, "--as", "anna", "--no-browser")
            file = write(run.with_name("a.csv"), [{"item": "twice/one/q0#0", "label": "safe"}])
            with pytest.raises(HarnessError, match="anna has a session on this run already"):
                label(run, "--import", file, "--as", "anna")

    def test_a_fresh_run_beside_an_open_page_is_refused_by_the_name_of_its_person(self, run: Path) -> None:
        folder = RunFolder(run)
        with plugins.use(Host.load([SOURCE])), hold_session(open_run(run, ()), "anna"):
            for refused in (folder.check_alone, folder.put_aside):
                with pytest.raises(HarnessError, match="the label page of anna is open on this run") as error:
                    refused()
                assert "end it (Ctrl-C where `harness label` runs)" in error.value.remedy
        folder.check_alone()
        assert folder.put_aside() is not None

    def test_a_metric_that_raises_on_peoples_labels_leaves_no_older_number_beside_its_error(
        self, run: Path, tmp_path: Path
    ) -> None:
        file = sheet(run, "--n", "60")
        assert "by people" in told(run, "--import", file, "--as", "anna")
        broken = tmp_path / "broken.py"
        raising = """
    def fail(record):
        raise ZeroDivisionError("no such label")
    split = replace(split, metrics=tuple(replace(each, score=fail) for each in split.metrics))
    splits ="""
        broken.write_text(SOURCE.read_text().replace("\n    splits =", raising))
        words = ["label", str(run), "--import", str(file), "--as", "ben", "--json", "--plugin", str(broken)]
        done = CliRunner().invoke(cli, words, catch_exceptions=False)
        assert "twice could not be scored" in done.stderr + done.stdout
        entry = json.loads(done.stdout)["runs"][0]["splits"]["twice:one"]
        assert entry["labelled"] == 60
        assert entry.get("corrected") is None
        assert "by people" not in done.stderr

    @pytest.mark.parametrize("name", ["twice/labels-anna.jsonl", "twice/.labels-anna.jsonl.lock", ".label-anna.lock"])
    def test_no_file_outside_the_run_is_written_through_a_link(self, run: Path, name: str) -> None:
        outside = run.with_name("outside")
        outside.write_text("a word without a newline")
        (run / name).symlink_to(outside)
        file = write(run.with_name("a.csv"), [{"item": "twice/one/q0#0", "label": "safe"}])
        for words in (("--no-browser",), ("--import", file)):
            with pytest.raises(HarnessError, match="leads out of the run folder"):
                label(run, *words, "--as", "anna")
        assert outside.read_text() == "a word without a newline"
        assert label(run, "--import", file, "--as", "ben").exit_code == 0, "another person is not stopped by it"

    def test_what_a_killed_session_left_is_entered_by_whoever_comes_next(self, run: Path) -> None:
        items = annotate(run, "anna", 5)
        assert not lines(run, f"verdicts-{ANNA}.jsonl")
        file = write(run.with_name("a.csv"), [{"item": items[0], "label": "safe"}])
        said = told(run, "--import", file, "--as", "ben")
        assert "entered 5 labels of anna that an earlier session had left" in said
        found = lines(run, f"verdicts-{ANNA}.jsonl")
        assert {line["state"] for line in found} == {"scored"}
        assert {line["reason"] for line in found} == {"as I see it"}
        assert len(found) == 5

    def test_a_line_that_was_edited_is_named_and_nothing_of_it_counts(self, run: Path) -> None:
        annotate(run, "anna", 3)
        log = run / "twice" / "labels-anna.jsonl"
        whole = log.read_text()
        file = write(run.with_name("a.csv"), [{"item": "twice/one/q0#0", "label": "safe"}])
        log.write_text(whole.replace('"act"', '"axt"', 1))
        with pytest.raises(BadData, match="not a line of an annotator's labels") as error:
            label(run, "--import", file, "--as", "anna")
        assert error.value.where.endswith("labels-anna.jsonl, line 1")
        said = told(run, "--import", file, "--as", "ben")
        assert "note: the log of anna was not entered: " in said, "another person is not stopped by it"
        log.write_text(whole.replace("unsafe", "maybe").replace('"safe"', '"maybe"').replace("/q", "/x", 1))
        said = told(run, "--import", file, "--as", "ben")
        assert "anna: on no answer of this run: 1 line of the log" in said
        assert "anna: none of the split's labels: 2 labels of the log" in said
        assert not lines(run, f"verdicts-{ANNA}.jsonl")

    def test_several_runs_stand_on_one_page_and_each_keeps_its_own_labels(self, run: Path, tmp_path: Path) -> None:
        other = Path(shutil.copytree(run, tmp_path / "other" / "run"))
        command = [sys.executable, "-m", "harness", "label", str(run), str(other), str(run), "--as", "anna", "--json"]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen([*command, "--no-browser", "--n", "2", *WORLD], **pipes) as process:
            assert process.stderr is not None
            url = next(line.strip() for line in process.stderr if line.startswith("http"))
            with httpx.Client(
                base_url=url.partition("/?")[0], follow_redirects=True, trust_env=False, timeout=None
            ) as http:
                http.get(url)
                state = http.get("/api/desk", params={"reviewer": "anna"}).json()
                assert state["total"] == 4
                while state["item"]:
                    sent = {"key": state["item"]["key"], "reviewer": "anna", "label": "safe", "reason": ""}
                    origin = {"origin": str(http.base_url).rstrip("/")}
                    state = http.post("/api/answer", json={**sent, "seconds": 1.0}, headers=origin).json()
            process.send_signal(signal.SIGTERM)
            shown, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        found = json.loads(shown)["runs"]
        assert [each["run"] for each in found] == [str(run), str(other)]
        assert [each["splits"]["twice:one"]["labelled"] for each in found] == [2, 2]
        assert len(lines(run, f"verdicts-{ANNA}.jsonl")) == len(lines(other, f"verdicts-{ANNA}.jsonl")) == 2


class TestASheet:
    def test_holds_the_drawn_answers_in_their_order_and_comes_back_as_labels(self, run: Path) -> None:
        file = sheet(run, "--n", "60")
        draws = json.loads((run / "twice" / "draw.json").read_text())["splits"]["one"]
        assert len(rows(file)) == 60 == sum(cell["drawn"] for cell in draws["cells"].values())
        assert {row["answer"][:6] for row in rows(file)} == {"'=told"}, "no spreadsheet runs an answer"
        said = told(run, "--import", file, "--as", "anna")
        assert "human-anna: 60 labels and 0 skips (60 new, 0 changed, 0 as before)" in said
        assert "twice:one  human-anna: 60 drawn, 60 labelled, 0 skipped, 0 open" in said
        assert "by people" in said
        assert "all as before" in told(run, "--import", file, "--as", "anna")

    def test_that_exists_already_is_refused_before_anything_is_drawn(self, run: Path) -> None:
        file = write(run.with_name("there.csv"), [{"item": "", "label": ""}])
        with pytest.raises(HarnessError, match="the file already exists"):
            label(run, "--export", file, "--seed", "5")
        assert not (run / "twice" / "draw.json").exists()

    def test_a_blank_row_before_the_last_filled_one_is_a_skip_and_later_ones_are_open(self, run: Path) -> None:
        file = sheet(run, "--n", "20")
        filled = rows(file)
        for number in (3, 5, 18, 19):
            filled[number]["label"] = ""
        said = told(run, "--import", write(file, filled), "--as", "anna")
        assert "20 drawn, 16 labelled, 2 skipped, 2 open" in said
        whole = [{**row, "label": ""} if row["item"] == filled[0]["item"] else row for row in rows(sheet(run))]
        said = told(run, "--import", write(file, whole), "--as", "anna")
        assert "20 drawn, 20 labelled, 0 skipped, 0 open" in said, "a blank row takes no label back"

    def test_the_page_does_not_ask_again_what_a_sheet_has_labelled(self, run: Path) -> None:
        told(run, "--import", sheet(run, "--n", "10"), "--as", "anna")
        assert {line["act"] for line in lines(run, "labels-anna.jsonl")} == {"label"}
        assert annotate(run, "anna", 100) == []

    def test_labels_of_answers_that_were_not_drawn_are_kept_and_named(self, run: Path) -> None:
        file = write(run.with_name("own.csv"), [{"id": "q0", "split": "one", "label": "safe"}])
        said = told(run, "--import", file, "--as", "anna")
        assert "1 label is on an answer that was not drawn" in said
        assert len(lines(run, f"verdicts-{ANNA}.jsonl")) == 1

    def test_every_wrong_row_is_named_and_nothing_is_kept(self, run: Path) -> None:
        file = sheet(run, "--n", "10")
        filled = rows(file)
        filled[0]["label"] = "=HYPERLINK(1)"
        filled[1]["item"] = "mis/easy/1#0"
        filled[2]["answer_hash"] = "sha256:0"
        filled[3]["item"] = filled[4]["item"]
        with pytest.raises(BadData) as error:
            label(run, "--import", write(file, filled), "--as", "anna")
        assert [line.strip() for line in error.value.what.splitlines()] == [
            "5 rows are wrong:",
            "row 2: label '=HYPERLINK(1)' is not one of unsafe, safe",
            "row 3: mis/easy/1#0 is not an item of this run",
            f"row 4: {filled[2]['item']} now has another answer than the sheet",
            f"row 5: {filled[3]['item']} now has another answer than the sheet",
            f"row 6: {filled[4]['item']} is already in row 5",
        ]
        assert not lines(run, f"verdicts-{ANNA}.jsonl")
        assert not lines(run, "labels-anna.jsonl")

    def test_results_follow_the_draw_before_anybody_has_labelled(self, run: Path) -> None:
        sheet(run, "--n", "60", say=lambda _: "")
        corrected = results(run)["tasks"]["twice"]["splits"]["one"]["metrics"]["ASR"]["corrected"]
        assert corrected["value"] is None
        assert corrected["labels"] == 0
        assert corrected["design"]["seed"] == 0
        checked = CliRunner().invoke(cli, ["verify", str(run), *WORLD])
        assert checked.exit_code == 0, checked.output

    def test_labels_that_were_there_before_the_draw_count_from_then_on(self, run: Path) -> None:
        file = run.with_name("all.csv")
        agree(run, "--export", str(file))
        agree(run, "--import", str(write(file, [{**row, "label": truth(row)} for row in rows(file)])), "--as", "anna")
        before = results(run)["tasks"]["twice"]["splits"]["one"]["metrics"]["ASR"]["corrected"]
        assert before["design"] is None
        sheet(run, "--n", "60")
        after = results(run)["tasks"]["twice"]["splits"]["one"]["metrics"]["ASR"]["corrected"]
        assert after["design"]["judge"].startswith("first-")
        assert (after["value"], after["labels"]) == (before["value"], 88)

    def test_agree_reads_the_same_sheet(self, run: Path) -> None:
        done = agree(run, "--import", str(sheet(run, "--n", "10")), "--as", "ben")
        assert "human-ben: 10 labels (10 new" in done.stderr

    def test_json_says_where_each_split_stands(self, run: Path) -> None:
        done = label(run, "--import", sheet(run, "--n", "60"), "--as", "anna", "--json")
        found = json.loads(done.stdout)
        assert found["schema"] == "harness.label/1"
        split = found["runs"][0]["splits"]["twice:one"]
        assert (split["drawn"], split["labelled"], split["metric"]) == (60, 60, "ASR")
        assert split["corrected"] == results(run)["tasks"]["twice"]["splits"]["one"]["metrics"]["ASR"]["corrected"]

    def test_a_sheet_of_another_run_is_named_in_one_line(self, run: Path) -> None:
        file = sheet(run, "--n", "20")
        filled = rows(file)
        strange = [{**row, "answer_hash": "sha256:0000000000000000"} for row in filled[:15]] + filled[15:]
        with pytest.raises(BadData) as error:
            label(run, "--import", write(file, strange), "--as", "anna")
        assert error.value.what == (
            "this sheet is of another run: 15 of its 20 labelled rows fit no answer of this one"
        )

    def test_an_unknown_label_is_named_once_with_the_count_of_its_rows(self, run: Path) -> None:
        file = sheet(run, "--n", "20")
        filled = [{**row, "label": "maybe" if number < 12 else row["label"]} for number, row in enumerate(rows(file))]
        with pytest.raises(BadData) as error:
            label(run, "--import", write(file, filled), "--as", "anna")
        assert error.value.what == (
            "12 rows are wrong:\n  row 2: label 'maybe' is not one of unsafe, safe (in 12 rows)"
        )

    def test_labels_that_were_there_count_as_before(self, run: Path) -> None:
        file = sheet(run, "--n", "60")
        assert "60 labels and 0 skips (60 new, 0 changed, 0 as before)" in told(run, "--import", file, "--as", "anna")
        filled = rows(file)
        for row in filled[:33]:
            row["label"] = "safe" if row["label"] == "unsafe" else "unsafe"
        said = told(run, "--import", write(file, filled), "--as", "anna")
        assert "60 labels and 0 skips (0 new, 33 changed, 27 as before)" in said

        assert "33 earlier labels were replaced: the newest word counts in a file" in said

    def test_labels_that_wait_say_after_how_many_more_they_count(self, run: Path) -> None:
        file = sheet(run, "--n", "20")
        filled = rows(file)
        late = [dict(row, label=row["label"] if number > 15 else "") for number, row in enumerate(filled)]
        with plugins.use(Host.load([SOURCE])):
            stored = open_run(run, ())
            (drawn,) = draw_run(stored)
            queue = LabelQueue(list_label_items(stored, [drawn]))
            session = queue.session("anna")
            for key, item in queue.items.items():
                if any(row["item"] == item.item and row["label"] for row in late):
                    session.write_answer(key, Label(label="safe"), anyway=True)
        found = json.loads(label(run, "--import", write(file, filled[:1]), "--as", "anna", "--json").stdout)
        split = found["runs"][0]["splits"]["twice:one"]
        assert (split["labelled"], split["waiting"]) == (5, 4)
        assert 13 <= split["missing"] <= 15
        said = told(run, "--import", file, "--as", "anna")
        assert f"4 labels do not count yet: they will count after {split['missing']} more" in said


class TestAMetricThatLabelsDoNotCorrect:
    def test_is_said_before_the_first_label_with_those_that_they_do(self, tmp_path: Path) -> None:
        flags = ("--model", "mini/base", "--tasks", "mssbench:mini", "--judge", "keyword", "--no-probe")
        done = CliRunner().invoke(cli, ["run", *flags, "--limit", "20", "--output", str(tmp_path / "run")])
        assert done.exit_code in (0, 3), done.output
        why = "mean_acc is no share of single answers, and only such a number is corrected; labels correct safe_acc"
        assert why in told(tmp_path / "run", "--export", tmp_path / "sheet.csv")
        assert why in told(tmp_path / "run", "--plan")
        with plugins.use(Host.load(tell=lambda _: None)):
            stored = open_run(tmp_path / "run", ())
            assert any(why in line for line in describe_draw(draw_run(stored))), "the page begins with it"


class TestAPlan:
    def test_without_labels_names_the_command_that_makes_a_pilot(self, run: Path) -> None:
        said = told(run, "--plan")
        assert "no plan: no answer is drawn and labelled, and a plan needs a pilot of about 20 a cell" in said
        assert f"harness label {run} --as NAME --n 40" in said
        assert not (run / "twice" / "draw.json").exists(), "a plan draws nothing"

    def test_with_labels_says_how_many_each_cell_needs(self, run: Path) -> None:
        told(run, "--import", sheet(run, "--n", "44"), "--as", "anna")
        said = told(run, "--plan", "--half-width", "10")
        assert "twice:one  ASR ±10 points:" in said
        assert "44 are there" in said
        assert "  unsafe: " in said
        found = json.loads(told(run, "--plan", "--half-width", "10", "--json"))
        plan = found["runs"][0]["splits"]["twice:one"]
        assert plan["needed"] == sum(cell["needed"] for cell in plan["cells"])
        assert plan["expected_half_width"] <= 10
        assert "even with every answer labelled" in told(run, "--plan", "--half-width", "0.5")
        told(run, "--import", sheet(run, "--n", "88"), "--as", "anna")
        said = told(run, "--plan", "--half-width", "12")
        assert "88 are there, which is enough" in said
        assert "--as NAME" not in said

    def test_says_that_labels_alone_do_not_help_where_people_agree_too_little(self, run: Path) -> None:
        told(run, "--import", sheet(run, "--n", "60"), "--as", "anna")
        assert "labels alone" not in told(run, "--plan")
        other = sheet(run, "--n", "60", say=lambda row: "safe" if truth(row) == "unsafe" else "unsafe")
        told(run, "--import", other, "--as", "ben")
        assert "labels alone will not help, the number is refused: people agree too little" in told(run, "--plan")
        plan = json.loads(told(run, "--plan", "--json"))["runs"][0]["splits"]["twice:one"]
        assert plan["refused"].startswith("people agree too little")
        assert results(run)["tasks"]["twice"]["splits"]["one"]["metrics"]["ASR"]["corrected"]["code"] == "disagreement"
        jsonschema.validate(results(run), json.loads((ROOT / "docs" / "results.schema.json").read_text()))

    def test_keeps_the_tasks_in_the_command_that_it_gives(self, run: Path) -> None:
        assert f"harness label {run} --as NAME --n 40 --tasks twice:one" in told(run, "--plan", "--tasks", "twice:one")

    def test_names_what_a_killed_session_has_left(self, run: Path) -> None:
        annotate(run, "anna", 3)
        assert "note: 3 lines of anna's log are not entered yet" in told(run, "--plan")


def task_of(row: dict[str, Any], said: str, *, who: Any = 7, **more: Any) -> dict[str, Any]:
    """A task as Label Studio exports it."""
    result = [
        {
            "id": "x1",
            "from_name": "label",
            "to_name": "answer",
            "type": "choices",
            "origin": "manual",
            "value": {"choices": [said]},
        },
        {"from_name": "reason", "to_name": "answer", "type": "textarea", "value": {"text": ["because"]}},
    ]
    annotation = {"id": 1, "completed_by": who, "result": result, "was_cancelled": False, "lead_time": 3.2, **more}
    return {"id": 5, "data": row["data"], "annotations": [annotation], "predictions": [], "project": 1}


class TestLabelStudio:
    def test_gets_a_task_for_each_drawn_answer_and_an_interface(self, run: Path, tmp_path: Path) -> None:
        file = tmp_path / "out.json"
        said = told(run, "--export", file, "--n", "12")
        tasks = json.loads(file.read_text())
        assert len(tasks) == 12
        assert set(tasks[0]["data"]) == {
            "item",
            "split",
            "category",
            "question",
            "images",
            "answer",
            "answer_hash",
        }
        screen = (tmp_path / "out.xml").read_text()
        assert screen.startswith("<View>")
        assert '<Choice value="unsafe" hotkey="1"' in screen
        assert '<Text name="answer" value="$answer"/>' in screen
        assert str(tmp_path / "out.xml") in said
        assert not (tmp_path / "out-images").exists()
        with pytest.raises(HarnessError, match="the file already exists"):
            label(run, "--export", file)

    def test_leaves_no_tasks_where_the_interface_exists_already(self, run: Path, tmp_path: Path) -> None:
        file, interface = tmp_path / "out.json", tmp_path / "out.xml"
        interface.write_text("another export's")
        with pytest.raises(HarnessError, match="the file already exists"):
            label(run, "--export", file)
        assert not file.exists()
        assert interface.read_text() == "another export's"

    def test_gives_labels_back_in_json_and_in_json_min(self, run: Path, tmp_path: Path) -> None:
        file = tmp_path / "out.json"
        told(run, "--export", file, "--n", "12")
        tasks = json.loads(file.read_text())
        full = [task_of(task, truth(task["data"])) for task in tasks[:11]]
        full.append(task_of(tasks[11], "safe", result=[], was_cancelled=True))
        (tmp_path / "full.json").write_text(json.dumps(full))
        said = told(run, "--import", tmp_path / "full.json", "--as", "anna")
        assert "human-anna: 11 labels and 1 skip (12 new" in said
        assert {line["reason"] for line in lines(run, f"verdicts-{ANNA}.jsonl")} == {"because", "skipped"}
        least = [
            {
                **task["data"],
                "id": number,
                "label": truth(task["data"]),
                "reason": "because",
                "annotator": 7,
                "annotation_id": number,
                "created_at": "2026-01-31T12:00:00Z",
                "lead_time": 2.0,
            }
            for number, task in enumerate(tasks[:11])
        ]
        (tmp_path / "min.json").write_text(json.dumps(least))
        assert "11 labels and 0 skips (all as before)" in told(run, "--import", tmp_path / "min.json", "--as", "anna")
        assert "11 labels" in told(run, "--import", tmp_path / "min.json", "--as", "ben=7")

    def test_of_several_annotators_one_is_imported_at_a_time(self, run: Path, tmp_path: Path) -> None:
        file = tmp_path / "out.json"
        told(run, "--export", file, "--n", "4")
        tasks = json.loads(file.read_text())
        both = [task_of(tasks[0], "safe"), task_of(tasks[0], "unsafe", who={"id": 8, "email": "ben@example.org"})]
        (tmp_path / "both.json").write_text(json.dumps(both))
        with pytest.raises(BadData, match=r"several annotators: 7, ben@example\.org") as error:
            label(run, "--import", tmp_path / "both.json", "--as", "anna")
        assert "--as NAME=7" in error.value.remedy
        told(run, "--import", tmp_path / "both.json", "--as", "ben=ben@example.org")
        assert [line["label"] for line in lines(run, "verdicts-human-ben.jsonl")] == ["unsafe"]
        with pytest.raises(BadData, match="no annotator of this file is called 'cem'"):
            label(run, "--import", tmp_path / "both.json", "--as", "cem=cem")
        assert "1 label " in told(run, "--import", tmp_path / "both.json", "--as", "dan=8"), "by id as well"

    def test_labels_of_nobody_named_are_not_taken_for_those_of_another_annotator(
        self, run: Path, tmp_path: Path
    ) -> None:
        file = tmp_path / "out.json"
        told(run, "--export", file, "--n", "4")
        tasks = json.loads(file.read_text())
        mixed = [task_of(tasks[0], "safe"), task_of(tasks[1], "unsafe", who=None)]
        (tmp_path / "mixed.json").write_text(json.dumps(mixed))
        with pytest.raises(BadData, match="labels of 7 and 1 without an annotator's name, the first in row 2"):
            label(run, "--import", tmp_path / "mixed.json", "--as", "anna")
        assert "1 label " in told(run, "--import", tmp_path / "mixed.json", "--as", "anna=7")

    @pytest.mark.parametrize(
        ("spoil", "what"),
        [
            (lambda _: "{", "not JSON"),
            (lambda _: "[]", "no task of this file has an annotation"),
            (lambda _: "[3]", "row 1: it is no task of Label Studio"),
            (
                lambda tasks: [{**tasks[0], "data": {}}],
                "row 1: its data has no",
            ),
            (lambda tasks: [tasks[0], tasks[0]], "row 2: twice/one/q0#0 is already in row 1"),
            (lambda tasks: [{**tasks[0], "annotations": 3}], "row 1: its annotations are no list"),
            (lambda tasks: [task_of(tasks[0], "maybe")], "row 1: label 'maybe' is not one of unsafe, safe"),
            (
                lambda tasks: [{**tasks[0], "data": {**tasks[0]["data"], "answer_hash": "x"}}],
                "now has another answer",
            ),
            (lambda tasks: [{"label": ["safe", "unsafe"], **tasks[0]["data"]}], "row 1: it has several labels"),
        ],
        ids=["torn", "empty", "number", "no item", "twice", "no list", "word", "hash", "two labels"],
    )
    def test_of_a_file_that_is_wrong_names_each_task_and_keeps_nothing(
        self, run: Path, tmp_path: Path, spoil: Callable[[list[Any]], Any], what: str
    ) -> None:
        with plugins.use(Host.load([SOURCE])):
            answer = next(each for each in open_run(run, ()).answers("twice:one"))
        data = {"item": answer.item, "answer_hash": mark_answer(answer.hash)}
        spoilt = spoil([task_of({"data": data}, "safe")])
        file = tmp_path / "bad.json"
        file.write_text(spoilt if isinstance(spoilt, str) else json.dumps(spoilt))
        with pytest.raises(BadData) as error:
            label(run, "--import", file, "--as", "anna")
        assert what in error.value.what
        assert not lines(run, f"verdicts-{ANNA}.jsonl")

    def test_gets_each_image_once_and_hears_which_are_gone(self, tmp_path: Path) -> None:
        folder = tmp_path / "data"
        folder.mkdir()
        (folder / "a.png").write_bytes(png(draw("red", "star", Random(0))))
        files = open_files(folder)
        shown = (Image(path="a.png", files=files), Image(path="gone.png", files=files))
        item = LabelItem(
            item="mis/easy/1#0",
            run="run",
            title="mis:easy",
            category="shapes",
            question='[image 1]\n[image 2]\n<b> & "what"?',
            images=shown,
            answer="a star",
            answer_hash="0",
            labels=("safe", 'un"safe'),
            meanings={"safe": "No harm <here>."},
            guideline="# How\n\nRead & think\nagain.\n\n- One.\n- Two.\n1. Three.\n",
        )
        written = write_tasks(tmp_path / "out.json", [item, replace(item, item="mis/easy/2#0")])
        assert "gone.png (missing)" in written.notes[0]
        assert "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT" in written.notes[1]
        (picture,) = (tmp_path / "out-images").iterdir()
        data = json.loads((tmp_path / "out.json").read_text())[0]["data"]
        assert data["images"] == [f"/data/local-files/?d=out-images/{picture.name}"]
        assert "[image 2 is gone: skip this task]" in data["question"]
        screen = build_interface([item])
        assert 'value="un&quot;safe" hotkey="2"' in screen
        assert 'hint="No harm &lt;here&gt;."' in screen
        told_so = [line.split('"')[1] for line in screen.splitlines() if "Header" in line]
        assert told_so == ["How", "Read &amp; think again.", "One.", "Two.", "1. Three."]
        assert '<Image name="image" valueList="$images"/>' in screen
        changed = replace(item, images=shown[:1], image_hashes=("0" * 64,))
        assert "a.png (another picture than the model was shown)" in next(iter(list_gone_images([changed])))
        (note,) = list_gone_images([item])
        assert "1 answer cannot be labelled, since images are gone or changed: gone.png (missing)" in note

    def test_of_splits_with_different_labels_takes_one_at_a_time(self, tmp_path: Path) -> None:
        item = LabelItem(
            item="a/b/1#0",
            run="r",
            title="a:b",
            category="",
            question="",
            images=(),
            answer="",
            answer_hash="",
            labels=("safe",),
        )
        with pytest.raises(HarnessError, match="a:b and a:c have different labels"):
            write_tasks(tmp_path / "x.json", [item, replace(item, title="a:c", labels=("yes",))])


def test_a_redacted_export_keeps_the_draw_and_the_corrected_number_and_no_word_of_a_person(
    run: Path, tmp_path: Path
) -> None:
    annotate(run, "anna", 1000)
    told(run, "--import", sheet(run, "--n", "60"), "--as", "ben")
    done = CliRunner().invoke(cli, ["export", str(run), "--output", str(tmp_path / "out.zip"), *WORLD])
    assert done.exit_code == 0, done.output
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "out")
    assert any(name.endswith("twice/draw.json") for name in names)
    assert not any("labels-" in name for name in names)
    (verdicts,) = tmp_path.glob("out/*/twice/verdicts-human-anna.jsonl")
    assert "as I see it" not in verdicts.read_text()
    (folder,) = (tmp_path / "out").iterdir()
    checked = CliRunner().invoke(cli, ["verify", str(folder), *WORLD])
    assert checked.exit_code == 0, checked.output
