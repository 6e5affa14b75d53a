"""vLLM's real run-batch on a file that `--batch` wrote: the run collects what it answered."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

from tests.acceptance import commands
from tests.plugins.hf_asking import MINI

ENGINE = ("--enforce-eager", "--dtype", "float32", "--max-model-len", "512", "--max-num-seqs", "16")


def test_a_run_batch_file_is_answered_by_vllm_and_collected(tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("run", "--model", f"vllm-server/{MINI}", "--tasks", "mis:mini", "--judge", "keyword", "--limit", 4)
    words += ("--max-tokens", 32, "--output", run, "--batch")
    first = commands.harness_here(*words)
    assert first.code == 3, first.err
    [line] = [line for line in first.err.splitlines() if "first: vllm run-batch" in line]
    given = shlex.split(line.partition("first: ")[2])
    # the same as `vllm run-batch`, which a build for CPUs may not have
    command = [sys.executable, "-m", "vllm.entrypoints.openai.run_batch", *given[2:], *ENGINE]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    last = commands.harness_here(*words)
    assert last.code == 0, last.err
    lines = [json.loads(line) for line in (run / "mis" / "responses.jsonl").read_text("utf-8").splitlines()]
    assert [line["outcome"] for line in lines] == ["answered"] * 4
    assert all(line["usage"]["batch"] and line["usage"]["input_tokens"] for line in lines)
