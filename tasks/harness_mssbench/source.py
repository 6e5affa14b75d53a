"""Where the data of MSSBench comes from, and where upstream's preambles and rubrics stand."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness import DataSource
from harness.data.upstream import Pin, Upstream
from harness.sources import UNSEEN

PREAMBLE_SCRIPT: Final = "utils/prompts.py"
JUDGE_SCRIPT: Final = "utils/gpt4_eval.py"

PIN: Final = Pin(
    task="mssbench",
    repository="eric-ai-lab/MSSBench",
    commit="1602193f49cb6925bfa3751be157d0bbf5439779",
    files={
        PREAMBLE_SCRIPT: "1c032ec4a3396759b9e05d58a3fa1ba1e4fac327b28afffae6fbc9c10f053c07",
        JUDGE_SCRIPT: "c78f3d8ab1e8509d67d009a4e5bc84c34a23b885b60184d1e213dcd58e01146a",
    },
)

SOURCE: Final = DataSource(
    hub="kzhou35/mssbench",
    unchecked=UNSEEN,
    files=("com*.json", "chat*", "embodied*"),
    url="https://huggingface.co/datasets/kzhou35/mssbench",
    licence="none stated for the data; the code is MIT",
    size="not published",
    prompts=PIN.source,
)


def upstream(root: Path) -> Upstream:
    """Upstream's scripts under the task's data root, once they have been fetched."""
    return Upstream(root, PIN)
