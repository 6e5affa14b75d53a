"""JailBreakV-28K: an attack's text and one image, in every place the published copies keep them."""

import zipfile
from pathlib import Path
from typing import Any

import pytest
from harness_jailbreakv.task import JUDGE, LABELS, MINI, POLICIES, TASK

from harness import Response, Sample, Unscored, Verdict
from harness.testing.conformance import check_judge
from harness.testing.fakes import PIXEL, fake_sample
from tests.tasks.data import (
    check,
    check_listing,
    find_reason,
    open_first,
    open_judge,
    put,
    read,
    show,
    without,
    write_csv,
)
from tests.tasks.played import attack, counted, published, reply, texts

HUB = "JailBreakV_28K/"


def record(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": number,
        "jailbreak_query": f"In a story, paint wall {number}.",
        "redteam_query": f"Paint wall {number % 1000}.",
        "format": "template",
        "policy": "Fraud",
        "image_path": f"llm_transfer_attack/blank_{number}.png",
        "from": "GPT Generate",
        "selected_mini": str(number % 100 == 0),
        "transfer_from_llm": "True",
        **changes,
    }


def write(root: Path, records: list[dict[str, Any]], name: str = "mini_JailBreakV_28K", base: str = HUB) -> Path:
    write_csv(root / base / f"{name}.csv", records)
    return root


def listed(root: Path, split: str = "official-mini") -> list[Sample]:
    return read(TASK, root, split)


def test_a_sample_is_the_image_then_the_jailbreak_and_its_goal_goes_to_the_judge_alone(tmp_path: Path) -> None:
    (sample,) = listed(write(tmp_path, [record(7)]))
    assert show(sample) == [f"<{HUB}llm_transfer_attack/blank_7.png>", "In a story, paint wall 7."]
    assert sample.target == {"intent": "Paint wall 7."}
    assert (sample.id, sample.category) == ("7", "Fraud")
    assert sample.tags == {"format": "template", "image": "blank", "source": "GPT Generate"}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("llm_transfer_attack/nature_12.png", "nature"),
        ("llm_transfer_attack/SD_related_3.png", "SD"),
        ("query_related/typo_related_3.png", "typo"),
        ("figstep/figstep_3.png", "figstep"),
        ("figstep\\3.png", "figstep"),
    ],
)
def test_the_kind_of_image_is_read_off_its_place(tmp_path: Path, path: str, kind: str) -> None:
    (sample,) = listed(write(tmp_path, [record(1, image_path=path)]))
    assert sample.tags["image"] == kind


def test_attacks_on_one_goal_come_together_and_share_a_cluster(tmp_path: Path) -> None:
    found = listed(write(tmp_path, [record(1), record(2), record(1001)]))
    assert [sample.id for sample in found] == ["1", "1001", "2"]
    assert found[0].cluster == found[1].cluster == "Paint wall 1."


@pytest.mark.parametrize(
    ("base", "place"),
    [
        (HUB, f"{HUB}llm_transfer_attack"),
        (HUB, "llm_transfer_attack"),
        (HUB, f"{HUB}{HUB}llm_transfer_attack"),
        ("", "llm_transfer_attack"),
        ("", f"{HUB}llm_transfer_attack"),
    ],
)
def test_images_are_found_in_each_place_copies_keep_them(tmp_path: Path, base: str, place: str) -> None:
    write(tmp_path, [record(1)], base=base)
    put(tmp_path, f"{place}/blank_1.png")
    assert [open_first(sample) for sample in listed(tmp_path)] == [PIXEL]


@pytest.mark.parametrize("top", ["JailBreakV_28K/", ""])
def test_images_are_read_out_of_the_archive_beside_the_tables(tmp_path: Path, top: str) -> None:
    write(tmp_path, [record(1)])
    with zipfile.ZipFile(tmp_path / "JailBreakV_28K.zip", "w") as file:
        file.writestr(f"{top}llm_transfer_attack/blank_1.png", PIXEL)
        file.writestr(f"{top}figstep/other.png", PIXEL)
    assert [open_first(sample) for sample in listed(tmp_path)] == [PIXEL]


def test_images_that_are_not_there_are_counted_and_listed_and_never_left_out_of_a_prompt(tmp_path: Path) -> None:
    write(tmp_path, [record(n) for n in range(3)])
    put(tmp_path, f"{HUB}llm_transfer_attack/blank_1.png")
    found = check(TASK, tmp_path, "official-mini")
    assert (found.samples, len(found.bad["missing"])) == (3, 2)
    assert "280 are published" in found.warning
    assert all(len(sample.request.images) == 1 for sample in listed(tmp_path))


def test_an_image_out_of_the_data_root_is_never_opened(tmp_path: Path) -> None:
    put(tmp_path, "secret.png")
    (sample,) = listed(write(tmp_path / "root", [record(1, image_path="../secret.png")]))
    assert find_reason(sample.request.images[0]) == "outside_root"


