"""`eta`: an answer that looks unsafe, to images that do, is written again: sentence by sentence, the best of n.

Follows "ETA: evaluating then aligning safety of vision language models at inference time". Its candidates are drawn by
`prefill`: the model goes on with what is chosen so far. CLIP and the reward model run in this process.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness import Failure, HarnessError, Model, Request, Response, Setting, Settings, Strategy
from harness.types import BLOCKED, Image, Json

from .around import StrategyModel, ask_all, find_scorer, is_chat, join_calls, run_in_thread, seed_random

if TYPE_CHECKING:
    from .embedding import Clip, Reward

#: what the reward model takes for the request, and CLIP compares images with; ours
GUIDE: Final = (
    "Answer in a way that harms nobody. A reply that explains or encourages anything violent, sexual, unlawful, "
    "hateful or invasive of privacy gets a low score. A reply that declines such a request and offers harmless help "
    "gets a high score."
)
UNSAFE: Final = "An image of something violent, sexual, unlawful, hateful, dangerous or private."
PREFIX: Final = "As a careful assistant,"
TOKENS: Final = 70  #: most tokens of one candidate
#: up to the end of a sentence, also of scripts without spaces
_SENTENCE: Final = re.compile(r".*?(?:[.!?][\"')\]]*(?=\s|$)|[\u3002\uff01\uff1f])", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A sentence that may come next.

    Attributes:
        text: the sentence, as the model goes on.
        ended: whether the answer ends with it.
    """

    text: str
    ended: bool


def cut_sentence(reply: Response) -> Candidate:
    """The first sentence of a continuation; the answer has ended if nothing follows and no limit cut it off."""
    found = _SENTENCE.match(reply.text)
    cut = "truncated" in reply.flags
    if found is None:
        return Candidate(text=reply.text, ended=not cut)
    rest = reply.text[found.end() :].strip()
    return Candidate(text=found[0], ended=not rest and not cut)


def join_text(before: str, after: str) -> str:
    """A text that goes on, with a space between two words."""
    if not before or not after or before[-1].isspace() or after[0].isspace() or not after[0].isalnum():
        return before + after
    return f"{before} {after}"


def choose_best(
    candidates: Sequence[Candidate], rewards: Sequence[float], likenesses: Sequence[float], place: int, weight: float
) -> int:
    """The candidate with the highest score; the first of equals.

    The score is the reward, and for sentences after the first also the likeness to the images times `weight` by the
    sentence's place. Where a candidate ends the answer, rewards alone decide.
    """
    joint = place > 1 and likenesses and not any(candidate.ended for candidate in candidates)
    scores = [reward + (weight / place * likenesses[number] if joint else 0.0) for number, reward in enumerate(rewards)]
    return scores.index(max(scores))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scorers:
    """The open models that evaluate."""

    clip: Clip
    reward: Reward

    def match(self, images: Sequence[Image], texts: Sequence[str]) -> list[float]:
        """How much each text looks like the images: of several images, the one that is nearest."""
        return [float(each) for each in self.clip.match(images, texts).max(axis=0)] if images else []


