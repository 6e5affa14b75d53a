"""`harness verify` and `harness export`: what they print and write, and what an archive never holds."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner, Result
from harness_verify.export import export

from harness import plugins
from harness.cli import cli
from harness.errors import HarnessError
from harness.evaluation.options import JudgeOptions, Options
from harness.keys import redact_text, text_hash
from harness.metrics import rate
from harness.models import ModelSpec
from harness.runs.redaction import redact_name, redact_value, remove_keys
from harness.runs.run import judge_async, run_async
from harness.store.records import response_of
from harness.testing.fakes import fake_judge, fake_provider, fake_sample, fake_task, host_of
from tests.core.compared import WORLD, played
from tests.reports.secret_run import change, change_lines, command, run
from tests.reports.secret_world import SECRET


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("runs") / "any")


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "any"))


def code(done: Result) -> int:
    """What the command returned, which the program exits with."""
    returned = done.return_value
    assert isinstance(returned, int), done.exception
    return returned


def spoil(folder: Path) -> None:
    change(
        folder / "results.json", lambda body: body["tasks"]["told"]["splits"]["one"]["metrics"]["ASR"].update(value=1)
    )


def test_a_run_that_is_the_same_says_so_split_by_split(folder: Path) -> None:
    done = command("verify", folder)
    assert code(done) == 0
    head, *parts = done.stdout.splitlines()
    assert head == f"{folder}  said/any + system prompt: same"
    assert [part.split() for part in parts] == [
        ["told:one", "same", "22", "records"],
        ["told:two", "same", "22", "records"],
        ["told:both", "same", "44", "records"],
    ]


def test_a_number_that_differs_is_shown_with_what_was_computed(folder: Path) -> None:
    spoil(folder)
    done = command("verify", folder)
    assert code(done) == 4
    assert "    metrics.ASR.value: 1 stored, 28.5714285714 computed" in done.stdout.splitlines()
    assert "ASR is 1, but 4/14 is given" in done.stdout


def test_many_differences_are_cut_short_for_a_person_and_whole_in_json(folder: Path) -> None:
    (folder / "told" / "asked.jsonl").write_text("", encoding="utf-8")
    assert " more: --json has all" in command("verify", folder).stdout
    (found,) = json.loads(command("verify", folder, "--json").stdout)["runs"]
    assert (found["state"], found["model"]) == ("differs", "said/any")
    one = next(part for part in found["parts"] if part["part"] == "told:one")
    assert {"path": ["records"], "stored": 22, "found": 0} in one["differences"]


def test_bare_results_are_not_verifiable(folder: Path, tmp_path: Path) -> None:
    bare = tmp_path / "results.json"
    shutil.copy(folder / "results.json", bare)
    done = command("verify", bare)
    assert code(done) == 3
    assert "not verifiable: these results come without the lines they count" in done.stdout
    assert "told:one   adds up" in done.stdout


def test_the_worst_of_several_runs_is_the_exit_code(folder: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    (other / "results.json").unlink()
    assert code(command("verify", folder, other)) == 3
    spoil(folder)
    assert code(command("verify", folder, other)) == 4


def test_a_pattern_and_the_results_of_a_run_mean_its_folder(folder: Path) -> None:
    assert code(command("verify", folder.parent / "an*")) == 0
    assert command("verify", folder / "results.json").stdout == command("verify", folder).stdout


def test_a_place_without_a_run_is_refused_with_a_remedy(tmp_path: Path) -> None:
    error = command("verify", tmp_path / "none").exception
    assert isinstance(error, HarnessError)
    assert "harness run" in error.remedy


def test_names_of_strangers_do_not_reach_the_terminal_as_they_are(folder: Path) -> None:
    def evil(body: dict[str, object]) -> None:
        body["model"] = {**body["model"], "ref": "x/\x1b[2J\u202eevil"}  # type: ignore[dict-item]

    change(folder / "results.json", evil)
    done = command("verify", folder)
    assert code(done) == 4
    assert "\x1b" not in done.stdout
    assert "\u202e" not in done.stdout


# -- Export ------------------------------------------------------------------------------------------------------------
HASH = re.compile(r"\[\d+ characters, sha256 [0-9a-f]{64}\]")


def unpacked(folder: Path, to: Path, *flags: str) -> Path:
    output = to / "out.zip"
    done = command("export", folder, "--output", output, *flags)
    assert code(done) == 0, done.stderr
    with zipfile.ZipFile(output) as archive:
        archive.extractall(to / "unpacked")
    return to / "unpacked" / folder.name


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def everything(folder: Path) -> str:
    """All that is in a folder, the names of its files too."""
    texts = [f"{path.relative_to(folder)}\n{path.read_text('utf-8')}" for path in folder.rglob("*") if path.is_file()]
    return "\n".join(texts)


def test_a_redacted_archive_holds_no_text_no_path_and_no_host_of_the_machine(folder: Path, tmp_path: Path) -> None:
    found = everything(unpacked(folder, tmp_path))
    for text in (SECRET, "nobody", "no such file", "/home", "secretary", str(tmp_path), "\x1b", "\u202e", "\\ud800"):
        assert text not in found, text


def test_a_redacted_archive_keeps_who_what_came_of_it_and_every_label(folder: Path, tmp_path: Path) -> None:
    out = unpacked(folder, tmp_path)
    old, new = lines(folder / "told" / "responses.jsonl"), lines(out / "told" / "responses.jsonl")
    same = ("id", "split", "epoch", "key", "outcome", "flags", "usage", "at", "category")
    assert [{key: line[key] for key in same} for line in new] == [{key: line[key] for key in same} for line in old]
    (path,) = (out / "told").glob("verdicts-ruling-*.jsonl")
    assert {line["label"] for line in lines(path)} == {"harmful", "harmless", None}
    assert json.loads((out / "run.json").read_text("utf-8"))["redacted"] is True


def test_an_archive_keeps_what_the_model_was_made_of_without_a_path(folder: Path, tmp_path: Path) -> None:
    training = {"tuned_from": "hf//disk/base", "trained_on": ["lab/mis-train"], "held_out": ["self harm"]}
    for file in ("run.json", "results.json"):
        said = json.loads((folder / file).read_text("utf-8"))
        said["model"]["training"] = {**training, "base_files": f"k1:{'a' * 64}"}
        (folder / file).write_text(json.dumps(said), encoding="utf-8")
    out = unpacked(folder, tmp_path)
    kept = {**training, "tuned_from": "hf/…/base", "base_files": f"k1:{'a' * 64}"}
    for file in ("run.json", "results.json"):
        assert json.loads((out / file).read_text("utf-8"))["model"]["training"] == kept


def test_a_text_is_replaced_by_its_length_and_hash(folder: Path, tmp_path: Path) -> None:
    out = unpacked(folder, tmp_path)
    line = next(each for each in lines(out / "told" / "responses.jsonl") if each["id"] == "plain")
    text = f"yes {SECRET}"
    assert line["text"] == f"[{len(text)} characters, sha256 {text_hash(text)}]"
    assert (line["text_sha256"], line["text_length"]) == (text_hash(text), len(text))
    assert all(HASH.fullmatch(each) for each in (line["reasoning"], *line["notes"], *line["steps"].values()))
    assert line["target"] == {"answer": "yes", "intent": redact_text(SECRET), "level": 0}
    assert line["model"] == "…/weights"


def test_the_numbers_can_be_computed_again_from_a_redacted_archive(folder: Path, tmp_path: Path) -> None:
    out = unpacked(folder, tmp_path)
    assert code(command("verify", out)) == 0
    old, new = (json.loads((each / "results.json").read_text("utf-8")) for each in (folder, out))
    ids = dict(zip(old["judges"], new["judges"], strict=True))
    named = json.dumps(old["tasks"])
    for judge, renamed in ids.items():
        named = named.replace(judge, renamed)
    assert new["tasks"] == json.loads(named)
    assert [judge for judge in ids.values() if "home" in judge] == []


def test_a_label_that_is_changed_in_a_redacted_archive_is_seen(folder: Path, tmp_path: Path) -> None:
    out = unpacked(folder, tmp_path)
    (path,) = (out / "told").glob("verdicts-asking-*.jsonl")
    change_lines(path, lambda line: line.update(label="harmless"))
    assert code(command("verify", out)) == 4


def test_a_verdict_on_another_text_counts_no_more_than_in_the_run_itself(folder: Path, tmp_path: Path) -> None:
    change_lines(folder / "told" / "responses.jsonl", lambda line: line.update(text=line["text"] and "another"))
    done = command("export", folder, "--output", tmp_path / "out.zip")
    assert code(done) == 3
    assert "told:one: differs" in done.stderr
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert json.loads(archive.read("any/MANIFEST.json"))["verified"] == "differs"


def test_a_redacted_run_is_never_judged_or_asked_again(folder: Path, tmp_path: Path) -> None:
    out = unpacked(folder, tmp_path)
    asked = ("run", "--model", "said/any", "--tasks", "told", "--judge", "ruling", "--output", out, "--no-probe")
    for words in (("judge", out, "--judge", "ruling", "--no-probe"), asked):
        error = command(*words).exception
        assert isinstance(error, HarnessError)
        assert "redacted export" in str(error)


def test_an_answer_whose_text_was_taken_out_is_never_read_as_one() -> None:
    with pytest.raises(HarnessError, match="has no text"):
        response_of({"id": "a", "text": "[1 characters, …]", "text_sha256": "0"})


def test_labels_of_a_person_find_their_answers_in_a_redacted_run(folder: Path, tmp_path: Path) -> None:
    out = unpacked(folder, tmp_path)
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("item,label\ntold/one/plain#0,unsafe\n", encoding="utf-8")
    done = command("agree", out, "--import", sheet, "--as", "anna")
    assert code(done) in (0, 3), done.exception
    split = json.loads((out / "results.json").read_text("utf-8"))["tasks"]["told"]["splits"]["one"]
    assert split["other_judges"]["human-anna"]["labels"]["unsafe"] == 1


def test_a_full_archive_is_the_run_itself_and_says_loudly_that_it_may_be_harmful(folder: Path, tmp_path: Path) -> None:
    out = unpacked(folder, tmp_path, "--full")
    for name in ("told/responses.jsonl", "told/asked.jsonl"):
        assert lines(out / name) == lines(folder / name)
    assert "FULL: MAY BE HARMFUL" in (out / "README.txt").read_text("utf-8")
    assert "WARNING" in command("export", folder, "--output", tmp_path / "again.zip", "--full").stderr
    assert code(command("verify", out)) == 0


def test_no_archive_holds_a_key(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", "0123456789abcdef")
    keys = ("0123456789abcdef", "sk-abcdef0123", "hf_abcdefghij", "gsk_abcdefghij0123456")
    text = f"Bearer {keys[0]} {keys[1]} {keys[2]} {keys[3]} api_key=hunter22"
    change_lines(folder / "told" / "responses.jsonl", lambda line: line.update(reasoning=text))
    change(folder / "run.json", lambda body: body["history"][0]["command"].append(f"api_key={keys[1]}"))
    (folder / "log.txt").write_text(text, encoding="utf-8")
    found = everything(unpacked(folder, tmp_path, "--full"))
    for key in (*keys, "hunter22"):
        assert key not in found


def test_an_answer_that_held_a_key_keeps_its_verdict(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", f"yes {SECRET}")
    out = unpacked(folder, tmp_path, "--full")
    assert "[SOME_API_KEY]" in {line["text"] for line in lines(out / "told" / "responses.jsonl")}
    assert code(command("verify", out)) == 0


def test_the_manifest_lists_each_file_with_its_hash(folder: Path, tmp_path: Path) -> None:
    out = unpacked(folder, tmp_path)
    manifest = json.loads((out / "MANIFEST.json").read_text("utf-8"))
    assert (manifest["schema"], manifest["redacted"], manifest["verified"]) == ("harness.export/1", True, "same")
    there = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert there == {*manifest["files"], "MANIFEST.json"}
    assert {"README.txt", "run.json", "results.json", "told/asked.jsonl", "told/responses.jsonl"} < there
    for name, about in manifest["files"].items():
        data = (out / name).read_bytes()
        assert about == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def test_files_that_the_manifest_does_not_list_so_are_named(folder: Path, tmp_path: Path) -> None:
    out = unpacked(folder, tmp_path)
    assert "MANIFEST" not in command("verify", out).stdout
    (out / "README.txt").unlink()
    verdicts = next((out / "told").glob("verdicts-asking*"))
    change_lines(verdicts, lambda line: line.update(reason="another"))
    done = command("verify", out)
    assert code(done) == 0
    assert f"note: not what MANIFEST.json lists: README.txt, told/{verdicts.name}" in done.stdout
    for broken in ("{", "[]", "[" * 100_000, '{"files": {"../any/run.json": {"sha256": ""}}}'):
        (out / "MANIFEST.json").write_text(broken)
        assert "note: not what MANIFEST.json lists: " in command("verify", out).stdout


def test_the_same_run_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        command("export", folder, "--output", tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == sorted(archive.namelist())


def test_keys_that_this_version_does_not_know_stay_at_home(folder: Path, tmp_path: Path) -> None:
    change(folder / "run.json", lambda body: body.update(diary=SECRET))
    change(folder / "results.json", lambda body: body["tasks"]["told"].update(diary=SECRET))
    change_lines(folder / "told" / "responses.jsonl", lambda line: line.update(diary=SECRET))
    output = tmp_path / "out.zip"
    command("export", folder, "--output", output)
    with zipfile.ZipFile(output) as archive:
        assert all(b"diary" not in archive.read(name) for name in archive.namelist())


def test_an_interrupted_run_with_results_is_exported_and_its_half_line_is_not(folder: Path, tmp_path: Path) -> None:
    with (folder / "told" / "responses.jsonl").open("a") as file:
        file.write('{"id":"plain","text":"' + SECRET)
    out = unpacked(folder, tmp_path)
    assert SECRET not in everything(out)


@pytest.mark.parametrize("gone", ["results.json", "run.json"])
def test_a_folder_without_a_whole_run_is_refused(gone: str, folder: Path, tmp_path: Path) -> None:
    (folder / gone).unlink()
    error = command("export", folder, "--output", tmp_path / "out.zip").exception
    assert isinstance(error, HarnessError)
    assert "give the folder of a run that has ended" in error.remedy
    assert not (tmp_path / "out.zip").exists()


def test_a_broken_line_is_refused_with_its_place(folder: Path, tmp_path: Path) -> None:
    change_lines(folder / "told" / "asked.jsonl", lambda line: line.pop("cluster"))
    error = command("export", folder, "--output", tmp_path / "out.zip").exception
    assert isinstance(error, HarnessError)
    assert "asked.jsonl, line 1" in str(error)


def test_an_output_that_cannot_be_written_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    error = command("export", folder, "--output", tmp_path / "file" / "out.zip").exception
    assert isinstance(error, HarnessError)
    assert "--output" in error.remedy


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("gpt-5", "gpt-5"),
        ("qwen/qwen3-vl:free", "qwen/qwen3-vl:free"),
        ("/home/anna/weights", "…/weights"),
        ("C:\\models\\weights", "…/weights"),
        ("./weights", "…/weights"),
        ("../weights", "…/weights"),
        ("~/models/weights", "…/weights"),
        ("http://10.0.0.1:8000/v1", "…/v1"),
        ("", ""),
    ],
)
def test_a_name_stays_and_of_a_path_only_its_end(given: str, shown: str) -> None:
    assert redact_name(given) == shown


@pytest.mark.parametrize("text", ["two words", "a\nb", "\u202e", "http://host:1/v1", "/etc/passwd", "x" * 81])
def test_what_is_no_name_is_taken_out_of_a_setting(text: str) -> None:
    assert redact_value({"setting": [text]}) == {"setting": [redact_text(text)]}


def test_numbers_and_names_of_settings_stay() -> None:
    kept = {"temperature": 0.5, "top_p": None, "on": True, "kind": "if", "of": ["owner/name"]}
    assert redact_value(kept) == kept


def test_a_text_without_a_key_is_left_as_it_is() -> None:
    text = "the token limit is 1024; a secret garden; task: skate"
    assert remove_keys(text) == text


def test_a_redacted_archive_of_a_partly_judged_run_is_verified_with_its_reasons_and_its_draw(tmp_path: Path) -> None:
    made = played(tmp_path / "run", "usb")
    flags = ("--judge", "strict", "--judge-limit", "5", "--no-probe", "--primary")
    assert "played:one is incomplete" in CliRunner().invoke(cli, ["judge", str(made), *flags, *WORLD]).output
    output = tmp_path / "out.zip"
    done = CliRunner().invoke(cli, ["export", str(made), "--output", str(output), *WORLD])
    assert done.exit_code == 0, done.output
    with zipfile.ZipFile(output) as archive:
        archive.extractall(tmp_path / "unpacked")
    results = json.loads((tmp_path / "unpacked" / "run" / "results.json").read_text(encoding="utf-8"))
    found = results["tasks"]["played"]["splits"]["one"]
    assert found["metrics"]["ASR"]["why"].endswith("are labelled: an estimate needs 30")
    assert found["drawn"] is True
    again = CliRunner().invoke(cli, ["verify", str(tmp_path / "unpacked" / "run"), *WORLD])
    assert again.exit_code == 0, again.output


def test_a_draw_of_named_clusters_is_found_again_from_a_redacted_archive_and_from_one_of_that(tmp_path: Path) -> None:
    samples = [fake_sample(f"q{n}", text=str(n), cluster=f"picture {n // 2}") for n in range(200)]
    task = fake_task(lambda: iter(samples), metrics=(rate("ASR", "unsafe", better="lower", main=True),), by=())
    with plugins.use(host_of(fake_provider(lambda _: "yes"), task, fake_judge())):
        made = tmp_path / "run"
        options = Options(model=ModelSpec(ref="fake/run"), tasks=("fake",), output=made, probe=False)
        anyio.run(partial(run_async, options))
        for file in made.glob("*/verdicts-*.jsonl"):
            file.unlink()
        anyio.run(partial(judge_async, made, JudgeOptions(judges=("fake",), probe=False, judge_limit=40)))
        for number in range(2):
            assert json.loads((made / "results.json").read_text())["tasks"]["fake"]["splits"]["all"]["drawn"] is True
            assert export(made, tmp_path / f"{number}.zip", full=False).checked.state == "same"
            with zipfile.ZipFile(tmp_path / f"{number}.zip") as archive:
                archive.extractall(tmp_path / str(number))
            (made,) = (tmp_path / str(number)).iterdir()
