"""How many labels a split needs: from a pilot, per cell, and said plainly where no number is enough."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from pathlib import Path

import pytest

from harness import plugins
from harness.plugins.host import Host
from harness.runs.label_entry import SKIPPED, Said, enter_words
from harness.runs.label_plan import MARGIN, LabelPlan, plan_from_pilot, plan_run
from harness.runs.labelling import build_frame, draw_run
from harness.runs.stored import StoredRun, open_run
from harness.stats.correction import LabelledCell
from harness.types import Verdict
from tests.plugins.agree_asking import SOURCE, judged

ANSWERS = 1675


def pilot(rate: float, sensitivity: float, specificity: float, half_width: float) -> LabelPlan:
    """Of a judge of this quality: 20 labels of each cell, at the cell's true rate."""
    unsafe = rate * sensitivity + (1 - rate) * (1 - specificity)
    rates = {"unsafe": rate * sensitivity / unsafe, "safe": rate * (1 - sensitivity) / (1 - unsafe)}
    of = {"unsafe": round(ANSWERS * unsafe), "safe": ANSWERS - round(ANSWERS * unsafe)}
    cells = tuple(LabelledCell(name=name, hits=20 * rates[name], judged=20, of=of[name]) for name in of)
    return LabelPlan(title="mis:easy", metric="ASR", judge="mis-x", half_width=half_width, cells=cells, labels=40)


@pytest.mark.parametrize(
    ("rate", "sensitivity", "specificity", "half_width", "labels"),
    [
        (0.30, 0.9, 0.9, 0.05, 141),
        (0.30, 0.7, 0.99, 0.05, 222),
        (0.10, 0.9, 0.9, 0.04, 111),
        (0.02, 0.9, 0.98, 0.02, 139),
        (0.30, 0.99, 0.99, 0.03, 154),
    ],
)
def test_the_plan_asks_for_the_labels_that_simulations_found_and_a_margin(
    rate: float, sensitivity: float, specificity: float, half_width: float, labels: int
) -> None:
    plan = plan_from_pilot(pilot(rate, sensitivity, specificity, half_width), 1.0)
    assert plan.total == pytest.approx(ceil(labels * MARGIN), abs=2)
    assert sum(plan.needed.values()) == plan.total
    assert plan.needed["unsafe"] <= plan.needed["safe"] + 1
    assert plan.expected is not None
    assert plan.expected < half_width


def test_where_all_labels_are_not_enough_the_best_half_width_is_said() -> None:
    plan = plan_from_pilot(pilot(0.3, 0.9, 0.9, 0.01), 1.0)
    assert plan.total == 0
    assert plan.best == pytest.approx(0.022, abs=0.001)
    assert "even with every answer labelled the half width is about 2.2" in plan.why


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    asks = ["uu"] * 60 + ["su"] * 20 + ["ss"] * 70 + ["?s"] * 6 + ["block"] * 10
    return judged(tmp_path_factory.mktemp("plan") / "run", asks=" ".join(asks), tasks="twice:one")


@pytest.fixture
def run(folder: Path) -> Iterator[StoredRun]:
    with plugins.use(Host.load([SOURCE])):
        yield open_run(folder, ())


def test_without_a_pilot_the_draw_that_makes_one_is_named(run: StoredRun) -> None:
    (plan,) = plan_run(run, 0.05)
    assert plan.pilot == 20 + 20 + 6
    assert plan.why == "no answer is drawn and labelled, and a plan needs a pilot of about 20 a cell"
    assert {cell.name: cell.of for cell in plan.cells} == {
        "safe": 90,
        "unsafe": 60,
        "unscored": 6,
        "blocked records": 10,
    }


def test_labels_that_are_there_give_the_plan_of_each_cell(run: StoredRun) -> None:
    (drawn,) = draw_run(run, n=46)
    answers = {each.item: each for each in run.answers("twice:one")}
    said = [
        Said(item=item, decision=Verdict(label="unsafe" if answers[item].text[7] == "u" else "safe"))
        for item in drawn.items
    ]
    enter_words(run, "human-anna", said, {}, command=())
    again = open_run(run.folder.path, ())
    (plan,) = plan_run(again, 0.1)
    assert plan.labels == 46
    assert plan.why == ""
    assert set(plan.needed) == {"safe", "unsafe", "unscored"}
    assert plan.needed["unscored"] <= 6
    assert 40 <= plan.total <= 156
    found = plan.as_json()
    assert found["needed"] == plan.total
    assert [cell["name"] for cell in found["cells"]] == ["unsafe", "safe", "unscored"]
    (hopeless,) = plan_run(again, 0.001)
    assert "even with every answer labelled" in hopeless.why


def test_a_skipped_answer_of_a_small_cell_does_not_hold_the_plan_up(tmp_path: Path) -> None:
    asks = ["uu"] * 50 + ["ss"] * 50 + ["?s"] * 8 + ["us?"] * 2
    folder = judged(tmp_path / "run", asks=" ".join(asks), tasks="twice:one")
    with plugins.use(Host.load([SOURCE])):
        stored = open_run(folder, ())
        (drawn,) = draw_run(stored, n=48)
        unscored = {each.item for each in build_frame(stored, drawn.plan, drawn.draw.judge) if each.cell == "unscored"}
        said = [
            Said(item=item, decision=SKIPPED if item in unscored else Verdict(label="unsafe")) for item in drawn.items
        ]
        enter_words(stored, "human-anna", said, {}, command=())
        (plan,) = plan_run(open_run(folder, ()), 0.2)
    assert plan.why == ""
    assert plan.total >= 40
    assert drawn.draw.cells["unscored"] == (8, 8)
