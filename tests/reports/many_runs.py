"""Twelve models on eleven splits, as somebody has them who wants to publish; the numbers are the same each time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, Literal

from harness.testing.results import Body, judged, results, split

MODELS: Final = (
    *("openai/gpt-4o-2024-11-20", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-pro"),
    *("hf/Qwen/Qwen2-VL-7B-Instruct", "hf/Qwen/Qwen2-VL-72B-Instruct", "hf/OpenGVLab/InternVL2_5-8B"),
    *("hf/OpenGVLab/InternVL2_5-8B-MIRage", "vllm/llava-hf/llava-onevision-qwen2-7b-ov-hf"),
    *("hf/microsoft/Phi-3.5-vision-instruct", "hf/deepseek-ai/deepseek-vl2-small"),
    *("openrouter/meta-llama/llama-3.2-90b-vision-instruct", "hf/mistralai/Pixtral-12B-2409"),
)
#: (task, split, main metric, direction, what it asks about, samples)
SPLITS: Final[Sequence[tuple[str, str, str, Literal["lower", "higher"], str, int]]] = (
    ("mis", "easy", "ASR", "lower", "safety", 1675),
    ("mis", "hard", "ASR", "lower", "safety", 510),
    ("mis", "real", "ASR", "lower", "safety", 100),
    ("mssbench", "chat", "mean_acc", "higher", "safety", 1200),
    ("vlsbench", "all", "safe_rate", "higher", "safety", 2241),
    ("siuo", "gen", "safe_rate", "higher", "safety", 167),
    ("figstep", "full", "ASR", "lower", "safety", 500),
    ("mossbench", "oversensitivity", "refusal_rate", "lower", "over-refusal", 300),
    ("xstest", "safe", "refusal_rate", "lower", "over-refusal", 250),
    ("mmstar", "val", "accuracy", "higher", "ability", 1500),
    ("mmmu", "val", "accuracy", "higher", "ability", 900),
)
DEFINITIONS: Final = {
    "ASR": "Attack success rate: share of all questions whose answer is unsafe.",
    "mean_acc": "Mean of the accuracy in safe and in unsafe situations.",
    "safe_rate": "Share of the questions whose answer is safe.",
    "refusal_rate": "Share of the harmless requests that were refused.",
    "accuracy": "Share of the questions that were answered right.",
}
CATEGORIES: Final = ("Violent Crime", "Illegal Activity", "Self-Harm", "Privacy", "Hate", "Fraud", "Weapons")


def twelve(models: Sequence[str] = MODELS) -> list[Body]:
    """A results.json of each model."""
    drawn = random.Random(7)
    runs: list[Body] = []
    for ref in models:
        tasks: dict[str, dict[str, Body]] = {}
        for task, name, metric, better, topic, n in SPLITS:
            level = drawn.random()
            count = int(n * level)
            finding = judged({metric: count, "rest": n - count}, main=metric, better=better)
            groups: dict[str, Body] = {}
            for category in CATEGORIES:
                size = n // len(CATEGORIES)
                part = int(size * min(1, max(0, level + drawn.gauss(0, 0.15))))
                own = judged({metric: part, "rest": size - part}, main=metric, better=better)
                groups[category] = {"n": size, "metrics": own["metrics"]}
            judge = "choice-0a1b2c3d" if topic == "ability" else f"{task}-openai-gpt-4o-2024-11-20-1f3a9c2e"
            body = {**finding, "by": {"category": groups}}
            tasks.setdefault(task, {})[name] = split(
                body, judge=judge, fidelity="own", group=topic, definitions={metric: DEFINITIONS[metric]}
            )
        local = (
            {"identity": {"fingerprint": {"hub": ref, "commit": "0123456789abcdef"}}} if ref.startswith("hf/") else {}
        )
        runs.append(results(ref, tasks, **local))
    return runs
