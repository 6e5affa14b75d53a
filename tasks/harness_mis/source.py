"""Where the data of MIS comes from, and where upstream's judge prompt stands."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from harness import DataSource
from harness.data.built import built
from harness.data.upstream import Pin, Upstream
from harness.sources import UNSEEN

JUDGE_SCRIPT: Final = "evaluation/gpt_eval.py"

PIN: Final = Pin(
    task="mis",
    repository="DripNowhy/MIS",
    commit="9cd94ecc0dc005a0c17e039d4078bafaf0fa0ea8",
    files={JUDGE_SCRIPT: "150b7cae3d131f015ca3c8e6d6ac7b092a577bae028c89d1fd537f3792dab2e8"},
)

SOURCE: Final = DataSource(
    hub="Tuwhy/MIS_Test",
    unchecked=UNSEEN,
    url="https://huggingface.co/datasets/Tuwhy/MIS_Test",
    licence="apache-2.0",
    size="about 6 GB (estimate)",
    prompts=PIN.source,
)


#: the splits that a data root can hold, in order
PUBLISHED: Final = ("easy", "hard", "real")


def held(root: Path) -> tuple[str, ...]:
    """The splits that a set holds which was built; none for MIS itself, and for a set that has nothing to test on."""
    if built(root) is None:
        return ()
    from harness.readers import open_files

    files = open_files(root)
    return tuple(name for name in PUBLISHED if files.has(file_of(name)))


def file_of(split: str) -> str:
    """The file of a split's records, under the data root."""
    return f"mis_{split}.json"


def upstream(root: Path) -> Upstream:
    """Upstream's judge script under the task's data root, once it has been fetched."""
    return Upstream(root, PIN)
