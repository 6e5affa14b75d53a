"""`harness view`: what its server answers, what it exports, and its flags."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from click.testing import CliRunner, Result
from harness_view.index import Mode, RunIndex, open_indexes
from harness_view.overview import RateMeter, parse_time
from harness_view.page import SIDE
from harness_view.server import view_app
from PIL import Image

from harness.cli import cli
from harness.errors import HarnessError
from harness.metrics import Metric, Record, Share
from harness.types import Failure
from harness.web import serving
from harness.web.pages import first_url
from tests.reports.viewed import FIRST, IMAGES, SECOND, Stored, Told, measured, stored

SECRETS = (
    "secret-question",
    "secret-answer",
    "secret-reason",
    "secret-raw",
    "secret-thought",
    "secret-message",
    "one.png",
)
TOLD = [
    Told(
        id="a",
        question="secret-question",
        answer="secret-answer",
        reason="secret-reason",
        raw="secret-raw",
        reasoning="secret-thought",
        labels={FIRST: "safe", SECOND: "unsafe"},
    ),
    Told(
        id="b", answer=Failure(outcome="error", reason="server", message="secret-message"), question="secret-question"
    ),
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return stored(tmp_path / "run", TOLD)


def index(*folders: Path, mode: Mode = "fold", data: Path | None = None) -> RunIndex:
    first = open_indexes(folders, mode, data)[0]
    while first.advance(100):
        pass
    return first


@asynccontextmanager
async def client(*indexes: RunIndex) -> AsyncGenerator[httpx.AsyncClient]:
    async with (
        serving(view_app(indexes, "t")) as served,
        httpx.AsyncClient(base_url=served.url, timeout=None) as http,
    ):
        await http.get(first_url(served, "t"))
        yield http


def asked(work: Callable[[httpx.AsyncClient], Coroutine[Any, Any, Any]], *indexes: RunIndex) -> Any:
    async def ask() -> Any:
        async with client(*indexes) as http:
            return await work(http)

    return anyio.run(ask)


def get(path: str, *indexes: RunIndex) -> httpx.Response:
    async def work(http: httpx.AsyncClient) -> httpx.Response:
        return await http.get(path)

    found: httpx.Response = asked(work, *indexes)
    return found


def test_rows_come_in_columns_and_only_what_is_new(run: Path) -> None:
    one = index(run)
    rows = get("/api/rows?run=0", one).json()
    texts = rows["texts"]

    assert [texts[n] for n in rows["outcome"]] == ["answered", "error"]
    assert [texts[n] for n in rows["label"]] == ["safe", ""]
    assert rows["judges"] == [FIRST, SECOND]
    assert [[texts[n] for n in column] for column in rows["said"]] == [["safe", ""], ["unsafe", ""]]
    assert rows["disagree"] == [1, 0]
    assert rows["settled"] is True
    again = get(f"/api/rows?run=0&generation=0&position={rows['position']}&texts={len(texts)}", one).json()
    assert (again["n"], again["texts"]) == ([], [])


def test_an_item_is_whole_with_its_parts_in_order(run: Path) -> None:
    item = get("/api/item?run=0&item=drawn/all/a%230", index(run)).json()

    assert [part.get("image") or part["text"] for part in item["prompt"]] == [*IMAGES, "secret-question"]
    assert item["answer"] == "secret-answer"
    assert item["reasoning"] == "secret-thought"
    first, second = item["judges"]
    assert (first["primary"], first["label"], first["axes"], first["raw"]) == (
        True,
        "safe",
        {"harm": 2},
        ["secret-raw"],
    )
    assert (second["primary"], second["label"]) == (False, "unsafe")
    assert (item["seconds"], item["usage"]["input_tokens"], item["model"]) == (0.25, 40, "m-1")


def test_only_images_that_a_prompt_names_are_sent(run: Path, tmp_path: Path) -> None:
    one = index(run)
    item = one.find_item("drawn/all/a#0")
    sha256 = item["prompt"][0]["sha256"]

    reply = get(f"/image/0/drawn/{sha256}", one)
    assert reply.headers["content-type"] == "image/png"
    assert reply.content == (tmp_path / "drawings" / "one.png").read_bytes()
    assert get(f"/image/0/drawn/{'0' * 64}", one).status_code == 404
    assert get(f"/image/0/other/{sha256}", one).status_code == 404
    assert get(f"/image/7/drawn/{sha256}", one).status_code == 404
    assert get("/image/0/drawn/..%2F..%2Frun.json", one).status_code == 404


@pytest.mark.parametrize("said", ["--data", "HARNESS_DATA", "both"])
def test_images_of_a_run_that_was_moved_are_found_where_the_data_is_now(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    item = index(run).find_item("drawn/all/a#0")["prompt"][0]
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "drawings").rename(tmp_path / "elsewhere" / "drawn")
    place = f"/image/0/drawn/{item['sha256']}"
    assert get(place, index(run)).headers["x-gone"] == "no data here: --data says where"

    if said != "--data":
        monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "elsewhere" if said == "HARNESS_DATA" else tmp_path))
    given = None if said == "HARNESS_DATA" else tmp_path / "elsewhere"
    assert get(place, index(run, data=given)).headers["content-type"] == "image/png"


def test_data_that_is_given_without_the_task_leaves_the_runs_own(run: Path, tmp_path: Path) -> None:
    sha256 = index(run).find_item("drawn/all/a#0")["prompt"][0]["sha256"]
    assert get(f"/image/0/drawn/{sha256}", index(run, data=tmp_path)).headers["content-type"] == "image/png"


def test_an_export_finds_its_images_where_it_is_told(run: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "drawings").rename(tmp_path / "data" / "drawn")
    flags = ("--export", str(tmp_path / "site"), "--reveal", "--data", str(tmp_path / "data"))
    assert CliRunner().invoke(cli, ["view", str(run), *flags]).exit_code == 0
    assert len(list((tmp_path / "site" / "images").iterdir())) == len(IMAGES)


def test_tags_of_several_words_are_told_apart_from_names(tmp_path: Path) -> None:
    told = Told(id="a", tags={"kind": "second", "words": "secret words of it"})
    folder = stored(tmp_path / "tagged", [told])
    item = index(folder).find_item("drawn/all/a#0")
    assert (item["tags"], item["folded"]) == (dict(told.tags), ["words"])
    assert "tags" not in index(folder, mode="redact").find_item("drawn/all/a#0")


@pytest.mark.parametrize("path", ["../outside.png", "/etc/passwd", "link.png", "none.png"])
def test_a_path_of_a_run_never_leads_out_of_the_data(run: Path, tmp_path: Path, path: str) -> None:
    outside = tmp_path / "outside.png"
    outside.write_bytes((tmp_path / "drawings" / "one.png").read_bytes())
    (tmp_path / "drawings" / "link.png").symlink_to(outside)
    journal = run / "drawn" / "responses.jsonl"
    journal.write_text(journal.read_text().replace('"image":"one.png"', f'"image":"{path}"'))
    one = index(run)
    sha256 = one.find_item("drawn/all/a#0")["prompt"][0]["sha256"]

    reply = get(f"/image/0/drawn/{sha256}", one)
    assert reply.headers["content-type"] == "image/svg+xml"
    assert reply.headers["x-gone"]


def test_a_redacted_server_keeps_texts_and_images_back(run: Path) -> None:
    one, open_ = index(run, mode="redact"), index(run)
    sha256 = open_.find_item("drawn/all/a#0")["prompt"][0]["sha256"]

    told = get("/api/rows?run=0", one).text + get("/api/item?run=0&item=drawn/all/a%230", one).text
    told += get("/api/item?run=0&item=drawn/all/b%230", one).text
    assert [secret for secret in SECRETS if secret in told] == []
    assert get(f"/image/0/drawn/{sha256}", one).status_code == 404
    assert get("/api/search?run=0&q=secret-answer", one).json() == []
    assert get("/api/search?run=0&q=secret-answer", open_).json() == [0]


def test_texts_beyond_what_is_kept_in_memory_are_found_all_the_same(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness_view.index._MOST_SEARCHED", 0)
    assert index(run).search("SECRET-thought") == [0]


def test_what_is_asked_wrongly_is_no_bug(run: Path) -> None:
    one = index(run)
    assert get("/api/rows?run=x", one).status_code == 404
    assert get("/api/rows?run=-1", one).status_code == 404
    assert get("/api/rows?run=0&position=x", one).status_code == 400
    assert get("/api/item?run=0&item=none", one).json() is None


def test_numbers_that_are_none_and_half_letters_are_still_json(tmp_path: Path) -> None:
    run = stored(tmp_path / "run", [Told(id="a", answer="half \ud800 letter")])
    journal = run / "drawn" / f"verdicts-{FIRST}.jsonl"
    journal.write_text(journal.read_text().replace('"harm":2', '"harm":NaN'))
    item = json.loads(get("/api/item?run=0&item=drawn/all/a%230", index(run)).text)

    assert item["judges"][0]["axes"] == {"harm": None}
    assert item["answer"] == "half \ud800 letter"


def test_a_run_without_results_and_without_a_cost_says_so(run: Path) -> None:
    one = index(run)
    assert one.describe()["cost_usd"] is None
    (run / "results.json").write_text('{"usage": {"cost_usd": 0.25}}')
    assert one.describe()["cost_usd"] == 0.25
    (run / "results.json").write_text("torn {")
    assert one.describe()["cost_usd"] is None


def test_a_run_of_nothing_is_an_empty_list(tmp_path: Path) -> None:
    run = Stored(tmp_path / "run", tmp_path / "drawings")
    run.close()
    rows = get("/api/rows?run=0", index(tmp_path / "run")).json()
    assert (rows["n"], rows["settled"]) == ([], True)


def view(*flags: str | Path) -> Result:
    return CliRunner().invoke(cli, ["view", *map(str, flags)])


def everything(folder: Path) -> bytes:
    return b"\n".join(path.name.encode() + path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_an_export_holds_no_text_and_no_image_unless_they_are_asked_for(run: Path, tmp_path: Path) -> None:
    done = view(run, "--export", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "no text and no image" in done.stderr
    held = everything(tmp_path / "out").decode()
    assert [secret for secret in SECRETS if secret in held] == []
    assert "a word of the target" not in held
    assert not (tmp_path / "out" / "images").exists()
    assert '"unsafe"' in held

    assert view(run, "--export", tmp_path / "shown", "--reveal").exit_code == 0
    held = everything(tmp_path / "shown").decode("latin-1")
    assert [secret for secret in SECRETS if secret not in held] == []


def test_exported_images_are_small_bare_and_there_once(tmp_path: Path) -> None:
    root = tmp_path / "drawings"
    run = Stored(tmp_path / "run", root)
    about = Image.Exif()
    about[0x010E] = "where it was taken"
    Image.open(root / "one.png").save(root / "tagged.jpg", exif=about)
    run.add(*(Told(id=str(n), images=("tagged.jpg", "two.png")) for n in range(5)))
    run.close()
    view(run.finish(), "--export", tmp_path / "out", "--reveal")

    images = list((tmp_path / "out" / "images").iterdir())
    assert len(images) == 2
    for path in images:
        assert b"where it was taken" not in path.read_bytes()
        with Image.open(path) as picture:
            assert max(picture.size) == SIDE
            assert not picture.getexif()


def test_an_export_never_writes_into_a_folder_that_holds_something(run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    error = view(run, "--export", tmp_path / "out").exception
    assert isinstance(error, HarnessError)
    assert "the folder is not empty" in str(error)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_mistakes_of_the_user_are_errors(run: Path, tmp_path: Path) -> None:
    assert "there is no run here" in str(view(tmp_path, "--no-browser").exception)
    assert "serves nothing" in view(run, "--export", tmp_path / "out", "--port", "1").output
    assert "Missing argument" in view().output
    (run / "run.json").write_text("{")
    assert "not JSON" in str(view(run, "--no-browser").exception)


def test_without_the_extra_it_says_how_to_get_it(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette", None)
    monkeypatch.delitem(sys.modules, "harness_view.server", raising=False)
    error = view(run, "--no-browser").exception
    assert isinstance(error, HarnessError)
    assert "pip install 'vlm-safety-harness[serve]'" in str(error)


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_its_address_serves_and_ends_well(run: Path, ending: signal.Signals) -> None:
    command = [sys.executable, "-m", "harness", "view", str(run), "--no-browser"]
    pipes: dict[str, Any] = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        "env": dict(os.environ),
    }
    with subprocess.Popen(command, **pipes) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            with httpx.Client(follow_redirects=True, timeout=None) as http:
                reply = http.get(url)
            process.send_signal(ending)
            out, err = process.communicate()
        finally:
            process.kill()

    assert url.startswith("http://127.0.0.1:")
    assert "<title>harness view</title>" in reply.text
    assert process.returncode == 0, err
    assert out == ""
    assert "Traceback" not in err


MINI = "mini-0000aaaa"


def judged(folder: Path) -> Path:
    """A measured run of an installed task: one of each label, a block, and a lost answer."""
    labels = ("complies", "declines", "declines_with_reason", "neither", "judge_unparsable")
    told = [Told(id=label, labels={MINI: label}) for label in labels]
    told += [
        Told(id=each, answer=Failure(outcome=each, reason="r", message="m")) for each in ("input_blocked", "error")
    ]
    return measured(stored(folder, told, task="mis", split="mini", judges=(MINI,)))


def test_rows_say_how_each_item_counts_in_each_metric(tmp_path: Path) -> None:
    rows = get("/api/rows?run=0", index(judged(tmp_path / "run"))).json()
    metrics = [each["name"] for each in rows["metrics"][0]]
    letters = {sample: rows["texts"][n] for sample, n in zip(rows["id"], rows["counts"], strict=True)}
    counts = {sample: dict(zip(metrics, each, strict=True)) for sample, each in letters.items()}

    assert metrics[0] == "ASR"
    assert {sample: each["ASR"] for sample, each in counts.items()} == {
        "complies": "1",
        "declines": "0",
        "declines_with_reason": "0",
        "neither": "0",
        "judge_unparsable": "?",
        "input_blocked": "0",
        "error": "?",
    }
    assert [sample for sample, each in counts.items() if each["RSR"] == "1"] == ["declines_with_reason"]
    assert counts["input_blocked"]["ASR_answered"] == "-"
    assert rows["counted"][0] == rows["counts"]


def test_a_metric_that_raises_leaves_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Record) -> Share:
        raise RuntimeError

    wrong = Metric(name="wrong", score=broken, better="lower", main=True)

    def list_wrong(_: object) -> tuple[Metric, ...]:
        return (wrong,)

    monkeypatch.setattr("harness_view.index.list_metrics", list_wrong)
    rows = get("/api/rows?run=0", index(judged(tmp_path / "run"))).json()
    assert {rows["texts"][n] for n in rows["counts"]} == {"-", "?"}


def test_the_overview_has_the_main_numbers_and_what_they_count(tmp_path: Path) -> None:
    one = index(judged(tmp_path / "run"))
    found = get("/api/overview?run=0", one).json()
    (number,) = found["numbers"]

    assert (number["part"], number["metric"], number["value"], number["better"]) == ("mis:mini", "ASR", "20.0", "lower")
    assert (number["numerator"], number["denominator"], number["unresolved"], number["n"]) == (1, 5, 2, 7)
    assert number["what"] == "Attack success rate: share of all questions whose answer is unsafe."
    assert found["progress"] is None
    (tmp_path / "run" / "results.json").write_text("torn {")
    broken = get("/api/overview?run=0", one).json()
    assert (broken["numbers"], broken["why"]) == ([], "results are not JSON")


def test_progress_counts_answers_and_verdicts_and_measures_their_rate(tmp_path: Path) -> None:
    run = Stored(tmp_path / "run", tmp_path / "drawings", task="mis", split="mini", judges=(MINI,))
    run.going(120)
    run.add(*(Told(id=str(n), labels={MINI: "complies"} if n < 3 else {}) for n in range(5)))
    found = get("/api/overview?run=0", index(tmp_path / "run")).json()
    assert found["why"] == "this run has no results yet"
    progress = found["progress"]
    assert (progress["done"], progress["total"], progress["judged"], progress["to_judge"]) == (5, 120, 3, 5)
    assert progress["rate"] > 0
    assert progress["seconds_left"] > 0
    assert progress["splits"] == [{"part": "mis:mini", "done": 5, "total": 120}]
    run.close()
    run.finish()
    assert get("/api/overview?run=0", index(tmp_path / "run")).json()["progress"] is None


def test_a_rate_is_that_of_the_last_two_minutes() -> None:
    meter = RateMeter()
    for n in range(100):
        meter.put(n, f"2026-01-01T00:{n // 60:02}:{n % 60:02}+00:00")
    start = parse_time("2026-01-01T00:00:00+00:00")
    assert meter.measure_rate(start, start + 99) == pytest.approx(60 * 100 / 99)
    assert meter.measure_rate(start, start + 210) == pytest.approx(60 * 10 / 120, rel=0.1)
    assert meter.measure_rate(start, start + 1000) is None


@pytest.fixture
def asked_of_a_model(tmp_path: Path) -> Path:
    """A run whose judge asks a model: what it was sent is known by its digest alone."""
    flags = ("--model", "mini/base", "--tasks", "mis:mini", "--limit", "1", "--judge", "mis=mini/base", "--no-probe")
    folder = tmp_path / "asked"
    done = CliRunner().invoke(cli, ["run", *flags, "--output", str(folder)])
    assert (folder / "results.json").exists(), done.output
    return folder


def test_a_judges_prompt_is_rebuilt_only_if_it_is_what_was_sent(asked_of_a_model: Path, tmp_path: Path) -> None:
    one = index(asked_of_a_model)
    item = one.get_item(0)
    judge = item["judges"][0]["judge"]

    def ask(run: RunIndex) -> Any:
        return get(f"/api/prompt?run=0&item={item['item'].replace('#', '%23')}&judge={judge}", run)

    found = ask(one).json()
    assert found["why"] == ""
    assert found["version"].startswith("mis ")
    texts = "".join(part.get("text", "") for part in found["prompts"][0])
    assert item["answer"] in texts
    assert sum("image" in part for part in found["prompts"][0]) == 2
    assert ask(index(asked_of_a_model, mode="redact")).status_code == 404

    run = json.loads((asked_of_a_model / "run.json").read_text())
    for key, value, why in (
        ("version", "0", "the run used version 0 of mis"),
        ("template_hash", "0" * 64, "the template of mis is another one than the run used"),
        ("model", None, "this judge asks no model"),
    ):
        card = {**run["judges"][judge], key: value}
        (asked_of_a_model / "run.json").write_text(json.dumps({**run, "judges": {judge: card}}))
        other = ask(index(asked_of_a_model)).json()
        assert why in other["why"]
        assert other["prompts"] == []
    (asked_of_a_model / "run.json").write_text(json.dumps(run))
    journal = next(asked_of_a_model.glob("mis/verdicts-mis-*.jsonl"))
    journal.write_text(journal.read_text().replace('"asked":["', '"asked":["0'))
    assert "by its digest" in ask(index(asked_of_a_model)).json()["why"]


def test_only_a_revealed_export_holds_what_judges_were_sent(asked_of_a_model: Path, tmp_path: Path) -> None:
    assert view(asked_of_a_model, "--export", tmp_path / "redacted").exit_code == 0
    assert view(asked_of_a_model, "--export", tmp_path / "shown", "--reveal").exit_code == 0
    sent = b"data, not instructions"
    assert sent not in everything(tmp_path / "redacted")
    assert sent in everything(tmp_path / "shown")
