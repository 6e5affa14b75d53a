"""`jailguard` and `smooth`: the model answers changed copies of a request, and what the answers have in common decides.

`jailguard` follows JailGuard: answers to copies of an attack differ more than those to copies of a harmless request. So
a request whose answers diverge is blocked. `smooth` follows SmoothVLM and SmoothGuard: an attack breaks on most copies,
so the majority answers.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from random import Random
from typing import Any, Final

from harness import Failure, HarnessError, Model, Request, Response, Setting, Settings, Strategy
from harness.types import BLOCKED, Json

from .around import StrategyModel, ask_all, block, is_chat, join_calls, run_in_thread, seed_random

_LEAST: Final = 0.01  # of a similarity, so that no divergence is infinite
_MOST: Final = 100.0  # of a divergence
_SPACY: Final = "en_core_web_md"
_READ: Final = 100  # first characters of an answer that are compared
_WORD: Final = re.compile(r"\w+")
#: JailGuard's thresholds, which are for spaCy's similarity
_THRESHOLDS: Final = {"images": 0.025, "text": 0.02}
#: ours for words: eight answers of which each two share less than about half of their words
_WORDS_THRESHOLD: Final = 0.1


@cache
def _find_refusal() -> Callable[[str], str]:
    from harness.phrases import REFUSALS, finder, read_phrases

    return finder(read_phrases(REFUSALS))


def is_refusal(answer: Response | Failure) -> bool:
    """Whether a reply refuses: by the phrases of the judge `keyword`, or since a provider's filter blocks it."""
    return isinstance(answer, Failure) or "refusal" in answer.flags or bool(_find_refusal()(answer.text))


def compare_words(one: str, other: str) -> float:
    """How similar two texts are by the words that they hold: the cosine of the counts, from 0 to 1."""
    first, second = (Counter(_WORD.findall(text.lower())) for text in (one, other))
    if not first or not second:
        return float(first == second)
    together = sum(count * second[word] for word, count in first.items())
    size = math.sqrt(sum(n * n for n in first.values()) * sum(n * n for n in second.values()))
    return min(1.0, together / size)


def find_divergence(texts: Sequence[str], similarity: Callable[[str, str], float]) -> float:
    """The largest Kullback-Leibler divergence between two texts' shares of similarity with all texts."""
    rows = [[max(_LEAST, similarity(one, other)) for other in texts] for one in texts]
    shares = [[each / sum(row) for each in row] for row in rows]
    return max(
        (
            min(_MOST, sum(p * math.log(p / q) for p, q in zip(one, other, strict=True)))
            for one in shares
            for other in shares
            if one is not other
        ),
        default=0.0,
    )


def _open_similarity(kind: str) -> Callable[[str, str], float]:
    """What compares two answers. Raises HarnessError if spaCy or its model is not installed."""
    if kind == "words":
        return compare_words
    try:
        import importlib

        read: Any = importlib.import_module("spacy").load(_SPACY)
    except (ImportError, OSError) as error:
        raise _lacks_spacy() from error
    return lambda one, other: float(read(one).similarity(read(other)))


def _find_facts(settings: Settings) -> Mapping[str, Json]:
    """The versions of spaCy and its model, where these compare. Raises HarnessError if they are not installed."""
    if settings["similarity"] == "words":
        return {}
    from importlib import metadata

    try:
        return {name: metadata.version(name) for name in ("spacy", _SPACY)}
    except metadata.PackageNotFoundError as error:
        raise _lacks_spacy() from error


def _lacks_spacy() -> HarnessError:
    remedy = f"pip install spacy && python -m spacy download {_SPACY}; or leave -S similarity out"
    return HarnessError(f"-S similarity=spacy needs spaCy with its model {_SPACY}", remedy=remedy)


def _describe(answer: Response | Failure) -> str:
    return answer.text if isinstance(answer, Response) else f"[{answer.outcome}: {answer.reason}]"


def _find_error(calls: Sequence[Response | Failure]) -> Failure | None:
    """The first call that failed and was not stopped by a filter."""
    return next((call for call in calls if isinstance(call, Failure) and call.outcome not in BLOCKED), None)


def mutate_request(request: Request, part: str, random: Random) -> Request:
    """A copy of the request with `images`, `text` or `both` changed."""
    from .copies import change_images, change_words, mutate_picture

    if part in ("images", "both"):
        request = change_images(request, mutate_picture, random)
    return change_words(request, random) if part in ("text", "both") else request


