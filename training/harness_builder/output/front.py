"""What the hub and `datasets` read at the top of a card: licence, files by name and split, and the gate."""

from __future__ import annotations

from typing import Any, Final

from harness.terminal import one_line

from .intended import FIELDS, USE
from .languages import code_of
from .layout import FILES
from .terms import hub_licence
from .values import Facts

_SIZES: Final = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def front_matter(facts: Facts) -> str:
    """The block of YAML, between its dashes."""
    import yaml

    values: dict[str, Any] = {
        "pretty_name": one_line(facts.plan.name),
        "license": hub_licence(facts.licence),
        "task_categories": ["visual-question-answering"],
        "size_categories": [_size(sum(facts.written.records.values()))],
        "tags": ["safety", "vision-language", "multi-image", "synthetic", "not-for-all-audiences"],
        "configs": [_config(file) for file in FILES if file in facts.written.records],
        "extra_gated_heading": "Ask for access, and say what for",
        "extra_gated_prompt": "\n\n".join(USE),
        "extra_gated_fields": dict(FIELDS),
        "extra_gated_button_content": "Agree, and ask for access",
    }
    if code := code_of(facts.plan.language):
        values["language"] = [code]
    # its stubs leave the type of `width` open
    dumped = yaml.safe_dump(values, allow_unicode=True, sort_keys=False, width=120)  # pyright: ignore[reportUnknownMemberType]
    return f"---\n{dumped}---\n"


def _config(file: str) -> dict[str, Any]:
    listing = FILES[file]
    return {"config_name": listing.name, "data_files": [{"split": listing.split, "path": file}]}


def _size(records: int) -> str:
    return next((name for most, name in _SIZES if records < most), "n>1M")
