"""The command line, as far as the bridge needs it: asks each question of a data set, and writes status.json."""

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from vlmeval.config import supported_VLM


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", nargs="+", required=True)
    parser.add_argument("--model", nargs="+")
    parser.add_argument("--work-dir", default="./outputs")
    parser.add_argument("--judge")
    parser.add_argument("--api-nproc", type=int, default=4)
    args = parser.parse_args()
    (name,) = args.model
    place = Path(args.work_dir) / name
    place.mkdir(parents=True, exist_ok=True)
    print("a table of results")
    sets = {}
    for data in args.data:
        try:
            sets[data] = one(supported_VLM[name](use_vllm=False), data, place, args.api_nproc)
        except Exception as error:
            sets[data] = {"status": "done", "error_message": str(error)}
    status = {"datasets": sets, "argv": sys.argv, "judge": args.judge}
    (place / "status.json").write_text(json.dumps(status))


def one(model, data, place, workers):
    """A data set is a file of questions under LMUData: a list of messages, or of conversations."""
    assert model.is_api
    root = Path(os.environ["LMUData"])  # noqa: SIM112 - the real package's name
    questions = json.loads((root / f"{data}.json").read_text())
    with ThreadPoolExecutor(workers) as pool:
        answers = list(pool.map(lambda question: ask(model, question, data), questions))
    (place / f"{data}.json").write_text(json.dumps(answers))
    return {"status": "done"}


def ask(model, question, data):
    if question and "content" in question[0]:
        return model.chat(question, dataset=data)
    return model.generate(message=question, dataset=data)
