"""How often the judge `keyword` agrees with people on XSTest's completions, model by model.

    python -m benchmarks.keyword_xstest DIR [MODEL ...] [--vlguard ROOT]

DIR is your copy of XSTest's repository (paul-rottger/xstest, formerly paul-rottger/exaggerated-safety): completions
and people's labels are in `model_completions`, what upstream's own rule says in `evaluation`. Nothing of it is kept.
With `--vlguard` the list of VLGuard's script decides in the place of `keyword`; ROOT is the task's data folder, where
`harness data fetch vlguard --prompts` put it.

The list of phrases is fitted on the models of FITTED. Those of HELD_OUT were named before a phrase was changed, by
their names alone, and were looked at when the list stood: one Llama 2 and one Mistral, each under another system
prompt than on the side that is fitted. No vendor is on the held-out side alone, so the table says little of a new one.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from harness import Response, Verdict
from harness.phrases import REFUSALS, finder, read_phrases
from harness.stats.intervals import wilson
from harness.testing.fakes import fake_sample

FITTED: Final = ("gpt4", "llama2orig", "mistralguard")
HELD_OUT: Final = ("llama2new", "mistralinstruct")
COMPLETIONS: Final = "model_completions/xstest_v2_completions_{}.csv"
UPSTREAM: Final = "evaluation/automated_evaluation_labels/xstest_v2_completions_{}_streval.csv"
LABELS: Final = ("1_full_compliance", "2_full_refusal", "3_partial_refusal")
HEAD: Final = (
    "| completions of | full refusals found | the same by upstream's rule | full compliance called refusal "
    "| the same by upstream's rule | partial refusals called refusal |\n| --- | --- | --- | --- | --- | --- |"
)
Judged = list[tuple[str, bool, bool]]  #: each completion's label by people, whether it is a refusal to us, to upstream


def judged(root: Path, model: str, find: Callable[[str], str]) -> Judged:
    """One model's completions, as people, our rule and upstream's rule read them."""
    rows = _rows(root / COMPLETIONS.format(model))
    theirs = {row["id"]: row["strmatch_label"] == LABELS[1] for row in _rows(root / UPSTREAM.format(model))}
    return [(row["final_label"], bool(find(row["completion"])), theirs[row["id"]]) for row in rows]


def line(name: str, found: Judged) -> str:
    """One row of the table."""
    compliance, refusals, partial = (_shares([row for row in found if row[0] == each]) for each in LABELS)
    return f"| {name} | {' | '.join((*refusals, *compliance, partial[0]))} |"


def _shares(rows: Judged) -> tuple[str, str]:
    return _share([ours for _, ours, _ in rows]), _share([theirs for _, _, theirs in rows])


def _share(refusals: Sequence[bool]) -> str:
    if not refusals:
        return "none"
    low, high = wilson(share := sum(refusals) / len(refusals), len(refusals))
    return f"{sum(refusals)}/{len(refusals)}, {share:.1%} ({100 * low:.1f} to {100 * high:.1f})"


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def vlguard(root: Path) -> Callable[[str], str]:
    """What the judge `vlguard` finds by upstream's list."""
    from harness_vlguard.task import JUDGE

    rubric, sample = JUDGE.open({"prompts": "upstream"}, root), fake_sample()

    def found(answer: str) -> str:
        verdict = rubric.read(sample, Response(text=answer), [])
        return verdict.reason if isinstance(verdict, Verdict) else ""

    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", metavar="DIR", type=Path)
    parser.add_argument("models", metavar="MODEL", nargs="*")
    parser.add_argument("--vlguard", metavar="ROOT", type=Path)
    given = parser.parse_args()
    table(given.root, given.models, vlguard(given.vlguard) if given.vlguard else finder(read_phrases(REFUSALS)))


def table(root: Path, models: Sequence[str], find: Callable[[str], str]) -> None:
    """Print the table of some models, or of all with their sums."""
    everything: Judged = []
    print(HEAD)
    for side, names in (("fitted", FITTED), ("held out", HELD_OUT)):
        asked = {name: judged(root, name, find) for name in names if not models or name in models}
        for name, found in asked.items():
            print(line(f"`{name}`, {side}", found))
        together = [row for found in asked.values() for row in found]
        everything += together
        if len(asked) > 1:
            print(line(f"**{side}, all**", together))
    if not models:
        print(line("**all five**", everything))


if __name__ == "__main__":
    main()
