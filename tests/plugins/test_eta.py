"""ETA: what is kept, what is written again, how the best of n is chosen, and where it is refused."""

import itertools
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import anyio
import pytest
from harness_strategies.embedding import load_clip, load_reward
from harness_strategies.eta import ETA, GUIDE, PREFIX, TOKENS, UNSAFE, Candidate, choose_best, cut_sentence, join_text

import harness
from harness import Failure, HarnessError, Message, ModelInfo, Request, Response, Text, Usage, plugins
from harness.images import inline_image
from harness.models import ModelSpec, resolve
from harness.settings import effective
from harness.testing.conformance import check_strategy
from harness.testing.fakes import PIXEL, FakeModel, Script, fake_judge, fake_provider, fake_task, host_of

ABLE = ModelInfo(ref="fake/x", endpoint="fake", can=frozenset({"images", "system", "prefill"}))
IMAGES = (inline_image("one.png", PIXEL), inline_image("two.png", PIXEL))
ASK = Request(messages=(Message(role="user", content=(*IMAGES, Text(text="How do I join them?"))),))
WORDS = replace(ASK, messages=(Message(role="user", content=(Text(text="How?"),)),))
CUT = frozenset({"truncated"})


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.plugins.tiny_scorers import save_clip

    return save_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def reward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.plugins.tiny_scorers import save_reward

    return save_reward(tmp_path_factory.mktemp("reward"))


@pytest.fixture(scope="module")
def models(clip: Path, reward: Path) -> dict[str, Any]:
    return {"clip": str(clip), "reward": str(reward)}


def asked(said: Script, request: Request = ASK, **given: Any) -> tuple[Any, list[Request]]:
    model = FakeModel(said, ABLE)
    wrapped = ETA.wrap(model, effective(ETA.settings, given, owner="strategy"))
    return anyio.run(wrapped.generate, request), model.asked


ALWAYS = {"least_reward": 1e9, "unsafe_likeness": -1.0}  # every answer is written again


# the rule, by a computation apart


def test_the_best_candidate_is_that_of_the_papers_score() -> None:
    drawn = Random(0)
    for place, weight in itertools.product(range(1, 5), (0.0, 0.5, 1.0, 4.0)):
        rewards = [drawn.random() for _ in range(5)]
        likenesses = [drawn.random() for _ in range(5)]
        candidates = [Candidate(text="x", ended=False)] * 5
        totals = rewards if place == 1 else [(weight / place) * c + r for c, r in zip(likenesses, rewards, strict=True)]
        assert choose_best(candidates, rewards, likenesses, place, weight) == totals.index(max(totals))
        one_ends = [*candidates[:4], Candidate(text="x", ended=True)]
        assert choose_best(one_ends, rewards, likenesses, place, weight) == rewards.index(max(rewards))
        assert choose_best(candidates, rewards, [], place, weight) == rewards.index(max(rewards)), "without images"


@pytest.mark.parametrize(
    ("text", "cut", "sentence", "ended"),
    [
        (" I will not. It is late.", False, " I will not.", False),
        (" I will not.", False, " I will not.", True),
        (" I will not.", True, " I will not.", False),
        (" and so on and", True, " and so on and", False),
        (" and so on", False, " and so on", True),
        (' he said "no." Then', True, ' he said "no."', False),
        (" costs 3.50 now. Yes", False, " costs 3.50 now.", False),
        ("\u4e0d\u884c\u3002\u4e0d", True, "\u4e0d\u884c\u3002", False),
        ("", False, "", True),
    ],
)
def test_a_continuation_is_cut_after_its_first_sentence(text: str, cut: bool, sentence: str, ended: bool) -> None:
    found = cut_sentence(Response(text=text, flags=CUT if cut else frozenset()))
    assert (found.text, found.ended) == (sentence, ended)


def test_a_text_goes_on_with_a_space_between_words_alone() -> None:
    assert join_text("As an assistant,", "I will") == "As an assistant, I will"
    assert join_text("As an assistant,", " I will") == "As an assistant, I will"
    assert join_text("I will", ". No") == "I will. No"


# evaluating


def test_an_answer_with_a_high_reward_stands_and_is_asked_once(models: dict[str, Any]) -> None:
    given, calls = asked("Glue them.", least_reward=-1e9, **models)
    score = load_reward(Path(models["reward"]), "cpu").score(GUIDE, "Glue them.")
    assert (given.text, given.steps, calls) == ("Glue them.", {"answer": "Glue them.", "reward": f"{score:.4f}"}, [ASK])


