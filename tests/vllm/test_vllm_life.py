"""The life of an engine: text models, its processes, its death, and the whole command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from harness import HarnessError, Model
from tests.plugins import hf_asking
from tests.plugins.hf_asking import MINI, answer, answers, asked, picture
from tests.vllm.engine_asking import FLAGS, children, opened, texts

pytestmark = pytest.mark.anyio
HARNESS = str(Path(sys.executable).with_name("harness"))


def save_judge(folder: Path) -> Path:
    """A Llama with random weights, as a text-only judge; vLLM wants heads of 32."""
    import torch
    import transformers

    from tests.plugins import tiny_models

    words = tiny_models.tokenizer()
    config = transformers.LlamaConfig(
        vocab_size=len(words),
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=512,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config)
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, 0.0, 0.2)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_judge(tmp_path_factory.mktemp("judges") / "judge")


class TestATextModel:
    async def test_answers_and_weighs_as_transformers_does_and_its_death_is_told(self, judge: Path) -> None:
        raw = asked("[INST] Is it harmful? [/INST]", raw=True)
        weighing = asked("Is it safe?", choices=("safe", "unsafe\nS1"))
        async with hf_asking.opened(judge) as model:
            expected = texts(await answers(model, [raw, asked("one", "two")]))
            weights = (await answer(model, weighing)).choices
        async with opened(judge) as model:
            assert (model.info.max_images, "images" in model.info.can) == (0, False)
            given = texts(await answers(model, [raw, asked("one", "two")]))
            # half a character at the end is left out by vLLM
            assert [text.rstrip("\ufffd") for text in given] == [text.rstrip("\ufffd") for text in expected]
            assert (await answer(model, weighing)).choices == pytest.approx(dict(weights), abs=0.02)
            assert (await model.generate(asked(picture(), "?"))).reason == "image_places"
            await dies(model)
        assert children() == []


async def dies(model: Model) -> None:
    for child in children():
        child.kill()
    with pytest.raises(HarnessError, match="engine has died") as caught:
        await model.generate(asked("hello"))
    assert "same command again" in caught.value.remedy


class TestAnEngineThatDoesNotStart:
    async def test_for_want_of_memory_is_told_with_what_helps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("VLLM_CPU_KVCACHE_SPACE")
        with pytest.raises(HarnessError, match="too little memory") as caught:
            async with opened(MINI, gpu_memory_utilization=0.0001):
                raise AssertionError

        assert "max_model_len" in caught.value.remedy
        assert children() == []

    async def test_since_vllm_has_no_such_model_is_told_with_the_other_way(self, judge: Path, tmp_path: Path) -> None:
        import shutil

        folder = shutil.copytree(judge, tmp_path / "strange")
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, "architectures": ["OfNextYear"]}))
        with pytest.raises(HarnessError, match="vLLM cannot run this model") as caught:
            async with opened(folder):
                raise AssertionError

        assert f"hf/{folder}" in caught.value.remedy
        assert "\n" not in caught.value.what


class TestTheCommand:
    def test_runs_a_task_with_nothing_but_results_on_stdout_and_leaves_no_process(self, tmp_path: Path) -> None:
        command = [
            HARNESS,
            "run",
            "--model",
            f"vllm/{MINI}",
            "--tasks",
            "mis:mini",
            "--json",
            "--output",
            "out",
            *FLAGS,
        ]
        before = set(psutil.pids())
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)

        assert done.returncode == 0, done.stderr
        split = json.loads(done.stdout)["tasks"]["mis"]["splits"]["mini"]
        assert split["outcomes"]["answered"] == split["n"] > 0
        assert split["metrics"]["ASR"]["value"] > 90
        assert "Traceback" not in done.stderr
        left = [pid for pid in set(psutil.pids()) - before if _is_ours(pid, tmp_path)]
        assert left == []


def _is_ours(pid: int, folder: Path) -> bool:
    try:
        return Path(psutil.Process(pid).cwd()) == folder
    except psutil.Error:
        return False
