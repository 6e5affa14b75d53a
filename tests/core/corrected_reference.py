"""What people's labels say of a rate, from the lines of a run folder and the formulas alone; nothing of the harness.

    python -m tests.core.corrected_reference RUN TASK SPLIT HIT… [-- JUDGE_LABEL=WORD…]

prints people's number for the share of answers with one of the labels HIT. JUDGE_LABEL=WORD translates what the judge
says.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, sqrt
from pathlib import Path
from typing import Any

from scipy.stats import beta, t

Z = 1.959963984540054


def hash_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@dataclass
class Row:
    """One record: its cell, its cluster, and what each person says (None for skipped)."""

    item: str
    cluster: str
    cell: str
    known: float | None = None
    said: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    usable: bool = False


def read_rows(
    task: Path, display: str, split: str, words: Mapping[str, str], outcomes: Mapping[str, float]
) -> list[Row]:
    """The records of a split that are in its number; `outcomes`: what blocks and empty answers count as."""
    draws = json.loads((task / "draw.json").read_text(encoding="utf-8"))["splits"]
    answers = {(a["split"], a["id"], a["epoch"], a["key"]): a for a in read_lines(task / "responses.jsonl")}
    verdicts: dict[str, dict[Any, Any]] = {}
    for path in task.glob("verdicts-*.jsonl"):
        lines = read_lines(path)
        judge = path.stem.removeprefix("verdicts-")
        verdicts[judge] = {(v["split"], v["id"], v["epoch"], v["key"], v["answer"]): v for v in lines}
    rows: list[Row] = []
    for asked in read_lines(task / "asked.jsonl"):
        if asked["split"] != split:
            continue
        where = (asked["split"], asked["id"], asked["epoch"], asked["key"])
        answer = answers[where]
        item = f"{display}/{split}/{asked['id']}#{asked['epoch']}"
        if answer["outcome"] != "answered":
            if answer["outcome"] in outcomes:
                rows.append(Row(item, asked["cluster"], answer["outcome"], known=outcomes[answer["outcome"]]))
            continue
        full = (*where, hash_text(answer["text"]))
        judged = verdicts.get(draws[split]["judge"], {}).get(full)
        label = judged["label"] if judged else None
        row = Row(item, asked["cluster"], words.get(label, label) if label else "unscored")
        for judge, given in verdicts.items():
            if judge.startswith("human-") and full in given:
                row.said[judge] = given[full]["label"]
        rows.append(row)
    for cell in {row.cell for row in rows if row.known is None}:
        inside = [row for row in rows if row.cell == cell and row.known is None]
        inside.sort(key=lambda row: hash_text(f"label {draws[split]['seed']} {row.item}"))
        most = len(inside) if all(row.said for row in inside) else draws[split]["cells"][cell]["drawn"]
        for row in inside[:most]:
            if not row.said:
                break
            row.usable = any(label is not None for label in row.said.values())
    return rows


def correct_rows(rows: Sequence[Row], hit: Collection[str]) -> tuple[float, float, float]:
    """People's number and its limits, 0 to 1."""
    total = len(rows)
    of = Counter(row.cell for row in rows)
    value_of: list[float | None] = []
    votes: dict[str, int] = defaultdict(int)
    for row in rows:
        said = [label for label in row.said.values() if label is not None]
        if row.known is not None:
            value_of.append(row.known)
        elif row.usable:
            value_of.append(sum(label in hit for label in said) / len(said))
            votes[row.cell] = max(votes[row.cell], len(said))
        else:
            value_of.append(None)
    seen: dict[str, list[float]] = defaultdict(list)
    for row, each in zip(rows, value_of, strict=True):
        if each is not None:
            seen[row.cell].append(each)
    n = {cell: len(seen[cell]) for cell in of}
    rate = {cell: sum(seen[cell]) / n[cell] if n[cell] else 0.5 for cell in of}
    worth: dict[str, float] = {}
    for cell in of:
        one = rate[cell] * (1 - rate[cell])
        spread = sum((each - rate[cell]) ** 2 for each in seen[cell]) / n[cell] if n[cell] else 0.0
        most = max(votes[cell], 1)
        worth[cell] = max(1.0, min(one / spread if spread > 1e-12 else inf, most)) if one > 0 else 1.0
    value = sum(of[cell] * rate[cell] for cell in of) / total
    residuals: dict[str, float] = defaultdict(float)
    for row, each in zip(rows, value_of, strict=True):
        weighted = 0.0 if each is None else of[row.cell] / n[row.cell] * (each - rate[row.cell])
        residuals[row.cluster] += rate[row.cell] - value + weighted
    variance = sum(each**2 for each in residuals.values()) / total**2
    if len(residuals) < total:
        m = len(residuals)
        variance /= (t.ppf(0.975, total - 1) / t.ppf(0.975, m - 1)) ** 2 * (1 - 1 / m) / (1 - 1 / total)
    is_open = [cell for cell in of if n[cell] < of[cell]]
    if is_open:
        opened = sum(
            (of[c] / total) ** 2 * rate[c] * (1 - rate[c]) / worth[c] * (1 / n[c] - 1 / of[c]) for c in is_open if n[c]
        )
        variance = max(variance - opened, value * (1 - value) / total)
    size = value * (1 - value) / variance if variance > 0 else len(residuals)
    middle = (value + Z * Z / (2 * size)) / (1 + Z * Z / size)
    half = Z / (1 + Z * Z / size) * sqrt(value * (1 - value) / size + Z * Z / (4 * size * size))
    down, up = (value - middle + half) ** 2, (middle + half - value) ** 2
    for cell in is_open:
        low, high = 0.0, 1.0
        if n[cell] >= 10:
            left = n[cell] * of[cell] / (of[cell] - n[cell]) * worth[cell]
            hits = rate[cell] * left
            low = beta.ppf(0.025, hits + 0.5, left - hits + 0.5) if hits > 0 else 0.0
            high = beta.ppf(0.975, hits + 0.5, left - hits + 0.5) if hits < left else 1.0
        share = of[cell] / total
        down += (share * (rate[cell] - min(low, rate[cell]))) ** 2
        up += (share * (max(high, rate[cell]) - rate[cell])) ** 2
    return value, max(0.0, value - sqrt(down)), min(1.0, value + sqrt(up))