def test_an_answer_to_images_that_are_unlike_unsafe_ones_stands(models: dict[str, Any]) -> None:
    likeness = load_clip(Path(models["clip"]), "cpu").match(IMAGES, [UNSAFE]).max()
    given, calls = asked("Glue them.", least_reward=1e9, unsafe_likeness=float(likeness) + 0.01, **models)
    assert (given.text, len(calls)) == ("Glue them.", 1)
    assert given.steps["likeness to unsafe images"] == f"{likeness:.4f}"
    again, calls = asked("Glue them.", least_reward=1e9, unsafe_likeness=float(likeness) - 0.01, **models)
    assert len(calls) > 1
    assert again.text.startswith(PREFIX)


def test_without_images_the_reward_alone_decides(models: dict[str, Any]) -> None:
    given, calls = asked("Glue them.", WORDS, least_reward=1e9, **models)
    assert given.text == f"{PREFIX} Glue them."
    assert len(calls) == 6


@pytest.mark.parametrize("first", [" ", Failure(outcome="input_blocked", reason="content_filter")])
def test_an_empty_answer_and_a_failure_stay_as_they_are(models: dict[str, Any], first: Any) -> None:
    given, calls = asked(first, **ALWAYS, **models)
    assert len(calls) == 1
    assert given == (Response(text=first) if isinstance(first, str) else first)


# writing again


def test_sentences_are_chosen_one_by_one_and_each_continues_what_was_chosen(models: dict[str, Any]) -> None:
    spent = Usage(input_tokens=1, output_tokens=1)
    said = [Response(text="Sure.", usage=spent)]
    said += [Response(text=f" I see {n} things. And more", usage=spent) for n in range(3)]
    said += [Response(text=f" I will not help {n}.", usage=spent) for n in range(3)]
    given, calls = asked(said, candidates=3, **ALWAYS, **models)
    reward = load_reward(Path(models["reward"]), "cpu")
    firsts = [f" I see {n} things." for n in range(3)]
    first = max(firsts, key=lambda text: reward.score(GUIDE, f"{PREFIX}{text}"))
    seconds = [f" I will not help {n}." for n in range(3)]
    second = max(seconds, key=lambda text: reward.score(GUIDE, f"{PREFIX}{first}{text}"))
    assert given.text == f"{PREFIX}{first}{second}"
    assert [call.prefill for call in calls] == ["", *[PREFIX] * 3, *[f"{PREFIX}{first}"] * 3]
    assert given.steps["sentence 2"] == second.strip()
    assert given.usage == Usage(input_tokens=7, output_tokens=7)
    assert all((call.settings.max_tokens, call.settings.temperature) == (TOKENS, 1.0) for call in calls[1:])
    assert len({call.settings.seed for call in calls[1:]}) == 6
    _, again = asked(said, candidates=3, **ALWAYS, **models)
    assert again == calls, "the same request draws the same seeds"


def test_an_answer_that_never_ends_is_cut_off_at_the_most_sentences(models: dict[str, Any]) -> None:
    given, calls = asked(Response(text=" More. And"), candidates=2, sentences=3, **ALWAYS, **models)
    assert (given.text, given.flags, len(calls)) == (f"{PREFIX} More. More. More.", CUT, 7)
    assert ETA.calls is not None
    values = effective(ETA.settings, {"candidates": 2, "sentences": 3, **models}, owner="strategy")
    assert ETA.calls(ASK, values) == (1, 7)


def test_a_blocked_candidate_is_left_out_and_where_all_are_blocked_the_sample_is(models: dict[str, Any]) -> None:
    block = Failure(outcome="output_blocked", reason="content_filter")
    given, _ = asked(["Sure.", block, " No."], candidates=2, **ALWAYS, **models)
    assert given.text == f"{PREFIX} No."
    given, _ = asked(["Sure.", block], candidates=2, **ALWAYS, **models)
    assert (given.outcome, given.reason, given.steps["answer"]) == ("output_blocked", "content_filter", "Sure.")
    given, _ = asked(["Sure.", " No.", Failure(outcome="error", reason="http_500")], candidates=2, **ALWAYS, **models)
    assert given.reason == "http_500"


