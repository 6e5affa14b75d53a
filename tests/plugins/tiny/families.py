"""The families, by name."""

from __future__ import annotations

from tests.plugins.tiny.llavas import internvl, llava_interleave, llava_next, llava_onevision
from tests.plugins.tiny.others import gemma3, idefics3, mllama, paligemma, smolvlm
from tests.plugins.tiny.parts import Family
from tests.plugins.tiny.qwens import qwen2_5_vl, qwen2_vl, qwen3_vl

FAMILIES = {
    "qwen2_vl": Family(make=qwen2_vl, ends=("<|im_end|>", "<|endoftext|>")),
    "qwen2_5_vl": Family(make=qwen2_5_vl, ends=("<|im_end|>", "<|endoftext|>")),
    "qwen3_vl": Family(make=qwen3_vl, ends=("<|im_end|>", "<|endoftext|>")),
    "internvl": Family(make=internvl, ends=("<|im_end|>", "<|endoftext|>")),
    "llava_onevision": Family(make=llava_onevision, ends=("<|im_end|>",)),
    "llava_next": Family(make=llava_next, ends=("</s>",)),
    "llava_interleave": Family(make=llava_interleave, ends=("<|im_end|>",)),
    "idefics3": Family(make=idefics3, ends=("<end_of_utterance>",)),
    "smolvlm": Family(make=smolvlm, ends=("<end_of_utterance>",)),
    "gemma3": Family(make=gemma3, ends=("<eos>", "<end_of_turn>")),
    "mllama": Family(make=mllama, ends=("<|end_of_text|>", "<|eom_id|>", "<|eot_id|>")),
    "paligemma": Family(make=paligemma, ends=("<eos>",), max_images=1),
}