def measure_alpha(rows: Sequence[Row], hit: set[str]) -> float:
    """Krippendorff's nominal alpha of hit or no hit over the answers that two or more people labelled."""
    pairs: Counter[tuple[str, str]] = Counter()
    weights: dict[tuple[str, str], float] = defaultdict(float)
    for row in rows:
        said = [str(label in hit) for label in row.said.values() if label is not None]
        for i, one in enumerate(said):
            for j, other in enumerate(said):
                if i != j:
                    pairs[one, other] += 1
                    weights[one, other] += 1 / (len(said) - 1)
    total = sum(weights.values())
    margin: dict[str, float] = defaultdict(float)
    for (one, _), weight in weights.items():
        margin[one] += weight
    observed = sum(weight for (one, other), weight in weights.items() if one != other) / total
    expected = sum(margin[a] * margin[b] for a in margin for b in margin if a != b) / (total * (total - 1))
    return 1 - observed / expected


def main() -> None:
    run, task, split, *rest = sys.argv[1:]
    cut = rest.index("--") if "--" in rest else len(rest)
    words = dict(pair.split("=", 1) for pair in rest[cut + 1 :])
    rows = read_rows(Path(run) / task, task, split, words, {})
    value, low, high = correct_rows(rows, rest[:cut])
    print(f"{100 * value:.10f} [{100 * low:.10f}, {100 * high:.10f}] from {sum(row.usable for row in rows)} labels")


if __name__ == "__main__":
    main()
