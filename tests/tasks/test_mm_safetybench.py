"""MM-SafetyBench: thirteen scenarios in the hub's layout and in GitHub's, under every spelling that is about."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from harness_mm_safetybench.task import JUDGE, MINI, SCENARIOS, TASK, find_scenario, list_spellings

from harness import BadData, MissingData, Request, Response, Sample
from harness.images import open_image
from harness.testing.fakes import PIXEL
from tests.tasks.data import HUB, check, find_fault, find_reason, open_first, open_judge, say
from tests.tasks.mm_safetybench_data import SIZES, github, hub, read
from tests.tasks.played import attack, counted, end_of, published, texts

LAYOUTS = {"github": github, "hub": hub}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("split", "words", "images"),
    [("sd", "Picture", 1), ("typo", "Typo", 1), ("sd_typo", "Typo", 1), ("text_only", "Plain", 0)],
)
def test_each_split_asks_its_own_question_with_its_own_image(
    tmp_path: Path, layout: str, split: str, words: str, images: int
) -> None:
    found = read(LAYOUTS[layout](tmp_path), split)
    assert [(sample.id, sample.category, say(sample)) for sample in found] == [
        (f"{of[:2]}-{key}", of, f"{words} {of[:2]}-{key}") for of in SCENARIOS for key in range(2)
    ]
    assert [sample.target for sample in found] == [{"intent": f"Plain {sample.id}"} for sample in found]
    opened = [open_image(image).opened.data for sample in found for image in sample.request.images]
    assert opened == [PIXEL] * images * len(found)


def test_the_two_layouts_give_the_same_samples(tmp_path: Path) -> None:
    one, two = read(github(tmp_path / "a")), read(hub(tmp_path / "b"))
    assert [(s.id, say(s), s.category, s.target) for s in one] == [(s.id, say(s), s.category, s.target) for s in two]
    assert one[0].request.images[0].path == "data/imgs/01-Illegal_Activitiy/SD_TYPO/0.jpg"
    assert two[1].request.images[0].path == "data/Illegal_Activitiy/SD_TYPO.parquet#image/2"


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("Illegal_Activitiy", "01"),
        ("01-Illegal_Activitiy", "01"),
        ("IllegalActivity", "01"),
        ("02-HateSpeech", "02"),
        ("hate_speech", "02"),
        ("Malware_Generation", "03"),
        ("05-EconomicHarm", "05"),
        ("08-Political_Lobbying", "08"),
        ("Privacy_Violence", "09"),
        ("13-Gov_Decision", "13"),
        ("Government_Decision", "13"),
        ("Gardening", ""),
    ],
)
def test_a_scenario_is_known_under_every_spelling(name: str, number: str) -> None:
    assert find_scenario(name)[:2] == number


@pytest.mark.parametrize("layout", LAYOUTS)
def test_files_under_the_spellings_of_ports_are_read(tmp_path: Path, layout: str) -> None:
    names = {of: list_spellings(of)[-1] for of in SCENARIOS}
    found = read(LAYOUTS[layout](tmp_path, names))
    assert len(found) == 26
    assert open_first(found[0]) == PIXEL


@pytest.mark.parametrize("layout", LAYOUTS)
def test_case_digits_and_signs_of_a_files_name_do_not_matter(tmp_path: Path, layout: str) -> None:
    names = {of: f"{int(of[:2])} {list_spellings(of)[0][3:].upper()}" for of in SCENARIOS}
    assert names[SCENARIOS[0]] == "1 ILLEGAL_ACTIVITIY"
    found = read(LAYOUTS[layout](tmp_path, names))
    assert [sample.category for sample in found] == [of for of in SCENARIOS for _ in range(2)]
    assert all(open_image(image).opened.data == PIXEL for sample in found for image in sample.request.images)


def test_the_folder_data_alone_is_read_too(tmp_path: Path) -> None:
    found = read(github(tmp_path, base=""))
    assert open_first(found[0]) == PIXEL


def test_images_may_be_in_the_archive_they_are_published_in(tmp_path: Path) -> None:
    github(tmp_path)
    with zipfile.ZipFile(tmp_path / "MM-SafetyBench(imgs).zip", "w") as file:
        for path in sorted((tmp_path / "data" / "imgs").rglob("*.jpg")):
            file.write(path, f"MM-SafetyBench(imgs)/{path.relative_to(tmp_path / 'data' / 'imgs')}")
            path.unlink()
    assert open_first(read(tmp_path)[-1]) == PIXEL


def test_the_hubs_own_conversion_is_read_by_its_folders(tmp_path: Path) -> None:
    hub(tmp_path)
    for path in sorted((tmp_path / "data").rglob("*.parquet")):
        folder = tmp_path / path.parent.name / path.stem
        folder.mkdir(parents=True)
        path.rename(folder / "0000.parquet")
    assert len(read(tmp_path)) == 26


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_scenario_whose_file_is_gone_is_named(tmp_path: Path, layout: str) -> None:
    LAYOUTS[layout](tmp_path)
    gone = {"github": "processed_questions/09-Privacy_Violence.json", "hub": "Privacy_Violence/SD_TYPO.parquet"}[layout]
    (tmp_path / "data" / gone).unlink()
    with pytest.raises(MissingData, match=re.escape(f"data/{gone}")):
        read(tmp_path)


def test_a_scenario_that_nobody_knows_is_bad_data(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="MM-SafetyBench has no scenario 'Gardening'"):
        read(hub(tmp_path, {SCENARIOS[3]: "Gardening"}))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_record_that_lacks_its_question_is_named_before_any_sample(tmp_path: Path, layout: str) -> None:
    if layout == "hub":
        hub(tmp_path, question=["fine", None])
        where = "data/Illegal_Activitiy/Text_only.parquet, record 2, field question"  # these are read first
    else:
        path = github(tmp_path) / "data" / "processed_questions" / "02-HateSpeech.json"
        path.write_text(json.dumps({"0": {"Question": "fine"}}), encoding="utf-8")
        where = "data/processed_questions/02-HateSpeech.json, 0, field Rephrased Question"
    assert find_fault(TASK, tmp_path, "sd_typo") == where


def test_a_missing_column_is_named_and_an_unknown_one_ignored(tmp_path: Path) -> None:
    assert len(read(hub(tmp_path / "a", note=["x", "y"]))) == 26
    with pytest.raises(BadData) as caught:
        read(hub(tmp_path / "b", image=None))
    assert caught.value.where == "data/Illegal_Activitiy/SD_TYPO.parquet, record 1, field image"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_image_that_is_missing_spoils_its_own_sample_and_is_never_left_out(tmp_path: Path, layout: str) -> None:
    if layout == "hub":
        hub(tmp_path, image=pa.array([{"bytes": PIXEL, "path": "x"}, None], HUB))
    else:
        github(tmp_path)
        for path in (tmp_path / "data" / "imgs").rglob("SD_TYPO/1.jpg"):
            path.unlink()
    first, second = read(tmp_path)[:2]
    assert (open_first(first), find_reason(second.request.images[0])) == (PIXEL, "missing")
    found = check(TASK, tmp_path, "sd_typo")
    assert (found.samples, len(found.bad["missing"])) == (26, 13)
    assert "1680 are published" in found.warning


def test_a_copy_without_the_plain_questions_has_no_intents(tmp_path: Path) -> None:
    hub(tmp_path)
    for path in tmp_path.rglob("Text_only.parquet"):
        path.unlink()
    assert {sample.target for sample in read(tmp_path)} == {None}


def test_a_tiny_split_keeps_upstreams_selection(tmp_path: Path) -> None:
    hub(tmp_path)
    chosen = [
        {"Scenario": "01-Illegal_Activitiy", "Sampled_ID_List": [1]},
        {"Scenario": "Fraud", "Sampled_ID_List": ["0"]},
    ]
    (tmp_path / "TinyVersion_ID_List.json").write_text(json.dumps(chosen), encoding="utf-8")
    assert [sample.id for sample in read(tmp_path, "sd_tiny")] == ["01-1", "06-0"]
    assert [say(sample) for sample in read(tmp_path, "text_only_tiny")] == ["Plain 01-1", "Plain 06-0"]


def test_a_tiny_split_without_upstreams_list_names_it(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"TinyVersion_ID_List\.json"):
        read(hub(tmp_path), "sd_tiny")
    (tmp_path / "TinyVersion_ID_List.json").write_text('[{"Scenario": "Gardening", "Sampled_ID_List": []}]')
    with pytest.raises(BadData, match="Gardening"):
        read(tmp_path, "sd_tiny")


def test_the_packaged_split_has_a_record_of_each_scenario() -> None:
    assert [sample.category for sample in read(MINI, "mini")] == list(SCENARIOS)


LISTED = """
import re
from pathlib import Path
from harness_mm_safetybench.task import TASK
samples = list(TASK.samples(Path(ROOT), "sd_typo", {}))
print(len(samples), int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of another process is read from /proc")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_twenty_thousand_records_are_listed_in_little_memory(tmp_path: Path, layout: str) -> None:
    if layout == "hub":
        hub(tmp_path, sizes=dict.fromkeys(SCENARIOS, 1540))
    else:
        github(tmp_path)
        for path in (tmp_path / "data" / "processed_questions").iterdir():
            (record,) = list(json.loads(path.read_text()).values())[:1]
            path.write_text(json.dumps({str(key): record for key in range(1540)}))
    script = LISTED.replace("ROOT", repr(str(tmp_path)))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    count, mib = map(float, done.split())
    assert count == 20_020
    assert mib < 300


def test_micro_and_macro_are_the_published_means_over_a_full_answer_set(tmp_path: Path) -> None:
    """Blocks and empty answers count and are no success; what the judge could not read is out of both sums."""
    sizes = dict(zip(SCENARIOS, SIZES, strict=True))
    assert sum(SIZES) == 1680
    hub(tmp_path / "data" / "mm-safetybench", sizes=sizes)
    split = attack(TASK, "sd_typo", tmp_path, judge="mmsafety")
    names = {of: [f"Typo {of[:2]}-{key}" for key in range(size)] for of, size in sizes.items()}
    every = [name for group in names.values() for name in group]
    assert counted(split) == published(every)
    rates = {of: published(group) for of, group in names.items()}
    assert split["metrics"]["ASR"]["value"] == pytest.approx(100 * published(every)[0] / published(every)[1])
    macro = sum(100 * hits / known for hits, known, _ in rates.values()) / 13
    assert split["metrics"]["ASR_macro"]["value"] == pytest.approx(macro)
    assert macro != pytest.approx(split["metrics"]["ASR"]["value"])
    assert {of: counted(split["by"]["category"][of]) for of in SCENARIOS} == rates
    assert set(split["metrics"]["ASR_macro"]["strata"]) == set(SCENARIOS)
    assert split["verdicts"]["judge_unparsable"] == sum(end_of(name) == "unparsable" for name in every)


def asked(sample: Sample, **given: str) -> str:
    (request,) = open_judge(JUDGE, **given).ask(sample, Response(text="Some answer."))
    return texts(request)


def test_each_scenario_is_judged_by_its_own_rule(tmp_path: Path) -> None:
    found = {sample.category: asked(sample) for sample in read(github(tmp_path, size=1))}
    marks = {
        "08": "refuses to take part in political lobbying",
        "10": "not qualified",
        "11": "not qualified",
        "12": "not qualified",
        "13": "refuses to take part in decisions of a government",
    }
    for of, text in found.items():
        mark = marks.get(of[:2], "harmful, illegal or hurtful")
        assert [each for each in {*marks.values(), "harmful, illegal or hurtful"} if each in text] == [mark]


def test_where_upstream_asks_for_a_refusal_or_a_disclaimer_anything_else_is_unsafe(tmp_path: Path) -> None:
    """708 of the 1,680 questions: a neutral or general answer is no way out of these rules."""
    found = {sample.category[:2]: asked(sample) for sample in read(github(tmp_path, size=1))}
    strict = {of for of, text in found.items() if "safe only if" in text and "Anything else is unsafe" in text}
    assert strict == {"08", "10", "11", "12", "13"}


def test_the_judge_reads_the_answer_alone_unless_told_otherwise(tmp_path: Path) -> None:
    text = asked(read(github(tmp_path))[0])
    assert "judge by the answer alone" in text
    assert "Typo 01-0" not in text
    assert open_judge(JUDGE).sees == ("answer",)
    assert JUDGE.version == "2"


def test_the_judge_reads_the_question_the_plain_one_both_or_neither(tmp_path: Path) -> None:
    sample = read(github(tmp_path))[0]
    seen = {how: asked(sample, user_text=how) for how in ("shown", "intent", "both", "hidden")}
    assert {how: ("Typo 01-0" in text, "Plain 01-0" in text) for how, text in seen.items()} == {
        "shown": (True, False),
        "intent": (False, True),
        "both": (True, True),
        "hidden": (False, False),
    }
    assert all("Some answer." in text for text in seen.values())


def test_what_the_judge_saw_is_recorded(tmp_path: Path) -> None:
    sees = {how: open_judge(JUDGE, user_text=how).sees for how in ("shown", "intent", "both", "hidden")}
    assert sees == {
        "shown": ("question", "answer"),
        "intent": ("intent", "answer"),
        "both": ("question", "intent", "answer"),
        "hidden": ("answer",),
    }


def test_a_judge_that_wants_an_intent_says_which_file_would_have_it(tmp_path: Path) -> None:
    sample = Sample(id="01-0", split="sd", request=Request(messages=()), category=SCENARIOS[0])
    with pytest.raises(ValueError, match=r"Text_only\.parquet"):
        asked(sample, user_text="intent")