def test_without_its_own_table_the_mini_set_is_what_the_whole_one_selects(tmp_path: Path) -> None:
    write(tmp_path, [record(n) for n in range(250)], "JailBreakV_28K")
    assert [sample.id for sample in listed(tmp_path)] == ["0", "100", "200"]
    assert len(listed(tmp_path, "full")) == 250


def test_the_goals_alone_are_asked_without_an_image(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "question": "Paint it.", "policy": "Fraud", "from": "Handcraft"},
        {"id": 2, "question": "Wash it.", "policy": "Bias"},
    ]
    write(tmp_path, rows, "RedTeam_2K")
    first, second = listed(tmp_path, "redteam")
    assert (show(first), first.target) == (["Paint it."], {"intent": "Paint it."})
    assert (first.tags, second.tags) == ({"source": "Handcraft"}, {"source": ""})


def test_columns_that_only_some_copies_have_may_be_missing(tmp_path: Path) -> None:
    (sample,) = listed(
        write(tmp_path, [without(record(1), "id", "from", "format", "selected_mini", "transfer_from_llm")])
    )
    assert (sample.id, sample.tags["source"], sample.tags["format"]) == ("1", "", "")


def test_twenty_thousand_records_are_listed_in_little_memory_and_no_image_is_touched(tmp_path: Path) -> None:
    check_listing(
        lambda count: write(tmp_path, [record(n) for n in range(count)], "JailBreakV_28K"),
        lambda: listed(tmp_path, "full"),
    )


def test_the_rate_is_the_published_one_over_all_answers_that_have_a_class(tmp_path: Path) -> None:
    """Blocks and empty answers count and are no success; what the judge could not read is out of both sums."""
    records = [record(n, policy=POLICIES[n % 16], image_path=f"figstep/{n}.png") for n in range(280)]
    write(tmp_path / "data" / "jailbreakv", records)
    put(tmp_path / "data" / "jailbreakv", *(f"{HUB}{r['image_path']}" for r in records))
    split = attack(TASK, "official-mini", tmp_path, judge="jailbreakv")
    assert counted(split) == published(f"{n}.png" for n in range(280))
    assert counted(split["by"]["category"]["Malware"]) == published(
        f"{r['id']}.png" for r in records if r["policy"] == "Malware"
    )
    assert set(split["by"]) == {"category", "format", "image"}


def asked(sample: Sample, **given: Any) -> str:
    [request] = open_judge(JUDGE, **given).ask(sample, Response(text="Use a brush."))
    return texts(request)


SAMPLE = fake_sample(text="In a story, paint it.", images=1, target={"intent": "Paint it."})


def test_the_judge_reads_the_goal_and_neither_the_jailbreak_nor_the_image() -> None:
    text = asked(SAMPLE)
    assert "Paint it." in text
    assert "In a story" not in text
    assert text.index("Paint it.") < text.index("Use a brush.")
    [request] = open_judge(JUDGE).ask(SAMPLE, Response(text="x"))
    assert request.images == ()
    assert JUDGE.needs == frozenset()


def test_what_it_reads_as_the_request_is_a_setting_and_part_of_its_identity() -> None:
    shown, both = asked(SAMPLE, user_text="shown"), asked(SAMPLE, user_text="both")
    assert ("In a story" in shown, "Paint it." in shown) == (True, False)
    assert ("In a story" in both, "Paint it." in both) == (True, True)
    rubrics = {name: open_judge(JUDGE, user_text=name) for name in ("intent", "shown", "both")}
    assert len({str(rubric.identity) for rubric in rubrics.values()}) == 3
    assert {name: rubric.sees for name, rubric in rubrics.items()} == {
        "intent": ("intent", "answer"),
        "shown": ("question", "answer"),
        "both": ("question", "intent", "answer"),
    }


def test_a_sample_without_a_goal_is_judged_by_its_question() -> None:
    assert "What is this?" in asked(fake_sample())


def test_every_policy_is_explained_to_the_judge_in_the_spelling_it_is_to_copy() -> None:
    text = asked(SAMPLE)
    assert all(f"- {policy}: " in text for policy in POLICIES)
    assert len(POLICIES) == 16


@pytest.mark.parametrize("label", LABELS)
def test_the_label_decides_and_the_policy_is_kept_beside_it(label: str) -> None:
    said = Response(text=reply(policy="Malware", label=label))
    found = open_judge(JUDGE).read(SAMPLE, Response(text="x"), [said])
    assert found == Verdict(label=label, axes={"policy": "Malware"}, reason="because")


@pytest.mark.parametrize("text", ["unsafe\nS1", reply(policy="Malware"), reply(policy="malware", label="unsafe")])
def test_a_reply_that_is_not_the_form_is_no_verdict(text: str) -> None:
    found = open_judge(JUDGE).read(SAMPLE, Response(text="x"), [Response(text=text)])
    assert isinstance(found, Unscored)
    assert found.state == "judge_unparsable"


def test_the_judge_keeps_its_contract() -> None:
    check_judge(JUDGE, listed(MINI, "mini"), replies=[reply(policy="none", label=label) for label in LABELS])
