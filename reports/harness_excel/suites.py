"""The columns of the means over suites."""

from __future__ import annotations

from collections.abc import Sequence

from harness.board.display import figure
from harness.board.means import Mean

from .cells import Column

MEANS: Sequence[Column[Mean]] = (
    Column("Model", lambda mean: mean.model),
    Column("Suite", lambda mean: mean.suite),
    Column("Mean", lambda mean: mean.value, "0.000"),
    Column("95% low", lambda mean: mean.ci95[0], "0.000"),
    Column("95% high", lambda mean: mean.ci95[1], "0.000"),
    Column("Unit", lambda mean: mean.unit),
    Column("Better", lambda mean: mean.better),
    Column("Complete", lambda mean: mean.complete),
    Column("Of", lambda mean: ", ".join(f"{name} {figure(value, mean.unit)}" for name, (_, value) in mean.of.items())),
    Column("Missing", lambda mean: ", ".join(mean.missing)),
)
