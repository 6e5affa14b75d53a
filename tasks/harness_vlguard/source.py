"""Where the data of VLGuard comes from, and where upstream's list of refusals stands."""

from __future__ import annotations

from typing import Final

from harness import DataSource
from harness.data.upstream import Pin

REPOSITORY: Final = "ys-zong/VLGuard"
RULE_SCRIPT: Final = "utils/utils.py"
RULE_LIST: Final = "check_success_attack.reject_list"

PIN: Final = Pin(
    task="vlguard",
    repository=REPOSITORY,
    commit="a2f85c90e10345dc5e7eceecadd89c1ed982d04f",
    files={RULE_SCRIPT: "39897bfe82a9d8e2ea699d2dd543794b795fbc3a5170f6d98f621dc7f01cdd57"},
)

SOURCE: Final = DataSource(
    hub="ys-zong/VLGuard",
    unchecked="of the hub's set none could be downloaded here; its records were counted in the repository",
    files=("test.json", "test.zip"),
    url="https://huggingface.co/datasets/ys-zong/VLGuard",
    licence="MIT",
    size="not published",
    gated=True,
    archive=(REPOSITORY, PIN.commit, ("data/gpt4_safe_safes.json",)),
    prompts=PIN.source,
)
