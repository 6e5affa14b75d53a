"""Data sets of the real VLMEvalKit, offline, over synthetic tables in its own layout."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import harness_vlmeval
import pytest
from harness_vlmeval.known import Part
from harness_vlmeval.process import KitProcess, start_kit
from harness_vlmeval.samples import read_rows
from harness_vlmeval.tasks import TASKS

import harness
from harness import Image, Request, Sample, Text, plugins
from harness.testing.fakes import fake_judge, fake_provider, host_of
from harness.types import Failure
from tests.zoos.vlmeval_tables import LETTERS, THINGS, choices, image, rotated, write

ODD = "=1+1 \ud800\x00"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of the test's own: importing VLMEvalKit may write into it."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LMUData", raising=False)


def yes_no(count: int, names: Callable[[int], object], **more: Any) -> list[dict[str, Any]]:
    return [
        {"index": names(n), "image": image("red circle"), "question": f"Number {n}: a circle?"}
        | {"answer": ("Yes", "No")[n % 2], **{name: value(n) for name, value in more.items()}}
        for n in range(count)
    ]


def hallusion(n: int) -> str:
    return f"{('VD', 'VS')[n // 4]}_chart_1_0_{n // 2 % 2}_{n % 2}"


TABLES: Mapping[str, list[dict[str, Any]]] = {
    "MMStar": choices(8),
    "MMBench_DEV_EN": rotated(3),
    "MMMU_DEV_VAL": [
        *choices(
            5,
            image=lambda n: image("red circle", "blue square"),
            question=lambda n: f"Number {n}: <image 2> beside <image 1>?",
            split=lambda n: ("dev", "validation")[n % 2],
        ),
        {**choices(1)[0], "index": 5, "A": "", "B": "", "C": "", "D": "", "answer": "seven", "split": "validation"},
    ],
    "MUIRBench": choices(
        4,
        image=lambda n: image("red circle", "blue square"),
        question=lambda n: f"Number {n}: <image> or <image>?",
        idx=lambda n: 10 + n,
        counterpart_idx=lambda n: {0: 13, 3: 10}.get(n, ""),
    ),
    "MMT-Bench_VAL_MI": choices(6, **{"l2-category": lambda n: ("ocr", "counting")[n % 2], "split": "val"}),
    "POPE": yes_no(
        8, lambda n: n, image=lambda n: image(THINGS[n % 2]), category=lambda n: ("random", "popular,random")[n % 2]
    ),
    "HallusionBench": yes_no(8, hallusion, category=lambda n: hallusion(n)[:2], **{"l2-category": lambda _: "chart"}),
    "Mine": choices(4),
    "DocVQA_VAL": [
        {"index": n, "image": image("red circle"), "question": f"Number {n}?", "answer": "['red', 'crimson']"}
        for n in range(3)
    ],
    "Q-Bench1_TEST": [{name: cell for name, cell in row.items() if name != "answer"} for row in choices(2)],
}


class SetsProcess:
    """One process that is asked everything: importing takes it seconds."""

    def __init__(self, child: KitProcess, root: Path) -> None:
        self._child, self._root = child, root

    async def build(self, name: str) -> tuple[Mapping[str, Any], list[Sample]]:
        folder = self._root / "built" / name
        folder.mkdir(parents=True)
        facts = await self._child.ask("build", name=name, folder=str(folder))
        form: Any = {"POPE": "yesno", "HallusionBench": "hallusion"}.get(name, "choice")
        part = Part(dataset=name, n=None, images=0)
        return facts, list(read_rows(folder / "rows.jsonl", self._root, name, part, form))

    async def evaluate(self, name: str, answers: Mapping[str, str]) -> Mapping[str, Any]:
        place = anyio.Path(self._root) / f"scored{len(list(self._root.iterdir()))}"
        await place.mkdir()
        file = place.with_suffix(".json")
        await file.write_text(json.dumps(answers), encoding="utf-8")
        return await self._child.ask("evaluate", name=name, answers=str(file), folder=str(place))


def parts(sample: Sample) -> list[str]:
    [message] = sample.request.messages
    return ["[image]" if isinstance(part, Image) else part.text for part in message.content]


def overall(found: Mapping[str, Any], column: str = "Overall") -> float:
    return float(found["overall"][column][0])


@pytest.mark.anyio
async def test_their_rows_are_our_samples_and_their_aggregates_are_the_means_of_their_hits(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for name, rows in TABLES.items():
        write(root / f"{name}.tsv", rows)
    async with anyio.create_task_group() as tasks:
        child = await start_kit(tasks, sys.executable, data=root)
        sets = SetsProcess(child, root)
        await star(sets)
        await interleaved(sets)
        await turned(sets)
        await theirs_that_breaks(sets)
        await yes_or_no(sets)
        await short(sets)
        await refused(sets)
        await child.close()
        tasks.cancel_scope.cancel()
    assert (root / "MMStar.tsv").stat().st_size > 1000, "not written over, whatever its checksum"
    assert not (root / "images").exists()


async def star(sets: SetsProcess) -> None:
    facts, samples = await sets.build("MMStar")
    assert (facts["type"], facts["expected"]) == ("MCQ", "e1ecd2140806c1b1bbf54b43372efb9e")
    assert facts["md5"] != facts["expected"]
    assert samples[1].target["answer"] == "B"
    assert samples[1].tags == {"l2-category": "colour"}
    answers = {"0": "A", "1": "The answer is B.", "2": "A", "3": ODD, "4": "NA", "5": "", "6": "x" * 40_000}
    found = await sets.evaluate("MMStar", answers)
    hits = found["hits"]
    assert [hits[str(n)]["hit"] for n in range(7)] == [1, 1, 0, 0, 0, 0, 0]
    assert [hits[str(n)]["unparsed"] for n in range(7)] == [False, False, False, True, True, True, True]
    assert overall(found) == pytest.approx(2 / 7)
    again = await sets.evaluate("MMStar", {"0": "B"})
    assert again["hits"]["0"]["hit"] == 0, "an old result is not used"
    _, mine = await sets.build("Mine")
    assert len(mine) == 4
    assert overall(await sets.evaluate("Mine", {"0": "A", "1": "A"})) == 0.5


async def interleaved(sets: SetsProcess) -> None:
    _, mmmu = await sets.build("MMMU_DEV_VAL")
    _, muir = await sets.build("MUIRBench")
    assert [part for part in parts(mmmu[0]) if part == "[image]"] == ["[image]"] * 2
    assert mmmu[0].request.images[0].path.endswith("0_1.png"), "the mark says which image"
    assert [sample.cluster for sample in muir] == ["twins_0", "twins_0", "", ""], "a column with gaps has 13.0"
    assert parts(muir[0])[:4] == ["Number 0: ", "[image]", " or ", "[image]"]
    answers = {str(n): LETTERS[n % 4] for n in range(5)} | {"5": "seven"}
    found = await sets.evaluate("MMMU_DEV_VAL", answers)
    assert [found["hits"][str(n)]["hit"] for n in range(6)] == [1] * 6, "an open question is matched by its text"


async def turned(sets: SetsProcess) -> None:
    _, samples = await sets.build("MMBench_DEV_EN")
    assert [sample.cluster or sample.id for sample in samples] == ["0"] * 4 + ["1"] * 4 + ["2"] * 4
    right = {sample.id: sample.target["answer"] for sample in samples}
    found = await sets.evaluate("MMBench_DEV_EN", {**right, "1000001": "Z", "2": "none of them"})
    wrong = [index for index, hit in found["hits"].items() if not hit["hit"]]
    assert (len(found["hits"]), sorted(wrong)) == (12, ["1000001", "2"])


async def theirs_that_breaks(sets: SetsProcess) -> None:
    await sets.build("MMT-Bench_VAL_MI")
    found = await sets.evaluate("MMT-Bench_VAL_MI", {"0": "A", "1": "B", "2": "A"})
    assert "same length" in found["raised"]["message"], "their table wants every category"
    assert [found["hits"][str(n)]["hit"] for n in range(3)] == [1, 1, 0]


async def yes_or_no(sets: SetsProcess) -> None:
    _, pope = await sets.build("POPE")
    assert [sample.id for sample in pope] == ["0", "2", "4", "6", "1", "3", "5", "7"], "each image by itself"
    assert len({sample.cluster for sample in pope}) == 2
    words = ["yes", "No, there is not.", "no", "yes", "Perhaps", "NA"]
    found = await sets.evaluate("POPE", {str(n): word for n, word in enumerate(words)})
    assert [found["hits"][str(n)]["said"] for n in range(6)] == ["yes", "no", "no", "yes", "", ""]
    assert [found["hits"][str(n)]["hit"] for n in range(6)] == [1, 1, 0, 0, 0, 0]
    _, samples = await sets.build("HallusionBench")
    assert {sample.cluster for sample in samples} == {"VD_chart_0", "VS_chart_0"}
    right = {sample.id: sample.target["answer"] for sample in samples}
    scored = await sets.evaluate("HallusionBench", {**right, samples[0].id: "yes and no"})
    assert overall(scored, "aAcc") == pytest.approx(100 * 7 / 8)
    assert overall(scored, "fAcc") == 50.0, (
        "theirs takes VD and VS for one set: 1 of 2 figures; ours are 4, 3 of them right"
    )


async def short(sets: SetsProcess) -> None:
    _, samples = await sets.build("DocVQA_VAL")
    assert "single word or phrase" in parts(samples[0])[-1]
    found = await sets.evaluate("DocVQA_VAL", {"0": "red", "1": "redd", "2": "blue"})
    hits = [found["hits"][str(n)]["hit"] for n in range(3)]
    assert hits == [1.0, 0.75, 0.0]
    assert overall(found) == pytest.approx(100 * sum(hits) / 3)


async def refused(sets: SetsProcess) -> None:
    with pytest.raises(harness_vlmeval.process.Refused, match="holds no answers"):
        await sets.build("Q-Bench1_TEST")


def say(request: Request) -> str | Failure:
    words = " ".join(part.text for part in request.messages[-1].content if isinstance(part, Text))
    number = int(words.split("Number ")[1].split(":")[0])
    blocked = Failure(outcome="input_blocked", reason="content_filter")
    return {1: blocked, 2: "", 3: "it is hard to say"}.get(number, f"Answer: {LETTERS[number % 4]}")


def test_a_whole_run_counts_our_outcomes_and_their_hits(tmp_path: Path) -> None:
    write(tmp_path / "data" / "mmstar" / "MMStar.tsv", choices(8))
    host = host_of(fake_provider(say), *TASKS, *harness_vlmeval.harness_judges(), fake_judge(name="choice"))
    with plugins.use(host):
        found = harness.run(
            model="fake/m", tasks=["mmstar:val"], data=tmp_path / "data", output=tmp_path / "run",
            task_settings={"mmstar.any_revision": True}, probe=False,
        )  # fmt: skip
    split = found.results["tasks"]["mmstar"]["splits"]["val"]
    assert split["labels"] == {"right": 5, "wrong": 2, "none": 1}
    assert split["verdicts"]["scored"] == 6
    assert split["metrics"]["accuracy"]["value"] == pytest.approx(100 * 5 / 8)
