"""A task of lm-eval's that lies in a folder: pairs of drawings to be named, and a choice after a text."""

import json
from pathlib import Path

PAIRS = (("red circle", "blue square"), ("blue square", "red circle"), ("green star", "black heart"))
QUESTION = "What does the first image show, and what does the second image show? Name the color and the shape of each."

_YAML = """\
task: drawn
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: generate_until
doc_to_image: !function utils.images
doc_to_text: !function utils.question
doc_to_target: first
process_results: !function utils.scored
generation_kwargs:
  until: ["\\n\\n"]
  max_gen_toks: 40
  do_sample: false
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""
_CHOICE = """\
task: chosen
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: multiple_choice
doc_to_text: "Sure. Take the"
doc_to_choice: ["red", "zzz qqq"]
doc_to_target: 0
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
"""
_UTILS = f"""\
import random
from harness.drawings import draw

def images(doc):
    return [draw(*doc[place].split(), random.Random(place)) for place in ("first", "second")]

def question(doc):
    return "MARKS{QUESTION}"

def scored(doc, results):
    return {{"acc": float(doc["first"] in results[0])}}
"""


def write(folder: Path, *, marks: bool = True) -> Path:
    """The folder to give to lm-eval as `--include_path`; without `marks` it is for its clients of servers.

    Those put all images in front, and send the marks along as words.
    """
    data = folder / "rows.json"
    data.write_text("\n".join(json.dumps({"first": one, "second": two}) for one, two in PAIRS), encoding="utf-8")
    (folder / "drawn.yaml").write_text(_YAML.format(data=data), encoding="utf-8")
    (folder / "chosen.yaml").write_text(_CHOICE.format(data=data), encoding="utf-8")
    (folder / "utils.py").write_text(_UTILS.replace("MARKS", "<image><image>" if marks else ""), encoding="utf-8")
    return folder
