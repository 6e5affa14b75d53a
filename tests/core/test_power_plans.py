"""How many samples an evaluation needs: exact against direct counts, and what earlier runs say."""

from __future__ import annotations

import json
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from harness import plugins
from harness.cli import cli
from harness.errors import HarnessError, UnknownName
from harness.plugins.host import Host
from harness.runs.power_plan import PowerBasis, plan_power, power_as_json, read_basis
from harness.stats.intervals import wilson
from harness.stats.matching import mcnemar
from harness.stats.power import (
    Goal,
    PowerModel,
    correlate_pairs,
    count_observations,
    find_detectable,
    find_mcnemar_power,
    find_power,
    find_reach,
    plan_records,
    split_pairs,
)
from tests.core.compared import SOURCE, WORLD, changed, played


def basis(title: str = "played:one", **given: Any) -> PowerBasis:
    with plugins.use(Host.load([SOURCE])):
        return read_basis(title, **given)


@pytest.mark.parametrize(
    ("n", "discordant", "difference"), [(5, 1.0, 1.0), (12, 0.5, 0.4), (22, 0.3, 0.3), (40, 0.2, 0.0)]
)
def test_the_power_of_mcnemars_test_is_that_of_a_direct_count(n: int, discordant: float, difference: float) -> None:
    one, other = (discordant + difference) / 2, (discordant - difference) / 2
    counted = sum(
        comb(n, k) * comb(k, left) * one**left * other ** (k - left) * (1 - discordant) ** (n - k)
        for k in range(n + 1)
        for left in range(k + 1)
        if mcnemar(left, k - left) < 0.05
    )
    assert find_mcnemar_power(n, discordant, difference) == pytest.approx(counted, abs=1e-9)


