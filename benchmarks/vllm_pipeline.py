"""A whole run through the `vllm` provider, as a ratio to `vllm.LLM.generate` called directly on the same prompts.

Both engines are started once and take turns on the same new questions, each with two drawings. Ours is timed from the
first sample taken to the last answer written: files read and checked, prompts rendered, images decoded, lines kept. The
reference is timed with prompts rendered and images decoded beforehand. Target: at least 0.95 of its throughput.

The model is one of random weights and 30 million parameters, whose answers cost what a small real model's cost on this
machine. BENCH_MODEL names another; with the mini world's, an answer takes 4 ms of a core and what is left is our cost.
"""

import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import Any

import anyio

from benchmarks import vllm_opened
from harness import Text
from harness.drawings import COLORS, SHAPES, draw
from harness.evaluation.options import Options
from harness.images import decode, open_image
from harness.models import ModelSpec
from harness.plugins import Host, use
from harness.progress import SilentProgress
from harness.runs.run import run_async
from harness.settings import effective

SAMPLES = int(os.environ.get("BENCH_SAMPLES", "192"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
MODEL = os.environ.get("BENCH_MODEL", "")
SIDE = 64  # of a drawing, in pixels
TOKENS = 128  # of an answer: half of what models say to such questions
SEQUENCES = 64
ENGINE = {"dtype": "auto", "max_num_seqs": SEQUENCES, "enforce_eager": True}
QUESTION = "What do the two images show?"
MARKED = "<|vision_start|><|image_pad|><|vision_end|>"
PROMPT = f"<|im_start|>user\n{QUESTION}<|im_end|>\n<|im_start|>assistant\n"


class Timed(SilentProgress):
    """When the split began and the last answer was written."""

    begun = ended = 0.0

    def begin(self, *_: object, **__: object) -> None:
        self.begun = time.perf_counter()

    def answered(self, *_: object, **__: object) -> None:
        self.ended = time.perf_counter()


def layout(root: Path, seed: int) -> None:
    """Questions in MIS's file layout, each with two drawings that were never drawn before."""
    rng, records = Random(seed), []
    for n in range(SAMPLES):
        folder = root / "mis" / "easy_image" / str(n)
        folder.mkdir(parents=True)
        for side in (1, 2):
            drawing = draw(rng.choice(list(COLORS)), rng.choice(list(SHAPES)), rng)
            drawing.resize((SIDE, SIDE)).save(folder / f"object{side}.png")
        paths = {f"image_path{side}": f"easy_image/{n}/object{side}.png" for side in (1, 2)}
        records.append({"id": n, "question": QUESTION, "category": "Kitchen", "sub_category": "Table", **paths})
    (root / "mis" / "mis_easy.json").write_text(json.dumps(records))


async def ours(root: Path, folder: Path) -> tuple[float, list[str]]:
    """Seconds from the first sample to the last answer, and the answers."""
    timed = Timed()
    options = Options(
        model=ModelSpec(ref="opened/model"),
        tasks=("mis:easy",),
        generation={"max_tokens": TOKENS},
        data=root,
        output=folder,
        probe=False,
    )
    result = await run_async(options, progress=timed)
    split = result.results["tasks"]["mis"]["splits"]["easy"]
    ended = split["outcomes"]["answered"] + split["outcomes"]["empty"]  # a random model may say nothing
    assert ended == SAMPLES, split["outcomes"]
    lines = (folder / "mis" / "responses.jsonl").read_text().splitlines()
    return timed.ended - timed.begun, [json.loads(line)["text"] for line in lines]


def prompts(root: Path) -> list[dict[str, Any]]:
    """What `LLM.generate` takes, made from the requests of the same task."""
    (task,) = [each for each, _ in Host.load(tell=lambda _: None).offers("tasks") if each.name == "mis"]
    made = []
    for sample in task.samples(root / "mis", "easy", effective(task.settings, {}, owner="mis")):
        parts = sample.request.messages[-1].content
        text = "".join(part.text if isinstance(part, Text) else MARKED for part in parts)
        images = [decode(open_image(image).opened) for image in sample.request.images]
        made.append({"prompt": PROMPT.replace(QUESTION, text), "multi_modal_data": {"image": images}})
    return made


def directly(llm: Any, asked: list[dict[str, Any]]) -> tuple[float, list[str]]:
    """Seconds of one call, and the answers."""
    from vllm import SamplingParams

    parameters = SamplingParams(temperature=0.0, max_tokens=TOKENS)
    started = time.perf_counter()
    outputs = llm.generate(asked, parameters, use_tqdm=False)
    return time.perf_counter() - started, [output.outputs[0].text for output in outputs]


def larger(folder: Path) -> str:
    """The mini world's model with more and wider layers, and random weights."""
    import harness_mini
    import torch
    import transformers

    torch.manual_seed(0)
    base = Path(harness_mini.__file__).with_name("base")
    values = json.loads((base / "config.json").read_text())
    sizes = {"hidden_size": 512, "intermediate_size": 1536, "num_attention_heads": 16, "num_hidden_layers": 10}
    values["text_config"] |= sizes | {"layer_types": ["full_attention"] * sizes["num_hidden_layers"]}
    values["vision_config"]["hidden_size"] = sizes["hidden_size"]
    config: Any = transformers.Qwen2VLConfig(**values)
    transformers.AutoModelForImageTextToText.from_config(config).save_pretrained(folder)
    transformers.AutoProcessor.from_pretrained(base).save_pretrained(folder)
    return str(folder)


async def compare(scratch: Path) -> None:
    from harness_vllm.provider import PROVIDER

    name = MODEL or larger(scratch / "model")
    settings = effective(PROVIDER.settings, {**ENGINE, "images_per_prompt": 2}, owner="provider vllm")
    async with PROVIDER.open(name, settings) as model:
        vllm_opened.MODELS[:] = [model]
        from vllm import LLM

        llm = LLM(model=name, limit_mm_per_prompt={"image": 2, "video": 0}, disable_log_stats=True, **ENGINE)
        try:
            rows = [await one_round(scratch, number, llm) for number in range(ROUNDS + 1)][1:]
        finally:
            llm.llm_engine.engine_core.shutdown()  # else its processes outlive an error
    walls, references = zip(*rows, strict=True)
    ratios = [reference / wall for wall, reference in rows]
    print(f"{ROUNDS} rounds, {SAMPLES} questions with two images of {SIDE} pixels, {SEQUENCES} answered together")
    print(f"LLM.generate median {statistics.median(references):.2f} s, {SAMPLES / statistics.median(references):.0f}/s")
    print(f"the harness  median {statistics.median(walls):.2f} s, {SAMPLES / statistics.median(walls):.0f}/s")
    print(f"ratio        median {statistics.median(ratios):.2f}, {min(ratios):.2f} to {max(ratios):.2f} (target: 0.95)")


async def one_round(scratch: Path, number: int, llm: Any) -> tuple[float, float]:
    root = scratch / f"data{number}"
    layout(root, number)
    asked = prompts(root)
    if number % 2:
        reference, expected = directly(llm, asked)
        wall, given = await ours(root, scratch / f"run{number}")
    else:
        wall, given = await ours(root, scratch / f"run{number}")
        reference, expected = directly(llm, asked)
    same = len(set(given) & set(expected)) / len(set(expected))
    assert same > 0.9, f"only {same:.0%} of the answers are the same"
    return wall, reference


def main() -> None:
    if importlib.util.find_spec("vllm") is None:
        print("not here: vLLM is not installed; run .venv-vllm/bin/python -m benchmarks.vllm_pipeline")
        return
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # gigabytes, where the engine computes on the CPU
    plugin = Path(vllm_opened.__file__)
    with tempfile.TemporaryDirectory() as scratch, use(Host.load([plugin])):
        anyio.run(compare, Path(scratch))


if __name__ == "__main__":
    sys.exit(main())