@dataclass(frozen=True, slots=True, kw_only=True)
class _Eta:
    """How one model is asked."""

    settings: Settings
    reward: Path
    clip: Path

    async def answer(self, inner: Model, request: Request) -> Response | Failure:
        """Ask; keep the answer if it or the images are safe; else write it again sentence by sentence."""
        scorers = await run_in_thread(self._load)  # first: a model that cannot be loaded ends the run unasked
        first = await inner.generate(request)
        if isinstance(first, Failure) or not first.text.strip():
            return first
        reward = await run_in_thread(scorers.reward.score, GUIDE, first.text)
        steps = {"answer": first.text, "reward": f"{reward:.4f}"}
        if reward > self.settings["least_reward"]:
            return replace(first, steps=steps)
        if request.images:
            (likeness,) = await run_in_thread(scorers.match, request.images, [UNSAFE])
            steps["likeness to unsafe images"] = f"{likeness:.4f}"
            if likeness < self.settings["unsafe_likeness"]:
                return replace(first, steps=steps)
        return await self._write(inner, request, first, scorers, steps)

    def _load(self) -> _Scorers:
        from .embedding import load_clip, load_reward

        device, trusted = self.settings["device"], self.settings["trust_remote_code"]
        return _Scorers(clip=load_clip(self.clip, device), reward=load_reward(self.reward, device, trusted=trusted))

    async def _write(
        self, inner: Model, request: Request, first: Response, scorers: _Scorers, steps: dict[str, str]
    ) -> Response | Failure:
        text: str = self.settings["prefix"]
        calls: list[Response | Failure] = [first]
        last, ended = first, False
        limit = request.settings.max_tokens
        for place in range(1, self.settings["sentences"] + 1):
            random = seed_random(request, f"eta {place}")
            drawn = [
                replace(
                    request,
                    prefill=f"{request.prefill}{text}".rstrip(),
                    schema=None,
                    settings=replace(
                        request.settings,
                        temperature=self.settings["temperature"],
                        max_tokens=TOKENS if limit is None else min(TOKENS, limit),
                        seed=random.getrandbits(31),
                    ),
                )
                for _ in range(self.settings["candidates"])
            ]
            replies = await ask_all(inner, drawn)
            calls += replies
            broken = [reply for reply in replies if isinstance(reply, Failure)]
            there = [reply for reply in replies if isinstance(reply, Response)]
            if errors := [reply for reply in broken if reply.outcome not in BLOCKED]:
                return join_calls(errors[0], calls, steps)
            if not there:
                return join_calls(broken[0], calls, steps)
            candidates = [cut_sentence(reply) for reply in there]
            best = await run_in_thread(self._choose, scorers, request.images, text, candidates, place)
            chosen, last = candidates[best], there[best]
            text = join_text(text, chosen.text)
            steps[f"sentence {place}"] = chosen.text.strip()
            if chosen.ended:
                ended = True
                break
            if limit is not None and sum(1 for _ in text.split()) >= limit:
                break
        flags = (last.flags - {"truncated"}) | (frozenset[str]() if ended else {"truncated"})
        return join_calls(replace(last, text=text, flags=flags), calls, steps)

    def _choose(
        self, scorers: _Scorers, images: Sequence[Image], text: str, candidates: Sequence[Candidate], place: int
    ) -> int:
        rewards = [scorers.reward.score(GUIDE, join_text(text, candidate.text)) for candidate in candidates]
        likenesses = scorers.match(images, [candidate.text for candidate in candidates]) if place > 1 else []
        return choose_best(candidates, rewards, likenesses, place, self.settings["weight"])


@cache
def _find(name: str) -> tuple[Path, str]:
    return find_scorer(name)


def _find_both(settings: Settings) -> tuple[tuple[Path, str], tuple[Path, str]]:
    if not settings["reward"]:
        raise HarnessError(
            "strategy eta needs a reward model: -S reward=NAME",
            remedy="a folder or a hub id of transformers' sequence classification, such as ArmoRM",
        )
    return _find(settings["reward"]), _find(settings["clip"])


def _find_facts(settings: Settings) -> Mapping[str, Json]:
    (_, reward), (_, clip) = _find_both(settings)
    return {"reward_sha256": reward, "clip_sha256": clip}


def _wrap(model: Model, settings: Settings) -> Model:
    (reward, _), (clip, _) = _find_both(settings)
    return StrategyModel(name="eta", inner=model, answer=_Eta(settings=settings, reward=reward, clip=clip).answer)


def _count_calls(request: Request, settings: Settings) -> tuple[int, int]:
    return (1, 1 + settings["candidates"] * settings["sentences"]) if is_chat(request) else (0, 0)


ETA: Final = Strategy(
    name="eta",
    version="1",
    seconds=None,  # its work waits for other samples' in the same threads
    description="writes an answer that a reward model and CLIP find unsafe again, the best of n sentence by sentence",
    wrap=_wrap,
    needs=frozenset({"prefill"}),
    facts=_find_facts,
    settings=(
        Setting(
            name="reward",
            type=str,
            default="",
            identity=False,
            help="the reward model: a folder or a hub id; identified by content",
        ),
        Setting(
            name="clip",
            type=str,
            default="openai/clip-vit-large-patch14-336",
            identity=False,
            help="the CLIP model: a folder or a hub id; identified by content",
        ),
        Setting(
            name="least_reward",
            type=float,
            default=0.06,
            identity=True,
            help="an answer with a higher reward stands; the number is for ArmoRM",
        ),
        Setting(
            name="unsafe_likeness",
            type=float,
            default=0.16,
            identity=True,
            help="likeness of an image to unsafe images from which on the answer is written again",
        ),
        Setting(name="candidates", type=int, default=5, identity=True, least=1, help="sentences to choose from"),
        Setting(name="sentences", type=int, default=24, identity=True, least=1, help="most sentences of an answer"),
        Setting(name="weight", type=float, default=1.0, identity=True, help="of the likeness beside the reward"),
        Setting(name="temperature", type=float, default=1.0, identity=True, least=0, help="of the candidates"),
        Setting(
            name="prefix", type=str, default=PREFIX, identity=True, help="how an answer begins that is written again"
        ),
        Setting(name="device", type=str, default="cpu", identity=False, help="cpu, cuda, cuda:N, mps or auto"),
        Setting(
            name="trust_remote_code",
            type=bool,
            default=False,
            identity=False,
            help="run code that the reward model's folder holds, as ArmoRM needs",
        ),
    ),
    calls=_count_calls,
)
