"""Near-duplicates among 100,000 questions, one of ten a slip from an earlier one: `python -m benchmarks.duplicates`.

Prints seconds of the processor and of the clock, as a ratio to bare rensa: the same hashes put into the same index and
looked up, with no text read again. What ours does more is to compare exactly what the index names. Target: 60 s.
Then pairs of images as a build meets them: each shows one object that all show, drawn anew, beside one of its own; and
the same eight times over. Target: no more than twice the seconds for each pair.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable
from random import Random
from typing import Any

from harness_builder.plan import TEXT_LIKENESS
from harness_builder.quality import ImageMark, PairIndex, TextIndex
from harness_builder.quality.duplicates import MINHASH

from harness.readers import normalize_question

COUNT = 100_000
PAIRS = 2_000
WORDS = [
    f"{first}{last}" for first in ("ka", "mo", "ri", "tu", "le", "so") for last in ("lan", "ter", "vik", "num", "dar")
]


def questions(count: int, seed: int = 0) -> list[str]:
    """Sentences of about 110 letters in made-up words; every tenth repeats an earlier one with one word changed."""
    rng, made = Random(seed), list[str]()
    for number in range(count):
        words = [rng.choice(WORDS) for _ in range(18)]
        if number % 10 == 9:
            words = made[rng.randrange(number)].split()
            words[rng.randrange(len(words))] = rng.choice(WORDS)
        made.append(" ".join(words))
    return made


def ours(texts: list[str]) -> int:
    index = TextIndex()
    return sum(index.take(str(number), text) is not None for number, text in enumerate(texts))


def bare(texts: list[str]) -> int:
    rensa: Any = importlib.import_module("rensa")
    bands, rows, seed, width = MINHASH
    index, named = rensa.RMinHashLSH(TEXT_LIKENESS, bands * rows, bands), 0
    for number, text in enumerate(texts):
        plain = normalize_question(text)
        hashed = rensa.RMinHash(bands * rows, seed)
        hashed.update(list({plain[at : at + width] for at in range(len(plain) - width + 1)}))
        named += bool(index.query(hashed))
        index.insert(number, hashed)
    return named


def pairs(count: int, seed: int = 0) -> list[tuple[ImageMark, ImageMark]]:
    """Each with a drawing of one object, by two bits and a few levels another each time, and one of its own."""
    rng, knife = Random(seed), Random(seed).getrandbits(64)
    made: list[tuple[ImageMark, ImageMark]] = []
    for _ in range(count):
        shape = knife ^ 1 << rng.randrange(64) ^ 1 << rng.randrange(64)
        drawn = ImageMark(shape=shape, tint=bytes(rng.randrange(240, 256) for _ in range(48)))
        made.append((drawn, ImageMark(shape=rng.getrandbits(64), tint=rng.randbytes(48))))
    return made


def paired(made: list[tuple[ImageMark, ImageMark]]) -> float:
    """Milliseconds of the processor for each."""
    index, began = PairIndex(), time.process_time()
    for number, pair in enumerate(made):
        index.take(str(number), pair)
    assert len(index) == len(made), "no two are alike"
    return 1000 * (time.process_time() - began) / len(made)


def timed(work: Callable[[list[str]], int], texts: list[str]) -> tuple[int, float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    found = work(texts)
    return found, time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    texts = questions(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)
    named, his_cpu, his_wall = timed(bare, texts)
    found, our_cpu, our_wall = timed(ours, texts)
    print(f"  bare index   {his_cpu:6.1f} s of the processor {his_wall:6.1f} s   {named:,} have something near")
    print(f"  near-duplicates {our_cpu:3.1f} s of the processor {our_wall:6.1f} s   {found:,} dropped")
    verdict = "ok" if our_wall < 60 * len(texts) / COUNT else "missed"
    print(f"  ratio {our_cpu / his_cpu:.2f}; {len(texts):,} texts in {our_wall:.1f} s (target: 60): {verdict}")
    few, many = paired(pairs(PAIRS)), paired(pairs(8 * PAIRS))
    verdict = "ok" if many <= 2 * few else "missed"
    print(f"  pairs of images {few:.2f} ms each of {PAIRS:,}, {many:.2f} of {8 * PAIRS:,} (target: twice): {verdict}")


if __name__ == "__main__":
    main()