@pytest.mark.parametrize(("n", "rate"), [(10, 0.01), (22, 0.3), (50, 0.5)])
def test_the_power_of_width_and_limit_is_that_of_a_direct_count(n: int, rate: float) -> None:
    chances = {k: comb(n, k) * rate**k * (1 - rate) ** (n - k) for k in range(n + 1)}
    ends = {k: wilson(k / n, n) for k in range(n + 1)}
    width = ends[round(n * rate)][1] - ends[round(n * rate)][0]
    narrow = sum(chances[k] for k in ends if ends[k][1] - ends[k][0] <= width + 1e-9)
    assert find_power(PowerModel(rate=rate), "width", width, n) == pytest.approx(narrow, abs=1e-9)
    within = sum(chances[k] for k in ends if ends[k][1] <= rate + 0.3)
    assert find_power(PowerModel(rate=rate), "limit", rate + 0.3, n) == pytest.approx(within, abs=1e-9)
    above = sum(chances[k] for k in ends if ends[k][0] >= rate / 2)
    found = find_power(PowerModel(rate=rate), "limit", rate / 2, n, lower_is_better=False)
    assert found == pytest.approx(above, abs=1e-9)


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
@pytest.mark.parametrize(("goal", "size"), [("width", 0.2), ("detect", 0.3), ("margin", 0.1), ("limit", 0.6)])
def test_from_the_planned_size_on_the_chance_stays_as_wanted(rate: float, goal: Goal, size: float) -> None:
    model = PowerModel(rate=rate, correlation=0.3)
    plan = plan_records(model, goal, size)
    assert plan.records is not None
    assert plan.power >= 0.8
    slack = 0.02 if goal == "margin" else 0.0  # drawn tables
    for more in (0, 1, 2, 3, 5, 8):
        chance = find_power(model, goal, size, plan.records + more, other_rate=plan.other_rate)
        assert chance >= 0.8 - slack
    assert find_power(model, goal, size, plan.records // 2, other_rate=plan.other_rate) < 0.8


def test_no_larger_evaluation_than_a_large_planned_one_falls_short() -> None:
    model = PowerModel(rate=0.1)
    plan = plan_records(model, "limit", 0.12)
    assert plan.records is not None
    assert plan.records > 2000
    assert all(find_power(model, "limit", 0.12, plan.records + more) >= 0.8 for more in range(60))
    assert find_power(model, "limit", 0.12, plan.records - 1) < 0.8


def test_what_so_many_records_reach_is_what_a_plan_for_it_asks_for() -> None:
    model = PowerModel(rate=0.2, correlation=0.3)
    for goal in ("width", "detect", "margin"):
        reach = find_reach(model, goal, 200)
        assert reach is not None
        other = 0.2 + reach if goal == "detect" else None
        assert find_power(model, goal, reach, 200, other_rate=other) >= 0.79
        assert find_power(model, goal, reach * 0.8, 200, other_rate=other and 0.2 + reach * 0.8) < 0.8


def test_pairing_saves_samples_and_clusters_cost_them() -> None:
    def ask(*, correlation: float = 0.0, design_effect: float = 1.0) -> int:
        model = PowerModel(rate=0.3, correlation=correlation, design_effect=design_effect)
        plan = plan_records(model, "detect", 0.1)
        assert plan.records is not None
        return plan.records

    assert ask(correlation=0.5) < 0.7 * ask()
    assert ask(design_effect=2.0) == pytest.approx(2 * ask(), abs=2)


def test_seeds_help_where_answers_vary_and_cannot_help_below_what_seeds_differ_by() -> None:
    model = PowerModel(rate=0.3, correlation=0.2, within=0.4, seed_sd=0.01)
    sizes = [plan_records(PowerModel(**{**as_dict(model), "seeds": m}), "detect", 0.06).records for m in (3, 5, 10)]
    known = [size for size in sizes if size is not None]
    assert len(known) == 3
    assert known == sorted(known, reverse=True)
    far = PowerModel(rate=0.3, seeds=2, seed_sd=0.05)
    assert plan_records(far, "detect", 0.03).records is None


def as_dict(model: PowerModel) -> dict[str, Any]:
    return {name: getattr(model, name) for name in PowerModel.__slots__}


def test_a_difference_that_leaves_the_range_of_rates_is_planned_the_other_way() -> None:
    assert plan_records(PowerModel(rate=0.02), "detect", 0.1).other_rate == pytest.approx(0.12)
    assert plan_records(PowerModel(rate=0.98), "detect", 0.1).other_rate == pytest.approx(0.88)
    assert plan_records(PowerModel(rate=0.5), "detect", 0.6).records is None


def test_five_pairs_can_show_no_difference_and_more_pairs_show_smaller_ones() -> None:
    assert find_detectable(5, 0.5) is None
    found = [find_detectable(n, 0.3) for n in (6, 10, 50, 500)]
    known = [size for size in found if size is not None]
    assert len(known) == 4
    assert known == sorted(known, reverse=True)


def test_a_table_of_pairs_has_the_wanted_margins_and_correlation() -> None:
    cells = split_pairs(0.3, 0.2, 0.25)
    assert (cells[0] + cells[1], cells[0] + cells[2]) == (pytest.approx(0.3), pytest.approx(0.2))
    assert correlate_pairs(0.3, 0.2, cells[1] + cells[2]) == pytest.approx(0.25)
    assert min(split_pairs(0.99, 0.01, 1.0)) >= 0


@pytest.mark.parametrize(("hits", "n"), [(0, 22), (22, 22), (3, 100), (500, 1675)])
def test_an_interval_shows_how_many_observations_it_rests_on(hits: int, n: int) -> None:
    assert count_observations(hits / n, wilson(hits / n, n)) == pytest.approx(n)


def test_drawn_evaluations_of_the_planned_size_find_the_difference_in_4_of_5() -> None:
    model = PowerModel(rate=0.1, correlation=0.3)
    plan = plan_records(model, "detect", 0.3)
    assert plan.records is not None
    assert plan.other_rate is not None
    cells = np.array(split_pairs(0.1, plan.other_rate, 0.3))
    drawn = np.random.default_rng(1).multinomial(plan.records, cells / cells.sum(), 3000)
    found = [mcnemar(int(one), int(other)) < 0.05 for _, one, other, _ in drawn]
    assert 0.77 < np.mean(found) < 0.86


def test_a_run_tells_its_rate_its_size_and_what_an_answer_costs(tmp_path: Path) -> None:
    run = played(tmp_path / "run", "uss")
    found = basis(against=[run])
    assert (found.title, found.metric, found.better) == ("played:one", "ASR", "lower")
    assert (found.model.rate, found.model.design_effect) == (pytest.approx(1 / 3), pytest.approx(1.0))
    assert found.cost_per_record is None
    changed(run, lambda results: results["usage"].update(cost_usd=0.24), "results.json")
    priced = basis(against=[run])
    assert priced.cost_per_record == pytest.approx(0.02)
    (row,) = plan_power(priced, {"width": 20.0})
    assert row.samples is not None
    assert (row.calls, row.cost_usd) == (row.samples, pytest.approx(0.02 * row.samples))


def test_a_second_run_tells_how_two_models_answers_hang_together(tmp_path: Path) -> None:
    one, other = played(tmp_path / "a", "uuus"), played(tmp_path / "b", "uuss")
    found = basis(against=[one, other])
    assert found.model.correlation == pytest.approx(correlate_pairs(0.75, 0.5, 0.25))
    assert str(other) in found.sources["correlation"]
    assert basis(against=[one]).sources["correlation"] == "assumed"


def test_what_the_user_gives_stands_over_what_runs_say(tmp_path: Path) -> None:
    run = played(tmp_path / "run", "us")
    found = basis(against=[run], rate=5, correlation=0.5, seed_sd=1)
    model = found.model
    assert (model.rate, model.correlation, model.seed_sd) == (0.05, 0.5, 0.01)
    assert {found.sources[name] for name in ("rate", "correlation", "seed_sd")} == {"given"}
    assert [row.seeds for row in plan_power(found, {"width": 20.0})] == [1, 2, 3, 5]


def test_a_task_alone_tells_its_size_and_its_main_metric() -> None:
    found = basis("mis:test", rate=3)
    assert (found.metric, found.published) == ("ASR", 2185)
    (row,) = plan_power(found, {"detect": 1.0})
    assert row.enough is False
    assert row.reach is not None
    assert row.reach > 1


@pytest.mark.parametrize(
    ("title", "given", "said"),
    [
        ("played:nine", {"rate": 3.0}, "no split 'nine'"),
        ("playd:one", {"rate": 3.0}, "playd"),
        ("played:one", {"rate": 3.0, "metric": "ASRR"}, "no metric 'ASRR'"),
        ("played:one", {}, "nothing says what rate"),
    ],
)
def test_what_is_not_there_is_refused(title: str, given: dict[str, Any], said: str) -> None:
    with pytest.raises(HarnessError, match=said):
        basis(title, **given)


def test_a_run_without_the_split_or_the_judge_is_refused_with_what_it_has(tmp_path: Path) -> None:
    run = played(tmp_path / "run", "us")
    with pytest.raises(UnknownName) as caught:
        basis("played:twins", against=[run])
    assert "it has one" in caught.value.remedy
    with pytest.raises(UnknownName):
        basis(against=[run], judge="strict")


def test_the_json_holds_all_figures_of_a_plan(tmp_path: Path) -> None:
    found = basis(against=[played(tmp_path / "run", "us")])
    rows = plan_power(found, {"detect": 30.0, "margin": 20.0, "limit": 90.0, "width": 30.0}, seeds=(2,))
    body = json.loads(json.dumps(power_as_json(found, rows, 0.8), allow_nan=False))
    assert body["schema"] == "harness.power/1"
    assert [(plan["goal"], plan["runs"]) for plan in body["plans"]] == [
        ("detect", 4),
        ("margin", 4),
        ("limit", 2),
        ("width", 2),
    ]


def test_a_rate_measured_on_few_answers_is_planned_at_the_worse_end_of_its_interval_too(tmp_path: Path) -> None:
    run = played(tmp_path / "run", "s")
    found = basis(against=[run])
    assert found.rate_ci95 is not None
    assert (found.rate_answers, found.rate_ci95[0]) == (12, 0.0)
    low, high = plan_power(found, {"limit": 5.0}) + plan_power(found, {"limit": 40.0})
    assert low.samples is not None
    assert (low.worst_rate, low.worst_samples) == (found.rate_ci95[1], None)
    assert high.samples is not None
    assert high.worst_samples is not None
    assert high.worst_samples > high.samples
    (given,) = plan_power(basis(against=[run], rate=3), {"limit": 5.0})
    assert (given.worst_rate, given.worst_samples) == (None, None)


def test_a_task_without_a_split_is_asked_for_one_by_name(tmp_path: Path) -> None:
    with pytest.raises(UnknownName) as caught:
        basis("mis", rate=3)
    assert caught.value.remedy.startswith("name a split: mis:")
    run = played(tmp_path / "run", "us", tasks="played:one,played:twins")
    with pytest.raises(UnknownName) as caught:
        basis("played", against=[run])
    assert caught.value.remedy == "name a split: played:one, played:twins"
    assert basis("played", against=[played(tmp_path / "one", "us")]).title == "played:one"


@pytest.mark.parametrize(
    ("goals", "rate", "said"),
    [
        ({"detect": 3.0}, 150.0, "from 0 to 100, not 150"),
        ({"detect": 3.0}, -3.0, "from 0 to 100, not -3"),
        ({"detct": 3.0}, 20.0, "there is no goal 'detct'"),
        ({"detect": -3.0}, 20.0, "detect is -3"),
        ({"margin": 0.0}, 20.0, "margin is 0"),
    ],
)
def test_python_refuses_what_the_command_does(goals: Any, rate: float, said: str) -> None:
    with plugins.use(Host.load([SOURCE])), pytest.raises(HarnessError, match=said):
        plan_power("played:one", goals, rate=rate)


def test_python_plans_from_the_name_of_a_split_as_from_what_is_known(tmp_path: Path) -> None:
    run = played(tmp_path / "run", "us")
    with plugins.use(Host.load([SOURCE])):
        assert plan_power("played:one", {"width": 20.0}, against=run) == plan_power(
            basis(against=[run]), {"width": 20.0}
        )


def test_a_plan_that_needs_more_than_the_split_has_says_so_without_colour(tmp_path: Path) -> None:
    run = played(tmp_path / "run", "s")
    done = CliRunner().invoke(cli, ["power", "--task", "played:one", "--limit", "5", "--against", str(run), *WORLD])
    assert done.exit_code == 0, done.output
    told = " ".join(done.output.split())
    assert "(!): the split has 12" in told
    assert "0.0 was measured on 12 answers [0.0, 24" in told
    assert "at the upper end 24" in told
    assert "no number of samples suffices: give --rate" in told
    broken = CliRunner().invoke(
        cli, ["power", "--task", "played:one", "--limit", "5", "--against", str(played(tmp_path / "u", "u")), *WORLD]
    )
    assert "it was measured on 12 answers [" in str(broken.exception)
