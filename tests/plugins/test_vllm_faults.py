"""What goes wrong in vLLM is told in our words, and its processes keep off the terminal."""

from __future__ import annotations

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from harness_vllm.children import ENVIRONMENT, LOG, apart, prepare, settle
from harness_vllm.engine import death_error, start_error, to_failure


class EngineGenerateError(Exception):
    """As vLLM wraps what a request raises in it."""


def wrapped(cause: Exception) -> Exception:
    error = EngineGenerateError()
    error.__cause__ = cause
    return error


class TestAFault:
    @pytest.mark.parametrize(
        ("error", "reason"),
        [
            (
                ValueError("The decoder prompt (length 9) is longer than the maximum model length of 5."),
                "context_length",
            ),
            (ValueError("This model's maximum context length is 5 tokens."), "context_length"),
            (ValueError("At most 2 image(s) may be provided in one prompt."), "ValueError"),
            (wrapped(ZeroDivisionError("absolute aspect ratio")), "ZeroDivisionError"),
            (wrapped(ValueError("longer than the maximum model length of 5")), "context_length"),
        ],
    )
    def test_of_one_request_is_an_error_with_a_reason(self, error: Exception, reason: str) -> None:
        failed = to_failure(error)

        assert (failed.outcome, failed.reason, failed.transient) == ("error", reason, False)

    @pytest.mark.parametrize(
        "line",
        [
            "ValueError: No available memory for the cache blocks.",
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB.",
            "ValueError: To serve at least one request, 4 GiB KV cache is needed",
        ],
    )
    def test_of_memory_at_the_start_comes_with_what_helps(self, tmp_path: Path, line: str) -> None:
        error = start_error("vllm/o/m", RuntimeError("Engine core initialization failed."), log(tmp_path, line))

        assert error.what == f"there is too little memory for this model: {line}"
        assert "gpu_memory_utilization" in error.remedy

    def test_of_memory_that_others_hold_asks_for_less(self, tmp_path: Path) -> None:
        line = "ValueError: Free memory on device cuda:0 (1/80 GiB) is less than desired GPU memory utilization (0.9)"
        error = start_error("vllm/m", RuntimeError("failed"), log(tmp_path, line))

        assert "too little memory" in error.what
        assert "other processes hold a part of it" in error.remedy

    def test_of_a_strange_model_names_the_other_way(self, tmp_path: Path) -> None:
        line = "KeyError: 'layers.0.strange.weight'"
        error = start_error("vllm/o/m", RuntimeError("Engine core initialization failed."), log(tmp_path, line))

        assert error.what == f"vLLM cannot run this model: {line}"
        assert "--model hf/o/m" in error.remedy
        assert str(tmp_path) in error.remedy

    def test_that_pydantic_wraps_is_told_without_its_wrapping(self) -> None:
        text = (
            "1 validation error for ModelConfig\n  Value error, Model architectures ['X'] are not supported. [type=v]"
        )

        assert start_error("vllm/m", ValueError(text)).what == (
            "vLLM cannot run this model: Model architectures ['X'] are not supported."
        )

    def test_of_the_engine_says_how_to_go_on(self, tmp_path: Path) -> None:
        error = death_error("vllm/m", log(tmp_path, "torch.OutOfMemoryError: CUDA out of memory."))

        assert error.what == "vLLM's engine has died: torch.OutOfMemoryError: CUDA out of memory."
        assert "same command again" in error.remedy


def log(folder: Path, line: str) -> Path:
    """What an engine writes when it ends: its own traceback first, then those of who waited for it."""
    file = folder / "engine.log"
    file.write_text(
        f"(Worker pid=7) ERROR 11-24 22:21:08 [core.py:9] Traceback (most recent call last):\n"
        f"(Worker pid=7) ERROR 11-24 22:21:08 [core.py:9] {line}\n"
        f"(EngineCore pid=6) Exception: WorkerProc initialization failed due to an exception\n"
    )
    return file


class TestVllmsProcesses:
    def test_write_to_the_log_and_leave_ctrl_c_to_us(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "engine.log"
        with apart(file):
            child = multiprocessing.get_context("spawn").Process(target=in_a_child)
            child.start()
            child.join()

        assert child.exitcode == 0
        assert file.read_text() == "to stdout\nto stderr\n"
        assert capfd.readouterr() == ("", "")
        assert LOG not in os.environ

    def test_are_let_be_where_they_are_not_ours(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        with apart(tmp_path / "engine.log"):
            settle()
        os.write(1, b"still here\n")

        assert capfd.readouterr().out == "still here\n"

    def test_are_told_to_keep_off_stdout_unless_the_user_says_otherwise(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ENVIRONMENT:
            monkeypatch.setenv(name, "as set")
        monkeypatch.delenv("VLLM_LOGGING_STREAM")
        prepare()

        assert os.environ["VLLM_LOGGING_STREAM"] == "ext://sys.stderr"
        assert os.environ["VLLM_LOGGING_LEVEL"] == "as set"


def in_a_child() -> None:
    settle()
    signal.raise_signal(signal.SIGINT)
    os.write(1, b"to stdout\n")
    os.write(2, b"to stderr\n")