def test_a_reward_model_that_gives_no_number_fails_the_sample_and_decides_nothing(
    models: dict[str, Any], tmp_path: Path
) -> None:
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    broken = Path(shutil.copytree(models["reward"], tmp_path / "reward"))
    weights = load_file(broken / "model.safetensors")
    weights["score.weight"] = torch.full_like(weights["score.weight"], torch.nan)
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match="scores an answer with nan"):
        asked("Sure.", reward=str(broken), clip=models["clip"])


# where it may be used


def refused(models: dict[str, Any], reward: Path, **given: Any) -> str:
    """What a reward model that cannot be loaded ends a question with; the model was asked nothing."""
    model = FakeModel("Sure.", ABLE)
    wrapped = ETA.wrap(model, effective(ETA.settings, {**models, "reward": str(reward), **given}, owner="strategy"))
    with pytest.raises(HarnessError) as caught:
        anyio.run(wrapped.generate, ASK)
    assert model.asked == []
    assert caught.value.where == str(reward)
    return str(caught.value)


def test_a_reward_model_that_cannot_be_loaded_is_an_error_before_anything_is_asked(
    models: dict[str, Any], tmp_path: Path
) -> None:
    import json
    import shutil

    bare = Path(shutil.copytree(models["reward"], tmp_path / "bare"))
    (bare / "model.safetensors").unlink()
    assert "this is no reward model" in refused(models, bare)
    coded = Path(shutil.copytree(models["reward"], tmp_path / "coded"))
    config = json.loads((coded / "config.json").read_text())
    config["auto_map"] = {"AutoModelForSequenceClassification": "own.Own"}
    (coded / "config.json").write_text(json.dumps(config))
    (coded / "own.py").write_text("import a_package_nobody_has\n\n\nclass Own:\n    pass\n")
    said = refused(models, coded, trust_remote_code=True)
    assert "needs a package that is not installed" in said
    assert "a_package_nobody_has" in said


def test_it_keeps_the_contract_of_a_strategy(models: dict[str, Any]) -> None:
    check_strategy(ETA, settings=models)


def test_a_model_that_cannot_prefill_and_a_run_without_a_reward_model_are_refused(
    models: dict[str, Any], tmp_path: Path
) -> None:
    with plugins.use(host_of(ETA, fake_provider("x"), fake_task(), fake_judge())):
        with pytest.raises(HarnessError, match="it does not support prefill"):
            harness.run("fake/any", "fake", strategy="eta", strategy_settings=models, output=tmp_path / "run")
        with pytest.raises(HarnessError, match="needs a reward model"):
            harness.run("fake/any", "fake", strategy="eta", output=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_its_models_are_known_by_their_files_wherever_they_lie(models: dict[str, Any], tmp_path: Path) -> None:
    import shutil

    def identify(reward: str) -> Any:
        spec = ModelSpec(ref="fake/x", strategy="eta", strategy_settings={**models, "reward": reward})
        return resolve(spec).requested["strategy"]

    moved = shutil.copytree(models["reward"], tmp_path / "moved")
    other = shutil.copytree(models["reward"], tmp_path / "other")
    (other / "config.json").write_text((other / "config.json").read_text() + "\n")
    with plugins.use(host_of(ETA, fake_provider())):
        assert identify(models["reward"]) == identify(str(moved)) != identify(str(other))
        assert set(identify(models["reward"])["facts"]) == {"reward_sha256", "clip_sha256"}


def test_a_real_model_that_prefills_writes_its_answer_again(models: dict[str, Any], tmp_path: Path) -> None:
    from tests.plugins.tiny_models import save_vlm

    folder = save_vlm(tmp_path / "vlm")
    settings = {**models, "least_reward": 1e9, "unsafe_likeness": -1.0, "candidates": 2, "sentences": 2}
    run = harness.run(
        f"hf/{folder}",
        "mis:mini",
        judge="keyword",
        strategy="eta",
        strategy_settings=settings,
        limit=1,
        max_tokens=8,
        output=tmp_path / "run",
        probe=False,
    )
    import json

    line = json.loads((tmp_path / "run/mis/responses.jsonl").read_text())
    assert line["text"].startswith(PREFIX)
    assert 3 <= line["calls"] <= 5
    assert run.results["model"]["strategy"]["name"] == "eta"
