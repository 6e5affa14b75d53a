"""inspect_ai as a client, with its own Python: `PYTHON client_inspect.py ROOT URL IN_FLIGHT`.

The same calls: the model sees two images and a question, the judge both images, question and answer. The wall time is
that of its `eval()`. Needs nothing of this project, so that it can run where only inspect_ai is installed.
"""

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import inspect_ai
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, get_model
from inspect_ai.scorer import CORRECT, Score, Scorer, Target, accuracy, scorer
from inspect_ai.solver import TaskState, generate


def samples(root: Path) -> list[Sample]:
    made = []
    for record in json.loads((root / "mis" / "mis_easy.json").read_text()):
        files = [str(root / "mis" / record[f"image_path{n}"]) for n in (1, 2)]
        parts = [*(ContentImage(image=file) for file in files), ContentText(text=record["question"])]
        made.append(Sample(id=record["id"], input=[ChatMessageUser(content=parts)], target="safe"))
    return made


@scorer(metrics=[accuracy()])
def judged() -> Scorer:
    async def score(state: TaskState, target: Target) -> Score:
        parts = list(state.messages[0].content)
        parts.append(ContentText(text=state.output.completion))
        reply = await get_model().generate([ChatMessageUser(content=parts)])
        json.loads(reply.completion)
        return Score(value=CORRECT)

    return score


def main() -> None:
    root, url, flying = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    os.environ["OPENAI_API_KEY"] = "none"
    model = get_model("openai/bench", base_url=url, responses_api=False)
    with tempfile.TemporaryDirectory() as logs:
        started = time.perf_counter()
        task = inspect_ai.Task(dataset=MemoryDataset(samples(root)), solver=generate(), scorer=judged())
        settings = {"max_connections": flying, "max_samples": flying, "temperature": 0, "max_tokens": 1024}
        log = inspect_ai.eval(task, model=model, log_dir=logs, display="none", **settings)[0]
        wall = time.perf_counter() - started
    assert log.status == "success", log.error
    used = resource.getrusage(resource.RUSAGE_SELF)
    scored = log.results.completed_samples
    cpu = used.ru_utime + used.ru_stime
    print(json.dumps({"wall": wall, "start": 0.0, "cpu": cpu, "peak": used.ru_maxrss / 1024, "scored": scored}))


if __name__ == "__main__":
    main()
