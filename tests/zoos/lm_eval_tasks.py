"""Tasks in lm-eval's own files, and a run of one of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness_lm_eval
import pytest

import harness
from harness import Request, Response, Sample, Text, plugins
from harness.contracts import ModelInfo
from harness.runs.run import Run
from harness.settings import effective
from harness.testing.fakes import fake_provider, host_of
from harness.types import Failure
from tests.zoos import drawn_task

CHOOSES = ModelInfo(ref="", endpoint="fake", can=frozenset({"choices", "raw"}))
SUMS = """\
task: sums
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: generate_until
doc_to_text: "Q: {{{{question}}}}\\nA:"
doc_to_target: "{{{{answer}}}}"
generation_kwargs:
  until: ["Q:", "\\n\\n"]
  max_gen_toks: 33
filter_list:
  - name: strict
    filter:
      - function: regex
        regex_pattern: "is (-?[0-9]+)"
      - function: take_first
  - name: loose
    filter:
      - function: regex
        group_select: -1
        regex_pattern: "(-?[0-9]+)"
      - function: take_first
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
"""
TEXTS = """\
task: texts
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: loglikelihood
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
metric_list:
  - metric: acc
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The folder of the user's tasks: DIR/lm-eval."""
    folder = tmp_path / "data" / "lm-eval"
    folder.mkdir(parents=True)
    drawn_task.write(folder)
    rows = folder / "sums.json"
    sums = [{"question": f"{n} + {n}?", "answer": str(2 * n)} for n in range(6)]
    rows.write_text("\n".join(json.dumps(each) for each in sums), encoding="utf-8")
    (folder / "sums.yaml").write_text(SUMS.format(data=rows), encoding="utf-8")
    (folder / "texts.yaml").write_text(TEXTS.format(data=rows), encoding="utf-8")
    return folder


def run(
    data: Path,
    name: str,
    say: Callable[[Request], str | Response | Failure],
    info: ModelInfo | None = None,
    **given: Any,
) -> Run:
    host = host_of(fake_provider(say, info=info), *harness_lm_eval.harness_tasks(), *harness_lm_eval.harness_judges())
    with plugins.use(host):
        return harness.run(
            model="fake/m",
            tasks=[f"lm-eval:{name}"],
            data=data.parent,
            output=data.parent / "run",
            probe=False,
            **given,
        )


def split(found: Run, name: str, display: str = "lm-eval") -> dict[str, Any]:
    return dict(found.results["tasks"][display]["splits"][name])


def listed(data: Path, name: str, **given: Any) -> list[Sample]:
    [task] = harness_lm_eval.harness_tasks()
    return list(task.samples(data, name, effective(task.settings, given, owner="task")))


def question(request: Request) -> str:
    return "".join(part.text for part in request.messages[-1].content if isinstance(part, Text))
