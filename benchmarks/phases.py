"""A local model and a local judge, one after the other: does the first give its memory back before the second opens?

Both are a random transformers model of 51 million parameters, 205 MB in single precision, run by `hf` on the CPU. Shown
are the bytes of all tensors that are alive in this process, and the resident memory of its child processes, while the
model answers and while the judge judges. `overlap` holds both at once and is the reference.
"""

import gc
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import anyio
import psutil

from harness.contracts import Judge, Rubric
from harness.evaluation.options import Options
from harness.models import ModelSpec
from harness.plugins import Host, use
from harness.plugins.loader import find_installed
from harness.progress import SilentProgress
from harness.runs.run import run_async
from harness.testing.fakes import FakePlugin, fake_sample, fake_task, source_of
from harness.types import Verdict

MODES: dict[str, dict[str, Any]] = {
    "sequential": {"phases": "sequential"},
    "overlap": {"phases": "overlap"},
    "sequential, 2 replicas each": {"phases": "sequential", "replicas": 2},
}
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"
TASK = fake_task({str(n): f"question {n}" for n in range(8)}, name="asks", judges={"tone": {}})
RUBRIC = Rubric(
    identity={},
    labels=("unsafe", "safe"),
    ask=lambda sample, _: [fake_sample(text=sample.id).request],
    read=lambda *_: Verdict(label="safe"),
)
TONE = Judge(name="tone", version="1", description="", open=lambda _s, _d: RUBRIC, needs=frozenset())


class Weighing(SilentProgress):
    """MB of tensors here and of child processes when the first sample is answered, and when the last is judged."""

    def __init__(self) -> None:
        self.seen: dict[str, tuple[float, float, int]] = {}

    def answered(self, *_: Any, fresh: bool, **__: Any) -> None:
        if fresh:
            self._weigh("while the model answers")

    def judged(self, *_: Any, **__: Any) -> None:
        self._weigh("while the judge judges")

    def _weigh(self, moment: str) -> None:
        children = psutil.Process().children(recursive=True)
        resident = sum(child.memory_info().rss for child in children) / 1e6
        self.seen[moment] = (tensors() / 1e6, resident, len(children))


def tensors() -> int:
    """Bytes of all tensors that are alive in this process; 0 where torch is not imported."""
    torch = sys.modules.get("torch")
    if torch is None:
        return 0
    gc.collect()
    alive = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
    return sum({each.untyped_storage().data_ptr(): each.untyped_storage().nbytes() for each in alive}.values())


def make(folder: Path) -> None:
    """A model of random weights."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = ["<end>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE(vocab={letter: at for at, letter in enumerate(letters)}, merges=[]))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    words = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, eos_token="<end>", pad_token="<end>", chat_template=TEMPLATE
    )
    sizes = {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 4, "num_attention_heads": 8}
    config = transformers.LlamaConfig(
        vocab_size=len(words), bos_token_id=None, eos_token_id=0, pad_token_id=0, max_position_embeddings=512, **sizes
    )
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    words.save_pretrained(folder)


def weigh(mode: str, model: str, output: Path) -> None:
    settings = {key: value for key, value in MODES[mode].items() if key == "replicas"}
    options = Options(
        model=ModelSpec(ref=f"hf/{model}", settings=settings),
        judges=(f"tone=hf/{model}",),
        judge_settings={**settings, "max_tokens": 4},
        tasks=("asks",),
        generation={"max_tokens": 4},
        output=output,
        probe=False,
        phases=MODES[mode]["phases"],
    )
    weighing = Weighing()
    with use(Host([*find_installed(print), source_of(FakePlugin(TASK, TONE))])):
        anyio.run(lambda: run_async(options, progress=weighing))
    for moment, (here, children, count) in weighing.seen.items():
        print(f"{mode:<28} {moment:<24} tensors here {here:6.1f} MB, {count} child processes {children:7.1f} MB")
    print(f"{mode:<28} {'afterwards':<24} tensors here {tensors() / 1e6:6.1f} MB", flush=True)


def main() -> None:
    if len(sys.argv) > 1:
        weigh(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
        return
    with tempfile.TemporaryDirectory() as scratch:
        make(Path(scratch) / "model")
        for number, mode in enumerate(MODES):
            where = [str(Path(scratch) / "model"), str(Path(scratch) / f"run{number}")]
            subprocess.run([sys.executable, "-m", "benchmarks.phases", mode, *where], check=True)


if __name__ == "__main__":
    main()
