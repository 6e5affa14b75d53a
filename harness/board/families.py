"""Whose model a name means: a judge that marks its own maker's model is worth a word beside the number."""

from __future__ import annotations

import re
from typing import Final

#: family -> what a name of its models holds, as a word or the beginning of one
_FAMILIES: Final = {
    "Anthropic": "claude",
    "Baidu": "ernie",
    "Cohere": "command-[ar] aya",
    "DeepSeek": "deepseek",
    "Google": "gemini gemma paligemma",
    "Meta": "llama llama-guard",
    "Microsoft": "phi",
    "MiniCPM": "minicpm",
    "Mistral": "mistral ministral mixtral pixtral magistral",
    "Moonshot": "kimi moonlight",
    "OpenAI": "gpt chatgpt o[134](?![a-z])",
    "OpenGVLab": "internvl internlm intern-s",
    "Qwen": "qwen qwq qvq",
    "xAI": "grok",
    "Zhipu": "glm cogvlm chatglm",
}
_PATTERNS: Final = {
    family: re.compile(rf"(?<![a-z])(?:{'|'.join(words.split())})", re.IGNORECASE)
    for family, words in _FAMILIES.items()
}


def families(*names: str) -> frozenset[str]:
    """The families that some names of a model mean; empty where they tell nothing.

    A name may mean two: a distilled or merged model is of both.
    """
    text = " ".join(name.replace("_", "-") for name in names)
    return frozenset(family for family, pattern in _PATTERNS.items() if pattern.search(text))
