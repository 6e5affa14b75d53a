"""A run as inspect's log, read back by inspect."""

from __future__ import annotations

import builtins
import io
import math
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from harness_inspect import log_files
from inspect_ai.log import EvalLog, EvalSample, list_eval_logs, read_eval_log, read_eval_log_sample_summaries

import harness
from harness import HarnessError, Sample, plugins
from harness.board.leaderboard import boards
from harness.contracts import Judge, Rubric
from harness.metrics import rate
from harness.plugins import Host
from harness.runs.stored import open_run
from harness.testing.fakes import fake_image, fake_judge, fake_provider, fake_task, host_of
from harness.testing.results import judged, results, split
from harness.types import Failure, Message, Request, Response, Text, Unscored, Usage, Verdict

SECRET = "a question nobody else may read"  # in every text of a sample
ANSWERS: Mapping[str, str | Response | Failure] = {
    "plain": Response(text=f"yes {SECRET}", reasoning=SECRET, usage=Usage(input_tokens=7, output_tokens=3)),
    "calm": Response(text=f"no {SECRET}", usage=Usage(input_tokens=7, output_tokens=2), seconds=1.5),
    "unread": f"mumble {SECRET}",
    "stopped": Failure(outcome="input_blocked", reason="content_filter", message=SECRET),
    "cut": Failure(outcome="output_blocked", reason="content_filter", text=SECRET),
    "mute": "",
    "down": Failure(outcome="error", reason="http_400", message=SECRET),
    "../../=up\u202e": f"no \x1b[2J\u202e\ud800 {SECRET}",
}


def asked() -> Iterator[Sample]:
    for name in ANSWERS:
        parts = (fake_image(f"{SECRET}.png"), Text(text=f"{name}|{SECRET}"), fake_image("second.png"))
        system = Message(role="system", content=(Text(text=SECRET),))
        request = Request(messages=(system, Message(role="user", content=parts)))
        yield Sample(
            id=name,
            split="all",
            request=request,
            category="drawn",
            cluster=f"{SECRET} {name}",
            tags={"kind": "first", "hint": SECRET},
            target={"answer": SECRET},
        )


def said(request: Request) -> str | Response | Failure:
    text = request.messages[-1].content[1]
    assert isinstance(text, Text)
    return ANSWERS[text.text.partition("|")[0]]


def read(_sample: Sample, response: Response, _replies: Any) -> Verdict | Unscored:
    if "mumble" in response.text:
        return Unscored(state="judge_unparsable", message=SECRET)
    axes = {"score": 0.5, "said": SECRET}
    return Verdict(label="unsafe" if "yes" in response.text else "safe", axes=axes, reason=SECRET)


def rubric(*_: object) -> Rubric:
    return Rubric(identity={}, labels=("unsafe", "safe"), ask=lambda *_: [], read=read)


def hosted() -> Host:
    metrics = (rate("BLK", "blocked", better="lower"), rate("ASR", "unsafe", better="lower", main=True))
    task = fake_task(asked, judges={"careful": {}, "fake": {}}, metrics=metrics, by=("category", "kind"))
    careful = Judge(name="careful", version="1", description="", open=rubric, needs=None)
    return host_of(fake_provider(said), task, careful, fake_judge())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("runs") / "fake-any"
    with plugins.use(hosted()):
        harness.run(model="fake/any", tasks=["fake"], judge=["careful", "fake"], output=folder, probe=False, epochs=2)
        yield folder


def written(run: Path, to: Path, *, reveal: bool = False) -> EvalLog:
    (name, data), *more = log_files([run], reveal).items()
    assert more == []
    to.mkdir(exist_ok=True)
    (to / name).write_bytes(data)
    return read_eval_log(str(to / name), resolve_attachments=True)


@pytest.fixture(scope="module")
def log(run: Path, tmp_path_factory: pytest.TempPathFactory) -> EvalLog:
    return written(run, tmp_path_factory.mktemp("redacted"))


@pytest.fixture(scope="module")
def revealed(run: Path, tmp_path_factory: pytest.TempPathFactory) -> EvalLog:
    return written(run, tmp_path_factory.mktemp("revealed"), reveal=True)


