"""Tasks in lm-eval's own files, a run of one of them, and drawings that the mini world's model can name."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import harness_lm_eval

import harness
from harness import Image, Request, Response, Sample, Text, plugins
from harness.contracts import ModelInfo
from harness.drawings import draw, png
from harness.images import inline_image, open_image
from harness.runs.run import Run
from harness.settings import effective
from harness.testing.fakes import fake_provider, host_of
from harness.types import Failure

CHOOSES = ModelInfo(ref="", endpoint="fake", can=frozenset({"choices", "raw"}))
PAIRS = (("red circle", "blue square"), ("blue square", "red circle"), ("green star", "black heart"))
QUESTION = "What does the first image show, and what does the second image show? Name the color and the shape of each."
#: begins each task's file; its metric ends it
HEAD = "task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {data}}}}}\ntest_split: test\n"
METRIC = "  - {metric: %s, aggregation: mean, higher_is_better: true}\n"
DRAWN = f"""\
output_type: generate_until
doc_to_image: !function utils.images
doc_to_text: !function utils.question
doc_to_target: first
process_results: !function utils.scored
generation_kwargs: {{until: ["\\n\\n"], max_gen_toks: 40, do_sample: false}}
metric_list:
{METRIC % "acc"}"""
CHOSEN = f"""\
output_type: multiple_choice
doc_to_text: "Sure. Take the"
doc_to_choice: ["red", "zzz qqq"]
doc_to_target: 0
metric_list:
{METRIC % "acc"}"""
UTILS = f"""\
import random
from harness.drawings import draw

def images(doc):
    return [draw(*doc[place].split(), random.Random(place)) for place in ("first", "second")]

def question(doc):
    return "MARKS{QUESTION}"

def scored(doc, results):
    return {{"acc": float(doc["first"] in results[0])}}
"""
SUMS = (
    """\
output_type: generate_until
doc_to_text: "Q: {{question}}\\nA:"
doc_to_target: "{{answer}}"
generation_kwargs:
  until: ["Q:", "\\n\\n"]
  max_gen_toks: 33
filter_list:
  - name: strict
    filter:
      - {function: regex, regex_pattern: "is (-?[0-9]+)"}
      - {function: take_first}
  - name: loose
    filter:
      - {function: regex, group_select: -1, regex_pattern: "(-?[0-9]+)"}
      - {function: take_first}
metric_list:
"""
    + METRIC % "exact_match"
)
TEXTS = """\
output_type: loglikelihood
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
metric_list:
  - metric: acc
"""


def drawing(thing: str) -> Image:
    """Such as "red circle", opened."""
    return open_image(inline_image(f"{thing}.png", png(draw(*thing.split(), random.Random(thing)))))


def write_task(folder: Path, name: str, text: str, data: str = "sums.json") -> None:
    (folder / f"{name}.yaml").write_text(HEAD.format(name=name, data=folder / data) + text, encoding="utf-8")


def write_drawn(folder: Path, *, marks: bool = True) -> Path:
    """Pairs of drawings to be named, and a choice after a text -> the folder, as `--include_path` takes it.

    Without `marks` it is for lm-eval's clients of servers, which put all images in front, and send the marks as words.
    """
    lines = (json.dumps({"first": one, "second": two}) for one, two in PAIRS)
    (folder / "rows.json").write_text("\n".join(lines), encoding="utf-8")
    write_task(folder, "drawn", DRAWN, "rows.json")
    write_task(folder, "chosen", CHOSEN, "rows.json")
    (folder / "utils.py").write_text(UTILS.replace("MARKS", "<image><image>" if marks else ""), encoding="utf-8")
    return folder


def write_tasks(folder: Path) -> Path:
    """The folder of the user's tasks: DIR/lm-eval."""
    folder.mkdir(parents=True)
    write_drawn(folder)
    sums = [{"question": f"{n} + {n}?", "answer": str(2 * n)} for n in range(6)]
    (folder / "sums.json").write_text("\n".join(json.dumps(each) for each in sums), encoding="utf-8")
    write_task(folder, "sums", SUMS)
    write_task(folder, "texts", TEXTS)
    return folder


def run(
    data: Path,
    name: str,
    say: Callable[[Request], str | Response | Failure],
    info: ModelInfo | None = None,
    **given: Any,
) -> Run:
    host = host_of(fake_provider(say, info=info), *harness_lm_eval.harness_tasks(), *harness_lm_eval.harness_judges())
    place = {"data": data.parent, "output": data.parent / "run"}
    with plugins.use(host):
        return harness.run(model="fake/m", tasks=[f"lm-eval:{name}"], probe=False, **place, **given)


def split(found: Run, name: str, display: str = "lm-eval") -> dict[str, Any]:
    return dict(found.results["tasks"][display]["splits"][name])


def listed(data: Path, name: str, **given: Any) -> list[Sample]:
    [task] = harness_lm_eval.harness_tasks()
    return list(task.samples(data, name, effective(task.settings, given, owner="task")))


def question(request: Request) -> str:
    return "".join(part.text for part in request.messages[-1].content if isinstance(part, Text))
