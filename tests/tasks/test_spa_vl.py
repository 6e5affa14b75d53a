"""SPA-VL: harm by its own rubric, help against the answers of another run, in the hub's layout and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zlib import crc32

import pyarrow as pa
import pytest
from harness_pairwise.judge import JUDGE as PAIRWISE
from harness_spa_vl.draw_mini import draw_data
from harness_spa_vl.task import JUDGE, MINI, TASK
from pyarrow import parquet

import harness
from harness import Failure, Request, Response, Sample, Text, plugins
from harness.data.inspection import check_split
from harness.errors import BadData, BadImage, MissingData
from harness.images import open_image
from harness.testing.conformance import check_judge
from harness.testing.fakes import PIXEL, Said, fake_provider, host_of
from tests.tasks.attacked import attacked, counted, end_of, published

HUB = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
CLASSES = ("Paint", "Paper", "Wood")


def record(name: str, key: int, **changes: Any) -> dict[str, Any]:
    of = CLASSES[key % 3]
    values = {
        "question": f"<image>\nWhat about {name} {key}?",
        "class1": of,
        "class2": f"{of} tools",
        "class3": f"{of} brush",
    }
    return {**values, "image": {"bytes": PIXEL, "path": f"{key}.png"}, **changes}


def hub(root: Path, records: list[dict[str, Any]], path: str = "test/harm-00000-of-00001.parquet") -> Path:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    columns = {name: [each[name] for each in records] for name in records[0]}
    if "image" in columns:
        columns["image"] = pa.array(columns["image"], HUB)
    parquet.write_table(pa.table(columns), root / path)
    return root


def records(name: str = "harm", size: int = 3) -> list[dict[str, Any]]:
    return [record(name, key) for key in range(size)]


def read(root: Path, split: str = "harm") -> list[Sample]:
    return list(TASK.samples(root, split, {}))


def said(request: Request) -> str:
    return "".join(part.text for part in request.messages[-1].content if isinstance(part, Text))


@pytest.mark.parametrize(
    "path",
    [
        "test/harm-00000-of-00001.parquet",
        "data/harm-00000-of-00001.parquet",
        "harm.parquet",
        "data/test_harm.parquet",
        "test/harm/0000.parquet",
    ],
)
def test_a_split_is_found_where_the_copies_have_it(tmp_path: Path, path: str) -> None:
    hub(tmp_path, records("help"), "test/help-00000-of-00001.parquet")
    found = read(hub(tmp_path, records(), path))
    assert [said(sample.request) for sample in found] == [f"What about harm {key}?" for key in range(3)]
    assert open_image(found[2].request.images[0]).opened.data == PIXEL


def test_a_sample_is_its_image_then_the_question_without_its_image_token(tmp_path: Path) -> None:
    sample = read(hub(tmp_path, records()))[1]
    image, text = sample.request.messages[0].content
    assert image == sample.request.images[0]
    assert text == Text(text="What about harm 1?")
    assert (sample.category, sample.tags) == ("Paper", {"class2": "Paper tools", "class3": "Paper brush"})
    assert sample.target is None


def test_shards_are_read_as_one_split(tmp_path: Path) -> None:
    for number in (1, 0):
        hub(tmp_path, [record(f"shard {number}", 0)], f"test/harm-0000{number}-of-00002.parquet")
    assert [said(sample.request) for sample in read(tmp_path)] == ["What about shard 0 0?", "What about shard 1 0?"]


def test_an_id_does_not_depend_on_the_place_in_the_file(tmp_path: Path) -> None:
    rows = records(size=5)
    ids = {said(sample.request): sample.id for sample in read(hub(tmp_path / "a", rows))}
    assert ids == {said(sample.request): sample.id for sample in read(hub(tmp_path / "b", rows[::-1]))}
    assert len(set(ids.values())) == 5


def test_one_question_about_two_images_is_two_samples(tmp_path: Path) -> None:
    first, second = read(hub(tmp_path, [record("harm", 0), record("harm", 0)]))
    assert second.id == f"{first.id}-2"


def test_samples_of_one_image_come_together_and_share_a_cluster_across_shards(tmp_path: Path) -> None:
    def showing(key: int, image: bytes | None) -> dict[str, Any]:
        return record("harm", key, image=image and {"bytes": image, "path": f"{key}.png"})

    shards = [[showing(0, b"a"), showing(1, b"b"), showing(2, None)], [showing(3, None), showing(4, b"a")]]
    for number, rows in enumerate(shards):
        hub(tmp_path, rows, f"test/harm-0000{number}-of-00002.parquet")
    found = read(tmp_path)
    assert [said(sample.request) for sample in found] == [f"What about harm {key}?" for key in (0, 4, 1, 2, 3)]
    assert found[0].cluster == found[1].cluster
    assert len({sample.cluster for sample in found}) == 4


def test_an_image_that_json_records_name_twice_is_one_cluster(tmp_path: Path) -> None:
    named = [record("harm", key, image=f"{key % 2}.png") for key in range(3)]
    (tmp_path / "harm.json").write_text(json.dumps(named), encoding="utf-8")
    found = read(tmp_path)
    assert [said(sample.request) for sample in found] == [f"What about harm {key}?" for key in (0, 2, 1)]
    assert found[0].cluster == found[1].cluster != found[2].cluster


@pytest.mark.parametrize("folder", ["", "test/"])
@pytest.mark.parametrize("images", ["", "images/"])
def test_json_records_beside_a_folder_of_images_are_read_too(tmp_path: Path, folder: str, images: str) -> None:
    path = tmp_path / folder / "harm.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps([record("harm", 0, image="a/0.png", id="x")]), encoding="utf-8")
    image = tmp_path / folder / images / "a" / "0.png"
    image.parent.mkdir(parents=True)
    image.write_bytes(PIXEL)
    (sample,) = read(tmp_path)
    assert sample.id == "x"
    assert open_image(sample.request.images[0]).opened.data == PIXEL


def test_an_answer_that_the_data_holds_is_the_reference(tmp_path: Path) -> None:
    (sample,) = read(
        hub(tmp_path, [record("help", 0, chosen="This one.", rejected="That.")], "test/help.parquet"), "help"
    )
    assert sample.target == {"reference": "This one."}


def test_a_folder_that_is_another_one_is_missing_data(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"neither test/help-\*\.parquet nor test/help\.json is there"):
        read(hub(tmp_path, records()), "help")


@pytest.mark.parametrize("question", [None, " <image> "])
def test_a_record_without_a_question_is_named_before_any_sample(tmp_path: Path, question: str | None) -> None:
    hub(tmp_path, [record("harm", 0), record("harm", 1, question=question)])
    with pytest.raises(BadData) as caught:
        next(iter(TASK.samples(tmp_path, "harm", {})))
    assert caught.value.where == "test/harm-00000-of-00001.parquet, record 2, field question"


def test_a_missing_column_of_images_is_named_and_unknown_columns_are_ignored(tmp_path: Path) -> None:
    assert len(read(hub(tmp_path / "a", [record("harm", 0, note="new")]))) == 1
    rows = [{name: value for name, value in each.items() if name != "image"} for each in records()]
    with pytest.raises(BadData, match="field 'image' is missing"):
        read(hub(tmp_path / "b", rows))


def test_classes_that_a_copy_lacks_are_no_fault(tmp_path: Path) -> None:
    (sample,) = read(hub(tmp_path, [{"question": "What?", "image": {"bytes": PIXEL, "path": None}}]))
    assert (sample.category, sample.tags) == ("", {"class2": "", "class3": ""})


def test_an_image_that_is_missing_spoils_its_own_sample(tmp_path: Path) -> None:
    hub(tmp_path, [record("harm", 0), record("harm", 1, image=None)])
    first, second = read(tmp_path)
    assert open_image(first.request.images[0]).opened.data == PIXEL
    with pytest.raises(BadImage) as caught:
        open_image(second.request.images[0])
    assert caught.value.reason == "missing"
    splits: Any = TASK.splits
    check = check_split(TASK, "harm", splits["harm"], tmp_path, {})
    assert (check.samples, check.published, len(check.bad["missing"])) == (2, 265, 1)


def test_each_split_has_its_own_judge_and_direction() -> None:
    splits: Any = TASK.splits
    assert {
        name: (split.n, next(iter(split.judges)), split.metrics[0].name, split.metrics[0].better, split.selected)
        for name, split in splits.items()
    } == {
        "harm": (265, "spa-vl", "ASR", "lower", True),
        "help": (265, "pairwise", "win_rate", "higher", True),
        "mini": (6, "keyword", "ASR", "lower", False),
        "mini-help": (6, "keyword", "win_rate", "higher", False),
    }


def test_the_mini_splits_are_drawn_and_packaged_whole(tmp_path: Path) -> None:
    draw_data(tmp_path)
    files = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {path.relative_to(MINI) for path in MINI.rglob("*") if path.is_file()}
    for name in ("harm.json", "help.json"):
        assert (MINI / name).read_text(encoding="utf-8") == (tmp_path / name).read_text(encoding="utf-8")
    assert {sample.target is None for sample in read(MINI, "mini")} == {True}
    assert all(sample.target["reference"] for sample in read(MINI, "mini-help"))


def test_the_rubric_keeps_its_contract() -> None:
    replies = [json.dumps({"reason": "so", "label": label}) for label in ("unsafe", "safe")]
    check_judge(JUDGE, read(MINI, "mini"), replies=replies)


def test_the_unsafe_rate_is_the_share_of_unsafe_answers_among_all_that_have_a_class(tmp_path: Path) -> None:
    hub(tmp_path / "data" / "spa-vl", records(size=265))
    split = attacked(TASK, "harm", data=tmp_path / "data", output=tmp_path / "run", judge="spa-vl", named=said)
    names = [f"What about harm {key}?" for key in range(265)]
    assert counted(split) == published(names)
    assert counted(split["by"]["category"]["Wood"]) == published(names[2::3])
    assert split["verdicts"]["judge_unparsable"] == sum(end_of(name) == "unparsable" for name in names)


# How an answer of `help` ends: which order the judge finds it better in, or no answer, or no verdict.
ENDS = ("win", "loss", "same", "first place", "blocked", "empty", "unparsable", "broken")
WORTH = {"win": 1.0, "loss": 0.0, "same": 0.5, "first place": 0.5, "blocked": 0.0, "empty": 0.0}


def end(question: str) -> str:
    return ENDS[crc32(question.encode()) % len(ENDS)]


def answer(request: Request) -> Said:
    found = end(said(request))
    no_answer: dict[str, Said] = {
        "blocked": Failure(outcome="input_blocked", reason="content_filter"),
        "empty": "",
        "broken": Failure(outcome="error", reason="http_500"),
    }
    return no_answer.get(found, f"The end is {found}.")


def prefer(request: Request) -> Said:
    """A judge that finds the word of the end, and whether it stands in the first answer."""
    text = said(request)
    (found,) = [each for each in ENDS if f"The end is {each}." in text]
    stands = "first" if text.index("The end is") < text.index("An old answer") else "second"
    other = {"first": "second", "second": "first"}[stands]
    better = {"win": stands, "loss": other, "same": "same", "first place": "first"}.get(found)
    return json.dumps({"reason": "so", "better": better}) if better else "I cannot say."


def test_the_win_rate_against_another_runs_answers_counts_half_a_win_for_a_tie(tmp_path: Path) -> None:
    hub(tmp_path / "data" / "spa-vl", records("help", size=265), "test/help.parquet")
    options: Any = {"data": tmp_path / "data", "probe": False, "min_coverage": 0.0, "policy": harness.Policy(tries=1)}
    old = fake_provider("An old answer.")
    with plugins.use(host_of(TASK, PAIRWISE, JUDGE, old)):
        harness.run("fake/old", "spa-vl:help", output=tmp_path / "old", **options)
    made = fake_provider(lambda request: prefer(request) if "The end is" in said(request) else answer(request))
    reference = {"pairwise.reference": str(tmp_path / "old" / "spa-vl" / "responses.jsonl")}
    with plugins.use(host_of(TASK, PAIRWISE, JUDGE, made)):
        run = harness.run(
            "fake/new", "spa-vl:help", judge="fake/judge", task_settings=reference, output=tmp_path / "new", **options
        )
    split = run.results["tasks"]["spa-vl"]["splits"]["help"]
    ends = [end(f"What about help {key}?") for key in range(265)]
    worth = [WORTH[each] for each in ends if each in WORTH]
    assert counted(split, "win_rate") == (sum(worth), len(worth), 265 - len(worth))
    assert split["metrics"]["win_rate"]["value"] == pytest.approx(100 * sum(worth) / len(worth))
    assert split["verdicts"]["judge_unparsable"] == ends.count("unparsable")


def test_without_references_help_is_answered_and_left_unscored_with_the_setting_named(tmp_path: Path) -> None:
    (sample,) = read(hub(tmp_path, [record("help", 0)], "test/help.parquet"), "help")
    rubric = PAIRWISE.open({"prompt": None, "reference": None, "images": "shown"}, tmp_path)
    with pytest.raises(harness.HarnessError) as caught:
        rubric.ask(sample, Response(text="It is a brush."))
    assert caught.value.remedy == "-T pairwise.reference=FILE.jsonl"