def of(log: EvalLog, name: str, epoch: int = 1) -> EvalSample:
    (found,) = [each for each in log.samples or () if each.metadata["sample"] == name and each.epoch == epoch]
    return found


def careful(run: Path) -> tuple[str, dict[str, Any]]:
    body = open_run(run).folder.results["tasks"]["fake"]["splits"]["all"]
    return body["judge"], body


def test_every_item_is_a_sample_of_the_log(run: Path, log: EvalLog) -> None:
    items = [item.item.replace("\u202e", "") for item in open_run(run).items("fake:all")]
    assert sorted(each.metadata["item"] for each in log.samples or ()) == sorted(items)
    assert log.results is not None
    assert log.results.total_samples == len(items) == 2 * len(ANSWERS)
    assert log.eval.dataset.samples == len(ANSWERS)


def test_numbers_are_those_of_the_results_with_what_stands_beside_them(run: Path, log: EvalLog) -> None:
    judge, body = careful(run)
    assert log.results is not None
    first, second = log.results.scores
    assert (first.name, second.name) == (judge, *body["other_judges"])
    for score, metrics in ((first, body["metrics"]), (second, body["other_judges"][second.name]["metrics"])):
        assert {name: metric.value for name, metric in score.metrics.items()} == {
            name: metric["value"] for name, metric in metrics.items()
        }
        assert score.metrics["ASR"].metadata is not None
        assert score.metrics["ASR"].metadata["ci95"] == metrics["ASR"]["ci95"]
    assert (first.scored_samples, first.unscored_samples) == (6, 2)
    assert first.metadata is not None
    assert first.metadata["coverage"] == body["coverage"] < 1


def test_what_must_be_held_against_a_number_stands_beside_its_score() -> None:
    from harness_inspect.logs import build_results

    finding = split(judged({"unsafe": 1, "safe": 9}, main="unsafe"), judge="r-1f3a9c2e")
    (board,) = boards([{**results("x/a", {"mis": {"test": finding}}), "bare": True}])
    (score,) = build_results(board.rows).scores
    assert score.metadata is not None
    assert score.metadata["flags"] == ["unverifiable"]


def test_the_main_metric_stands_first_since_inspects_lists_show_that_one(log: EvalLog) -> None:
    assert log.results is not None
    assert [next(iter(score.metrics)) for score in log.results.scores] == ["ASR", "ASR"]


def test_a_label_is_a_score_of_each_judge(log: EvalLog) -> None:
    scores = of(log, "plain").scores or {}
    assert [score.value for score in scores.values()] == ["unsafe", "unsafe"]
    assert [score.value for score in (of(log, "calm").scores or {}).values()] == ["safe", "safe"]


@pytest.mark.parametrize("name", ["stopped", "cut"])
def test_a_block_is_a_content_filter_without_a_score_and_no_error(log: EvalLog, name: str) -> None:
    found = of(log, name)
    assert found.output.stop_reason == "content_filter"
    assert (found.scores, found.error) == ({}, None)
    assert found.metadata["counts_as"] == "blocked"


def test_an_error_is_an_error_without_a_score(log: EvalLog) -> None:
    found = of(log, "down")
    assert found.error is not None
    assert found.error.message == "error: http_400"
    assert found.scores == {}
    assert log.results is not None
    assert log.results.total_samples - log.results.completed_samples == 2


def test_an_answer_a_judge_did_not_label_is_unscored_and_never_wrong(run: Path, log: EvalLog) -> None:
    judge, _ = careful(run)
    score = (of(log, "unread").scores or {})[judge]
    assert isinstance(score.value, float)
    assert math.isnan(score.value)
    assert score.reason == "judge_unparsable"


def test_each_sample_says_how_it_ended(log: EvalLog) -> None:
    ends = {each.metadata["sample"]: each.metadata["outcome"] for each in log.samples or ()}
    assert [ends[name] for name in ("plain", "stopped", "cut", "mute", "down")] == [
        "answered",
        "input_blocked",
        "output_blocked",
        "empty",
        "error",
    ]


def test_nothing_of_a_sample_is_in_a_log_that_was_not_asked_to_reveal(run: Path) -> None:
    for data in log_files([run], False).values():
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                text = archive.read(name).decode()
                assert SECRET not in text, name
                assert "png" not in text, name


