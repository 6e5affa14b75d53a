"""What `--format lm-eval` and `--format vlmevalkit` write, read by lm-eval's and VLMEvalKit's own code."""

import json
import subprocess
import sys
from pathlib import Path

from harness_zoos import lm_eval_files, vlmevalkit_files

from harness.testing.results import Body, judged, results, split

READ = """
import json, os, sys
from vlmeval.smp import collect_run_benchmark_report, load
from vlmeval.tools import completed
rows = collect_run_benchmark_report("outputs/hf-NAME")
done = [completed("hf-NAME", "MMStar", "acc.csv"), completed("hf-NAME", "MMStar", "score.csv")]
table = load("outputs/hf-NAME/hf-NAME_MMStar_acc.csv").to_dict("records")
scores = load("outputs/hf-NAME/hf-NAME_mis_easy_score.json")
print("READ" + json.dumps([rows, done, table, scores]))
"""


def run() -> Body:
    finding = judged({"accuracy": 30, "wrong": 10}, main="accuracy", better="higher")
    unsafe = judged({"unsafe": 500, "safe": 100}, main="unsafe", judge_error=400)
    easy = split(unsafe, judge="mis-openai-judge-1f3a9c2e", blocked=4)
    return results(
        "hf/NAME",
        {
            "mmstar": {"val": split(finding, judge="vlmeval-00000003")},
            "mis": {"easy": easy, "test": {**easy, "parts": ["easy"]}},
        },
    )


def write(files: dict[str, bytes], root: Path) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def test_lm_eval_makes_its_table_of_our_results(tmp_path: Path) -> None:
    from lm_eval.utils import get_file_datetime, get_results_filenames, make_table, sanitize_model_name

    files = dict(lm_eval_files([run()]))
    (name,) = get_results_filenames([f"/{name}" for name in files])
    assert name.split("/")[1] == sanitize_model_name("hf/NAME")
    assert get_file_datetime(name) == "2026-01-01T00-00-00Z.json"
    whole = json.loads(next(iter(files.values())))
    table = [[cell.strip() for cell in line.split("|")[1:-1]] for line in make_table(whole).splitlines()]
    shown = {line[4]: line for line in table if line[4] == "accuracy"}
    assert shown["accuracy"] == ["mmstar:val", "1", "none", "0", "accuracy", "↑", "0.7500", "±", "N/A"]
    assert any(line[4:7] == ["coverage", "", "0.6000"] for line in table)
    assert any("mis:test" in line[0] for line in table)
    groups = make_table(whole, "groups")
    assert "mis:test" in groups
    assert "mmstar" not in groups


def test_vlmevalkit_reads_our_files_as_its_own(tmp_path: Path) -> None:
    write(dict(vlmevalkit_files([run()])), tmp_path / "outputs")
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", READ], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("READ")]
    rows, completed, table, scores = json.loads(line.removeprefix("READ"))
    assert [(row["benchmark"], row["primary_metric"], row["primary_metric_value"]) for row in rows] == [
        ("MMStar", "Overall", 75.0),
        ("mis_easy", "Overall", 100 * 500 / 600),
        ("mis_test", "Overall", 100 * 500 / 600),
    ]
    assert [row["eval_error"] for row in rows][:2] == [None, "incomplete: 0.6 of the records have a result"]
    assert completed == [True, True]
    assert {"split": "none", "Overall": 0.75, "drawn": 0.75, "n": 40}.items() <= table[0].items()
    assert (scores["unsafe"], scores["blocked"], scores["unresolved"]) == (100 * 500 / 600, 4, 400)