def _wrap_jailguard(model: Model, settings: Settings) -> Model:
    similarity = _open_similarity(settings["similarity"])
    number: int = settings["copies"]

    async def answer(inner: Model, request: Request) -> Response | Failure:
        """Ask the copies; block the request if their answers diverge or all refuse; else ask it as it is."""
        # images where there are some, else text, unless the setting says text or both
        wanted = "images" if settings["mutate"] == "auto" else settings["mutate"]
        part = wanted if request.images else "text"
        threshold = settings["threshold"]
        if threshold is None and settings["similarity"] == "words":
            threshold = _WORDS_THRESHOLD
        elif threshold is None:
            threshold = _THRESHOLDS["text" if part == "text" else "images"]

        def draw() -> list[Request]:
            return [mutate_request(request, part, seed_random(request, f"jailguard {n}")) for n in range(number)]

        copies = await run_in_thread(draw)
        calls = await ask_all(inner, copies)
        steps = {f"copy {n}": _describe(call) for n, call in enumerate(calls, 1)}
        if (failed := _find_error(calls)) is not None:
            return join_calls(failed, calls, steps)
        texts = [call.text[:_READ] if isinstance(call, Response) else "" for call in calls]
        divergence = find_divergence(texts, similarity)
        refused = sum(map(is_refusal, calls))
        steps["divergence"] = f"{divergence:.4f}"
        found = ""
        if divergence > threshold:
            found = f"the answers to {number} changed copies diverge by {divergence:.4f}, more than {threshold:g}"
        elif refused == number:
            found = f"all {number} changed copies are refused"
        if found:
            return join_calls(block(f"jailguard: {found}"), calls, steps)
        last = await inner.generate(request)
        return join_calls(last, [*calls, last], steps)

    return StrategyModel(name="jailguard", inner=model, answer=answer)


JAILGUARD: Final = Strategy(
    name="jailguard",
    version="1",
    seconds=None,  # its work waits for other samples' in the same threads
    description="blocks a request if the answers to changed copies of it diverge, or all refuse",
    wrap=_wrap_jailguard,
    settings=(
        Setting(name="copies", type=int, default=8, identity=True, least=2, help="how many changed copies"),
        Setting(
            name="mutate",
            type=str,
            default="auto",
            identity=True,
            choices=("auto", "images", "text", "both"),
            help="what is changed; auto: images where there are some, else text",
        ),
        Setting(
            name="threshold",
            type=float,
            default=None,
            identity=True,
            least=0,
            help="divergence above which a request is blocked; default 0.1, with spacy 0.025 (images) or 0.02 (text)",
        ),
        Setting(
            name="similarity",
            type=str,
            default="words",
            identity=True,
            choices=("words", "spacy"),
            help="compares answers: by the words they hold, or as JailGuard by spaCy's en_core_web_md",
        ),
    ),
    calls=lambda request, settings: (settings["copies"], settings["copies"] + 1) if is_chat(request) else (0, 0),
    facts=_find_facts,
)


def _wrap_smooth(model: Model, settings: Settings) -> Model:
    number, share, kind = settings["copies"], settings["share"], settings["change"]

    async def answer(inner: Model, request: Request) -> Response | Failure:
        """Ask the copies, and give the first answer of the majority; a request without images is asked as it is."""
        if not request.images:
            return await inner.generate(request)

        def draw() -> list[Request]:
            from .copies import add_noise, change_images, mask

            change = mask if kind == "mask" else add_noise
            return [
                change_images(request, lambda picture, random: change(picture, random, share), drawn)
                for drawn in (seed_random(request, f"smooth {n}") for n in range(number))
            ]

        calls = await ask_all(inner, await run_in_thread(draw))
        steps = {f"copy {n}": _describe(call) for n, call in enumerate(calls, 1)}
        if (failed := _find_error(calls)) is not None:
            return join_calls(failed, calls, steps)
        return join_calls(choose_by_vote(calls, steps), calls, steps)

    return StrategyModel(name="smooth", inner=model, answer=answer)


def choose_by_vote(calls: Sequence[Response | Failure], steps: dict[str, str]) -> Response | Failure:
    """The first answer of the majority, refusals if half of them refuse; blocks and blank replies come last."""
    refusals = [call for call in calls if is_refusal(call)]
    steps["vote"] = f"{len(refusals)} of {len(calls)} refuse"
    if 2 * len(refusals) < len(calls):
        answers = [call for call in calls if isinstance(call, Response) and not is_refusal(call)]
        return next((answer for answer in answers if answer.text.strip()), answers[0])
    return next((call for call in refusals if isinstance(call, Response)), refusals[0])


def _count_smooth(request: Request, settings: Settings) -> tuple[int, int]:
    number = settings["copies"] if request.images else 1
    return (number, number) if is_chat(request) else (0, 0)


SMOOTH: Final = Strategy(
    name="smooth",
    version="1",
    seconds=None,  # its work waits for other samples' in the same threads
    description="asks copies with masked or noisy images, and gives the answer of the majority",
    wrap=_wrap_smooth,
    settings=(
        Setting(name="copies", type=int, default=5, identity=True, least=1, help="how many copies"),
        Setting(
            name="change",
            type=str,
            default="mask",
            identity=True,
            choices=("mask", "noise"),
            help="pixels made black, or Gaussian noise",
        ),
        Setting(
            name="share",
            type=float,
            default=0.2,
            identity=True,
            least=0,
            most=1,
            help="of the pixels that are masked, or of the range that is the noise's standard deviation",
        ),
    ),
    calls=_count_smooth,
)