def test_a_redacted_log_keeps_labels_numbers_and_groups(run: Path, log: EvalLog) -> None:
    found, judge = of(log, "plain"), careful(run)[0]
    assert found.metadata["category"] == "drawn"
    assert found.metadata["tags"] == {"kind": "first"}
    assert (found.scores or {})[judge].metadata == {"state": "scored", "axes": {"score": 0.5}, "models": []}
    assert [message.role for message in found.input] == ["system", "user"]  # type: ignore[union-attr]
    assert found.messages[1].text == f"[image 1]\n[{len(f'plain|{SECRET}')} characters]\n[image 2]"
    assert found.output.completion == f"[{len(f'yes {SECRET}')} characters]"


def test_a_revealed_log_holds_question_answer_reasoning_and_reason(run: Path, revealed: EvalLog) -> None:
    found, judge = of(revealed, "plain"), careful(run)[0]
    assert found.messages[0].text == SECRET
    assert found.messages[1].text == f"[image 1: {SECRET}.png]\nplain|{SECRET}\n[image 2: second.png]"
    assert found.output.completion == f"yes {SECRET}"
    assert found.output.choices[0].message.content[0].reasoning == SECRET  # type: ignore[union-attr]
    assert found.target == f'{{"answer":"{SECRET}"}}'
    score = (found.scores or {})[judge]
    assert (score.answer, score.explanation) == (f"yes {SECRET}", SECRET)
    assert found.metadata["tags"]["hint"] == SECRET


def test_no_image_part_is_written_so_that_no_reader_opens_what_a_data_set_names(revealed: EvalLog) -> None:
    parts = [
        part
        for each in revealed.samples or ()
        for message in each.messages
        if isinstance(message.content, list)
        for part in message.content
    ]
    assert {part.type for part in parts} == {"text", "reasoning"}


def test_a_hostile_id_and_answer_are_harmless_and_found_again(run: Path, revealed: EvalLog) -> None:
    found = of(revealed, "../../=up")
    assert str(found.id).startswith("=up-")
    assert found.output.completion == f"no [2J\N{REPLACEMENT CHARACTER} {SECRET}"
    with zipfile.ZipFile(io.BytesIO(next(iter(log_files([run], True).values())))) as archive:
        assert not any(".." in name for name in archive.namelist())


def test_who_was_asked_and_how_stands_in_the_header(log: EvalLog) -> None:
    spec = log.eval
    assert (log.status, spec.model, spec.task, spec.task_version) == ("success", "fake/any", "fake:all", "1")
    assert (spec.config.epochs, spec.config.limit) == (2, None)
    assert spec.model_generate_config.temperature == 0.0
    assert spec.tags == ["vlm-safety-harness", "redacted", "incomplete"]
    assert log.stats.model_usage["fake/any"].input_tokens == 2 * 14


def test_inspect_lists_the_logs_of_a_folder_and_their_summaries(run: Path, tmp_path: Path) -> None:
    log = written(run, tmp_path)
    (info,) = list_eval_logs(str(tmp_path))
    assert (info.task, info.task_id) == ("fake-all", log.eval.task_id)
    summaries = read_eval_log_sample_summaries(info)
    assert [each.error for each in summaries if each.error] == ["error: http_400"] * 2


def test_the_same_run_makes_the_same_bytes(run: Path) -> None:
    assert log_files([run], False) == log_files([run], False)


def test_a_copy_of_a_run_does_not_take_the_place_of_the_first(run: Path) -> None:
    assert len(log_files([run, run], False)) == 2


def test_writing_leaves_the_home_folder_alone(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    log_files([run], False)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_printed(run: Path) -> None:
    with redirect_stdout(io.StringIO()) as out:
        log_files([run], False)
    assert out.getvalue() == ""


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="there is no run here"):
        log_files([tmp_path], False)


def test_without_inspect_the_command_that_installs_it_is_told(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "logs" and args[3] == 1:
            raise ImportError("No module named 'inspect_ai'")
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(HarnessError, match=r"pip install 'vlm-safety-harness\[inspect\]'"):
        log_files([run], False)
