"""A model that comes with code of its own and is fed as MiniCPM-V 2.6 is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness import HarnessError
from tests.training.tiny_training import fitted, kinds, recipe, training, weights

CODE = Path(__file__).with_name("stranger") / "stranger.py"
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{{ '<|im_start|>assistant\n' if add_generation_prompt else '' }}"
)
CLASSES = {"AutoConfig": "StrangerConfig", "AutoModel": "Stranger", "AutoProcessor": "StrangerProcessor"}


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its folder: weights, words and code."""
    import torch
    import transformers

    from tests.plugins.tiny_models import tokenizer

    root = tmp_path_factory.mktemp("stranger")
    folder = root / "model"
    words = tokenizer(TEMPLATE)
    words.save_pretrained(folder)
    transformers.SiglipImageProcessor(size={"height": 16, "width": 16}).save_pretrained(folder)
    shutil.copyfile(CODE, folder / CODE.name)
    named = {kind: f"stranger.{name}" for kind, name in CLASSES.items()}
    said = {"model_type": "minicpmv", "vocab_size": len(words), "hidden_size": 32, "auto_map": named}
    (folder / "config.json").write_text(json.dumps({**said, "architectures": ["Stranger"], "dtype": "float32"}))
    (folder / "processor_config.json").write_text(
        json.dumps({"auto_map": named, "processor_class": CLASSES["AutoProcessor"]})
    )
    torch.manual_seed(0)
    config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=True)
    model = transformers.AutoModel.from_config(config, trust_remote_code=True)
    from safetensors.torch import save_file

    save_file(dict(model.state_dict()), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


class TestAModelWithCodeOfItsOwn:
    def test_is_refused_until_it_is_trusted(self, stranger: Path, tmp_path: Path) -> None:
        with pytest.raises(HarnessError) as raised:
            fitted(training(stranger, tmp_path / "out"), kinds())
        assert "-S trust_remote_code=true" in raised.value.remedy

    def test_learns_answers_and_keeps_its_vision_tower(self, stranger: Path, tmp_path: Path) -> None:
        asked = training(stranger, tmp_path / "out", trust_remote_code=True)
        made = fitted(asked, kinds() * 2, recipe(epochs=8.0, batch=4))
        before, after = weights(stranger), weights(made.folder)
        moved = {name.split(".")[0] for name in before if not (before[name] == after[name]).all()}

        assert moved == {"llm", "resampler"}
        assert made.history[-1]["loss"] < 0.7 * made.history[0]["loss"]
        assert (made.folder / CODE.name).is_file()

    def test_takes_adapters_on_its_language_model(self, stranger: Path, tmp_path: Path) -> None:
        asked = training(stranger, tmp_path / "out", trust_remote_code=True)
        made = fitted(asked, kinds(), recipe(tuning="lora"))

        assert made.kind == "adapter"
        assert made.counts["language"][1] > 0 == made.counts["vision"][1]

    def test_runs_its_vision_tower_once_a_step_where_devices_train_together_whatever_its_images(
        self, stranger: Path, tmp_path: Path
    ) -> None:
        import torch

        base, made = _batch(training(stranger, tmp_path / "out", trust_remote_code=True))
        calls: list[int] = []
        base.model.vpm.register_forward_hook(lambda *_: calls.append(1))
        torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
        try:
            together = base.model(**made).loss.item()
        finally:
            torch.distributed.destroy_process_group()

        assert len(calls) == 1
        assert base.model.config.vision_batch_size == 2
        assert base.model(**made).loss.item() == pytest.approx(together)
        assert len(calls) > 2

    def test_is_learnt_from_its_answers_only(self, stranger: Path, tmp_path: Path) -> None:
        base, made = _batch(training(stranger, tmp_path / "out", trust_remote_code=True))
        words = base.frontend.tokenizer
        texts = [words.decode([each for each in row if each != -100]) for row in made["labels"].tolist()]

        assert texts == [
            "No, that is not safe.<|im_end|>",
            "For fun.<|im_end|>",
            "Fine.<|im_end|>",
            "One.<|im_end|>Two.<|im_end|>",
        ]


def _batch(asked: Any) -> tuple[Any, dict[str, Any]]:
    """The opened base, and a batch of one record of each kind."""
    from harness_mirage.models.base import open_base
    from harness_mirage.sft.batches import ChatEncoder, Collator, encode_all

    base = open_base(asked, recipe())
    chats = encode_all(ChatEncoder(base.frontend, base.chat, base.mark), kinds())
    made = Collator(frontend=base.frontend, records=kinds(), chats=chats, pixels=None)
    batch = made([{"record": at} for at in range(4)])
    del batch["records"]
    return base, batch
