from __future__ import annotations

import json
from typing import Any

from harness_json import SCHEMA, render

from harness.testing.results import Body, judged, results, split


def run(ref: str, **changes: Any) -> Body:
    finding = judged({"unsafe": 1342, "safe": 330}, main="unsafe", judge_error=3)
    return results(ref, {"mis": {"test": split(finding, judge="mis-openai-judge-1f3a9c2e", **changes)}})


def board(*runs: Body) -> dict[str, Any]:
    read = json.loads(render(runs))
    assert read["schema"] == SCHEMA
    (only,) = read["boards"]
    assert isinstance(only, dict)
    return only


def test_a_row_holds_what_the_leaderboard_knows_in_full_precision() -> None:
    made = board(run("x/a", fidelity="own"))
    (row,) = made["rows"]
    main = row["measures"][0]
    assert made["name"] == "mis:test"
    assert main["value"] == 100 * 1342 / 1672
    assert len(main["ci95_worst"]) == 2
    assert (row["rank"], row["coverage"], row["fidelity"]) == (1, 1672 / 1675, "own")
    assert row["judge"]["fidelity"] == "own"


def test_an_unranked_row_says_why() -> None:
    (row,) = board(run("x/a", subset={"limit": 20}))["rows"]
    assert (row["rank"], row["unranked"]) == (None, "subset (limit 20)")


def test_control_characters_travel_escaped() -> None:
    text = render([run("a\x1b[2J\u202e\ud800")])
    assert text.isascii()
    assert text.replace("\n", "").isprintable()
    assert board(run("a\x1bb"))["rows"][0]["model"] == "a\x1bb"


def test_no_results_make_no_boards() -> None:
    assert json.loads(render([])) == {"schema": SCHEMA, "boards": [], "means": []}
