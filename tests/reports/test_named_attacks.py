"""Every report tells the runs of one model apart by their attack and their strategy."""

import json
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

import harness
from harness import plugins
from harness.cli import main
from harness.contracts import Rendered
from harness.plugins import Host

HOST = Host.load(tell=lambda _: None)
FORMATS = sorted(item.name for item, _ in HOST.offers("reports"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One model plain, inside a strategy, and under three attacks, two of which differ in a setting alone."""
    base = tmp_path_factory.mktemp("attacked")
    given = {
        "plain": {},
        "cot": {"strategy": "cot"},
        "drop": {"attack": "drop", "strategy": "cot"},
        "gray": {"attack": "blank", "attack_settings": {"color": "gray"}},
        "black": {"attack": "blank", "attack_settings": {"color": "black"}},
    }
    with plugins.use(HOST):
        for name, options in given.items():
            harness.run("mini/base", "mis:mini", output=base / name, limit=3, probe=False, **options)
    return [base / name for name in given]


def read_all(made: Rendered) -> str:
    """All texts of a report, with the names of its files."""
    files = dict(made) if not isinstance(made, str | bytes) else {"": made}
    found: list[str] = []
    for name, body in files.items():
        data = body if isinstance(body, bytes) else body.encode()
        found.append(str(name))
        if data[:2] == b"PK":
            with zipfile.ZipFile(BytesIO(data)) as packed:
                found += [packed.read(each).decode("utf-8", "replace") for each in packed.namelist()]
        else:
            found.append(data.decode("utf-8", "replace"))
    return "\n".join(found)


@pytest.mark.parametrize("form", FORMATS)
def test_each_report_names_the_attack_and_the_strategy(form: str, runs: list[Path]) -> None:
    report = HOST.report(form)
    results = [json.loads((run / "results.json").read_text("utf-8")) for run in runs]
    with plugins.use(HOST):
        made = report.samples(runs, False) if report.samples else report.render(results)  # type: ignore[misc]
    text = read_all(made)
    for word in ("cot", "drop", "blank"):
        assert word in text, f"{form} does not name {word}"


def test_the_lines_of_csv_tell_attacked_runs_apart_also_where_a_setting_alone_differs(runs: list[Path]) -> None:
    import csv
    import io

    results = [json.loads((run / "results.json").read_text("utf-8")) for run in runs]
    with plugins.use(HOST):
        text = str(HOST.report("csv").render(results))  # type: ignore[misc]
    main = [line for line in csv.DictReader(io.StringIO(text)) if line["main"] == "True" and not line["by"]]
    assert sorted((line["strategy"], line["attack"], line["apart"]) for line in main) == [
        ("", "", "attack unset"),
        ("", "blank", "attack blank 1 (color=black)"),
        ("", "blank", "attack blank 1 (color=gray)"),
        ("cot", "", "attack unset"),
        ("cot", "drop", "attack drop 1"),
    ]


def test_gate_and_verify_name_a_run_as_results_do(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    named = ["mini/base", "mini/base + cot", "mini/base + cot + attack drop"]
    for command in (("verify",), ("gate", "--allow-subset", "--max", "ASR:mis:mini=100")):
        with pytest.raises(SystemExit):
            main([*command, *map(str, runs[:3])])
        heads = [line for line in capsys.readouterr().out.splitlines() if line.startswith(str(runs[0].parent))]
        assert [head.partition("  ")[2].partition(":")[0] for head in heads] == named
