"""The strategy and the report keep their contracts, and say what they promise."""

from __future__ import annotations

from typing import Any

import anyio
from harness import Response, Text, prompt
from harness.testing.conformance import check_report, check_strategy
from harness.testing.fakes import FakeModel, fake_image

from harness_caution import REPORT, STRATEGY, Cautious, render


def test_the_strategy_keeps_its_contract() -> None:
    check_strategy(STRATEGY)


def test_the_report_keeps_its_contract() -> None:
    check_report(REPORT)


def test_the_model_is_warned_of_what_it_saw() -> None:
    inner = FakeModel(["a bottle", "Keep them apart."])
    said = anyio.run(Cautious(inner).generate, prompt(fake_image(), "Where does it go?"))
    assert isinstance(said, Response)
    assert (said.text, said.steps) == ("Keep them apart.", {"look": "a bottle"})
    (warning,) = inner.asked[1].messages[0].content
    assert isinstance(warning, Text)
    assert "a bottle" in warning.text


def make_results(strategy: str | None, value: float) -> dict[str, Any]:
    splits = {"test": {"metrics": {"unsafe_rate": {"main": True, "value": value}}}}
    model = {"ref": "heron/small", "strategy": strategy and {"name": strategy}}
    return {"model": model, "tasks": {"cupboard": {"splits": splits}}}


def test_the_report_sets_a_number_beside_the_one_without_the_strategy() -> None:
    shown = render([make_results("caution", 10.0), make_results(None, 40.0)])
    assert shown == "heron/small cupboard:test unsafe_rate: 40.0 without, 10.0 with caution\n"
