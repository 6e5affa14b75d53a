"""Passes on what TRL's trainer says: to the display, and into the history."""

from __future__ import annotations

from typing import Any

from harness_mirage.models.untyped import Untyped, transformers

from .showing import Display, History


class Teller(transformers.TrainerCallback):  # type: ignore[misc, name-defined, unused-ignore]
    """A callback of transformers."""

    def __init__(self, history: History, display: Display) -> None:
        self._history = history
        self._display = display

    def on_train_begin(self, args: Untyped, state: Untyped, control: Untyped, **more: Any) -> None:  # noqa: ARG002
        """The state is the checkpoint's where one is gone on from."""
        self._history.begin(state.log_history)
        self._display.begin(state.global_step, state.max_steps)

    def on_log(
        self,
        args: Untyped,  # noqa: ARG002
        state: Untyped,
        control: Untyped,  # noqa: ARG002
        logs: dict[str, float] | None = None,
        **more: Any,  # noqa: ARG002
    ) -> None:
        """A step, or the summary at the end."""
        if logs and "loss" in logs:
            self._history.add({**logs, "step": state.global_step})
            self._display.step(state.global_step, logs["loss"])
