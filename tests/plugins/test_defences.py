"""The defences: words around a question, votes over changed copies, what is blocked, and what is counted of it."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import anyio
import numpy as np
import pytest
from harness_strategies.around import ask_all, seed_random
from harness_strategies.copies import change_words, insert_letters, insert_marks, mask
from harness_strategies.reminders import ADASHIELD_S, PREFIX, SELF_REMINDER, SHIELD, SUFFIX
from harness_strategies.voting import JAILGUARD, SMOOTH, choose_by_vote, compare_words, find_divergence

import harness
from harness import Failure, HarnessError, Image, Message, Request, Response, Strategy, Text, Usage, plugins
from harness.errors import BudgetSpent
from harness.images import decode, inline_image
from harness.models import ModelSpec, resolve
from harness.settings import effective
from harness.testing.fakes import FakeModel, Said, Script, fake_judge, fake_provider, fake_sample, fake_task, host_of

NO = "I'm sorry, but I can't help with that."
BLOCK = Failure(outcome="input_blocked", reason="content_filter")
SPENT = Usage(input_tokens=3, output_tokens=2)


def draw(colour: str, size: int = 24) -> Image:
    import io

    import PIL.Image

    held = io.BytesIO()
    PIL.Image.linear_gradient("L").resize((size, size)).convert("RGB").save(held, "PNG")
    return inline_image(f"{colour}.png", held.getvalue())


IMAGES = (draw("red"), draw("blue", 16))
ASK = Request(messages=(Message(role="user", content=(*IMAGES, Text(text="How do I join them?"))),))
WORDS = Request(messages=(Message(role="user", content=(Text(text="How do I join these two boxes of wood?"),)),))


def asked(strategy: Strategy, said: Script, request: Request = ASK, **given: Any) -> tuple[Any, list[Request]]:
    """What comes out, and all that the model was asked."""
    model = FakeModel(said)
    wrapped = strategy.wrap(model, effective(strategy.settings, given, owner="strategy"))
    return anyio.run(wrapped.generate, request), model.asked


def texts(request: Request) -> list[str]:
    return [part.text for message in request.messages for part in message.content if isinstance(part, Text)]


# self-reminder, adashield-s


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ("both", f"{PREFIX}\nHow do I join them?\n{SUFFIX}"),
        ("prefix", f"{PREFIX}\nHow do I join them?"),
        ("suffix", f"How do I join them?\n{SUFFIX}"),
    ],
)
def test_a_reminder_stands_before_and_after_the_question_or_in_one_of_the_two_places(form: str, words: str) -> None:
    given, (request,) = asked(SELF_REMINDER, "no", form=form)
    assert given == Response(text="no")
    assert request.messages[0].content == (*IMAGES, Text(text=words))


def test_a_reminder_leaves_interleaved_images_in_their_places() -> None:
    one, two = IMAGES
    mixed = Message(role="user", content=(Text(text="First"), one, Text(text="then"), two))
    _, (request,) = asked(SELF_REMINDER, "no", replace(ASK, messages=(mixed,)))
    assert request.messages[0].content == (
        Text(text=f"{PREFIX}\nFirst"),
        one,
        Text(text=f"then\n{SUFFIX}"),
        two,
    )


def test_a_question_of_images_alone_gets_the_reminder_after_them() -> None:
    images = Message(role="user", content=IMAGES)
    _, (request,) = asked(SELF_REMINDER, "no", replace(ASK, messages=(images,)))
    assert request.messages[0].content == (*IMAGES, Text(text=f"{PREFIX}\n{SUFFIX}"))


def test_of_a_dialogue_only_the_turn_that_is_asked_is_wrapped() -> None:
    earlier = (
        Message(role="user", content=(Text(text="Hello."),)),
        Message(role="assistant", content=(Text(text="Hello!"),)),
    )
    _, (request,) = asked(SELF_REMINDER, "no", replace(ASK, messages=(*earlier, *ASK.messages)))
    assert request.messages[:2] == earlier
    assert texts(request)[2].startswith(PREFIX)


def test_the_users_file_says_where_the_question_stands(tmp_path: Path) -> None:
    file = tmp_path / "reminder.txt"
    file.write_text("Take care.\n{}\nTake care again.\n")
    _, (request,) = asked(SELF_REMINDER, "no", prompt=file)
    assert texts(request) == ["Take care.\nHow do I join them?\nTake care again."]
    with pytest.raises(HarnessError, match="form"):
        asked(SELF_REMINDER, "no", prompt=file, form="prefix")


@pytest.mark.parametrize("words", ["Take care.", "{} and {}", " "])
def test_a_file_without_one_place_for_the_question_is_refused(tmp_path: Path, words: str) -> None:
    (tmp_path / "reminder.txt").write_text(words)
    with pytest.raises(HarnessError):
        asked(SELF_REMINDER, "no", prompt=tmp_path / "reminder.txt")


def test_the_shield_stands_after_the_question_which_follows_it_once_more() -> None:
    _, (twice,) = asked(ADASHIELD_S, "no")
    _, (once,) = asked(ADASHIELD_S, "no", form="once")
    question = "How do I join them?"
    assert texts(twice) == [f"{question}\n\n{SHIELD}\n\n{question}"]
    assert texts(once) == [f"{question}\n\n{SHIELD}"]
    assert twice.images == once.images == IMAGES


def test_the_shield_takes_the_users_words(tmp_path: Path) -> None:
    (tmp_path / "shield.txt").write_text("Look twice.\n")
    _, (request,) = asked(ADASHIELD_S, "no", prompt=tmp_path / "shield.txt", form="once")
    assert texts(request) == ["How do I join them?\n\nLook twice."]


# copies


def test_the_same_request_gives_the_same_copies_and_another_seed_others() -> None:
    _, one = asked(SMOOTH, "ok")
    _, two = asked(SMOOTH, "ok")
    _, other = asked(SMOOTH, "ok", replace(ASK, settings=replace(ASK.settings, seed=7)))
    shown = [[image.opened.sha256 for request in each for image in request.images] for each in (one, two, other)]
    assert shown[0] == shown[1]
    assert not set(shown[0]) & set(shown[2])
    assert len(set(shown[0])) == len(shown[0]) == 10, "each image of each copy is drawn by itself"


def test_a_mask_hides_the_share_of_pixels_that_is_asked_for() -> None:
    import PIL.Image

    masked = np.array(mask(PIL.Image.new("RGB", (100, 100), "white"), Random(1), 0.3))
    assert 0.27 < (masked.sum(axis=2) == 0).mean() < 0.33
    assert set(np.unique(masked)) == {0, 255}


def test_noise_has_the_standard_deviation_that_is_asked_for() -> None:
    grey = draw("grey", 64)
    _, (request,) = asked(SMOOTH, "ok", replace(ASK, messages=(Message(role="user", content=(grey,)),)), copies=1,
                          change="noise", share=0.1)  # fmt: skip
    from harness.images import open_image

    before, after = (np.array(decode(open_image(image).opened)).astype(float) for image in (grey, request.images[0]))
    middle = (before > 80) & (before < 175)  # nothing is cut off there
    assert abs((after - before)[middle].std() / 255 - 0.1) < 0.01


def test_marks_and_letters_are_put_in_and_nothing_is_taken_away() -> None:
    text = "Mix the paint. Then wait an hour. Then paint the wall, and wait. At last paint the door." * 5
    for seed in range(20):
        marked, lettered = insert_marks(text, Random(seed)), insert_letters(text, Random(seed))
        assert [word for word in marked.split(" ") if word not in ".;?:!,"] == text.split(" ")
        assert len(lettered) > len(text)
        left = iter(lettered)
        assert all(letter in left for letter in text), "the text is a subsequence of what comes out"


def test_only_what_the_user_says_is_changed() -> None:
    system = Message(role="system", content=(Text(text="Be brief, be kind, be true."),))
    changed = change_words(Request(messages=(system, *WORDS.messages)), Random(2))
    assert changed.messages[0] == system
    assert changed.messages[1] != WORDS.messages[0]


# jailguard


def reference(matrix: Sequence[Sequence[float]]) -> float:
    """JailGuard's formula with numpy, as its paper and its code have it: rows of similarity as distributions."""
    clipped = np.clip(np.array(matrix), 0.01, None)
    shares = clipped / clipped.sum(axis=1, keepdims=True)
    found = np.array([[np.sum(p * np.log(p / q)) for q in shares] for p in shares])
    np.fill_diagonal(found, 0)
    return float(np.clip(found, None, 100).max())


def test_the_divergence_is_that_of_the_papers_formula() -> None:
    drawn = np.random.default_rng(0)
    for _ in range(20):
        matrix = drawn.random((8, 8))
        np.fill_diagonal(matrix, 1)
        names = [str(n) for n in range(8)]
        ours = find_divergence(names, lambda one, other, matrix=matrix: float(matrix[int(one), int(other)]))  # type: ignore[misc]
        assert math.isclose(ours, reference(matrix.tolist()), rel_tol=1e-12)


def test_two_texts_are_as_similar_as_the_words_they_share() -> None:
    assert compare_words("A red box.", "a RED box!") == pytest.approx(1)
    assert compare_words("red box", "blue ball") == 0
    assert compare_words("red box", "red ball") == pytest.approx(0.5)
    assert (compare_words("", ""), compare_words("", "x")) == (1.0, 0.0)


def test_a_request_whose_answers_agree_is_asked_as_it_is() -> None:
    given, calls = asked(JAILGUARD, Response(text="Glue them with wood glue.", usage=SPENT))
    assert (given.text, len(calls), calls[-1]) == ("Glue them with wood glue.", 9, ASK)
    assert all(call.images != ASK.images and texts(call) == texts(ASK) for call in calls[:8])
    assert list(given.steps) == [*(f"copy {n}" for n in range(1, 9)), "divergence"]
    assert given.usage == Usage(input_tokens=27, output_tokens=18)


def test_a_request_whose_answers_diverge_is_blocked_and_not_asked() -> None:
    said: list[Said] = [Response(text="Sure, first you take the glue.", usage=SPENT)] * 7
    given, calls = asked(JAILGUARD, [*said, Response(text="No!", usage=SPENT)])
    assert isinstance(given, Failure)
    assert (given.outcome, given.reason, len(calls)) == ("input_blocked", "defence", 8)
    assert "diverge by" in given.message
    assert given.steps["copy 8"] == "No!"
    assert given.usage == Usage(input_tokens=24, output_tokens=16)


def test_a_request_that_all_copies_refuse_is_blocked_a_providers_block_among_them() -> None:
    given, _ = asked(JAILGUARD, NO)
    assert (given.outcome, given.message) == ("input_blocked", "jailguard: all 8 changed copies are refused")
    given, _ = asked(JAILGUARD, BLOCK)
    assert (given.reason, given.steps["copy 1"]) == ("defence", "[input_blocked: content_filter]")


def test_a_copy_that_fails_ends_the_sample_as_it_failed() -> None:
    broken = Failure(outcome="error", reason="http_500")
    given, _ = asked(JAILGUARD, ["Glue.", broken])
    assert (given.outcome, given.reason, given.steps["copy 1"]) == ("error", "http_500", "Glue.")


@pytest.mark.parametrize(
    ("mutate", "request_", "images", "words"),
    [
        ("auto", ASK, True, False),
        ("auto", WORDS, False, True),
        ("text", ASK, False, True),
        ("both", ASK, True, True),
        ("images", WORDS, False, True),
    ],
)
def test_images_are_changed_where_there_are_some_and_else_the_text(
    mutate: str, request_: Request, images: bool, words: bool
) -> None:
    _, calls = asked(JAILGUARD, "Glue.", request_, mutate=mutate)
    copies = calls[:8]
    assert any(copy.images != request_.images for copy in copies) is images
    assert any(texts(copy) != texts(request_) for copy in copies) is words


def test_the_threshold_is_the_users_or_that_of_the_similarity() -> None:
    said: list[Said] = ["one two three four"] * 4 + ["one two three five"] * 4
    lenient, _ = asked(JAILGUARD, [*said, "last"])
    strict, _ = asked(JAILGUARD, [*said, "last"], threshold=0.001)
    assert (lenient.text, strict.reason) == ("last", "defence")


def test_spacys_similarity_is_refused_before_the_run_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(HarnessError, match="en_core_web_md"):
        asked(JAILGUARD, "x", similarity="spacy")


def test_the_versions_of_spacy_and_its_model_are_part_of_the_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    versions = {"spacy": "3.8.1", "en_core_web_md": "3.8.0"}

    def find_version(name: str) -> str:
        if name not in versions:
            raise metadata.PackageNotFoundError(name)
        return versions[name]

    def identify(similarity: str) -> Any:
        spec = ModelSpec(ref="fake/x", strategy="jailguard", strategy_settings={"similarity": similarity})
        return resolve(spec).requested["strategy"]

    monkeypatch.setattr(metadata, "version", find_version)
    with plugins.use(host_of(JAILGUARD, fake_provider("x"))):
        assert "facts" not in identify("words")
        assert identify("spacy")["facts"] == versions
        del versions["en_core_web_md"]
        with pytest.raises(HarnessError, match="needs spaCy with its model en_core_web_md"):
            identify("spacy")


def test_spacys_similarity_is_taken_from_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import SimpleNamespace

    asked_of: list[str] = []

    class Doc:
        def __init__(self, text: str) -> None:
            self.text = text

        def similarity(self, other: "Doc") -> float:
            return 1.0 if self.text == other.text else 0.5

    def load(name: str) -> Any:
        asked_of.append(name)
        return Doc

    monkeypatch.setitem(sys.modules, "spacy", SimpleNamespace(load=load))
    given, _ = asked(JAILGUARD, ["one"] * 7 + ["two", "last"], similarity="spacy")
    matrix = [[1.0 if (one == 7) == (other == 7) else 0.5 for other in range(8)] for one in range(8)]
    assert asked_of == ["en_core_web_md"]
    assert given.steps["divergence"] == f"{reference(matrix):.4f}"
    assert given.reason == "defence", "it is more than 0.025"


# smooth


def by_turns(*said: Said) -> list[Said]:
    return list(said)


@pytest.mark.parametrize(
    ("said", "text", "vote"),
    [
        (by_turns(NO, "Glue.", NO, "Tape.", "Nails."), "Glue.", "2 of 5 refuse"),
        (by_turns("Glue.", NO, NO, NO, "Tape."), NO, "3 of 5 refuse"),
        (by_turns("Glue.", BLOCK, BLOCK, NO, "Tape."), NO, "3 of 5 refuse"),
    ],
)
def test_the_majority_answers_and_a_block_counts_as_a_refusal(said: list[Said], text: str, vote: str) -> None:
    given, calls = asked(SMOOTH, said)
    assert (given.text, given.steps["vote"], len(calls)) == (text, vote, 5)


@pytest.mark.parametrize("refuses", [False, True])
def test_a_blank_reply_does_not_speak_for_a_majority_that_answered(refuses: bool) -> None:
    replies = [Response(text=" "), Response(text="A cat."), Response(text="I'm sorry, I can't help with that.")]
    calls = replies if refuses else replies[:2]
    steps: dict[str, str] = {}
    assert choose_by_vote(calls, steps) is replies[1]
    assert steps["vote"] == f"{int(refuses)} of {len(calls)} refuse"


def test_half_of_the_votes_are_enough_to_refuse() -> None:
    given, _ = asked(SMOOTH, ["Glue.", NO, "Tape.", NO], copies=4)
    assert given.text == NO


def test_where_all_who_refuse_were_blocked_the_sample_is_blocked_by_the_provider() -> None:
    given, _ = asked(SMOOTH, ["Glue.", BLOCK, BLOCK, BLOCK, "Tape."])
    assert (given.outcome, given.reason) == ("input_blocked", "content_filter")


def test_a_request_without_images_is_asked_once_as_it_is() -> None:
    given, calls = asked(SMOOTH, "Glue.", WORDS)
    assert (given, calls) == (Response(text="Glue."), [WORDS])
    assert SMOOTH.calls is not None
    values = effective(SMOOTH.settings, {}, owner="strategy")
    assert (SMOOTH.calls(WORDS, values), SMOOTH.calls(ASK, values)) == ((1, 1), (5, 5))


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(HarnessError, match="share"):
        asked(SMOOTH, "x", share=2.0)


@pytest.mark.parametrize("strategy", [JAILGUARD, SMOOTH], ids=lambda strategy: strategy.name)
def test_an_image_whose_pixels_cannot_be_read_is_a_bad_sample_and_ends_no_run(strategy: Strategy) -> None:
    torn = bytearray(draw("red").files.read("red.png"))
    at = torn.index(b"IDAT") + 4
    torn[at : at + 8] = b"\0" * 8
    message = Message(role="user", content=(inline_image("torn.png", bytes(torn)), Text(text="What is it?")))
    given, calls = asked(strategy, "x", Request(messages=(message,)))
    assert (given.outcome, given.reason, calls) == ("bad_sample", "unreadable", [])


# in a run


def test_what_a_defence_blocks_counts_as_a_block_and_its_calls_and_tokens_are_kept(tmp_path: Path) -> None:
    answers = iter(["Sure, first you take the glue."] * 7 + ["No!"])
    host = host_of(
        JAILGUARD,
        fake_provider(lambda _: Response(text=next(answers), usage=SPENT)),
        fake_task(lambda: [fake_sample(text=texts(WORDS)[0])]),
        fake_judge(),
    )
    for _ in range(2):  # the second run finds the block and asks nothing
        with plugins.use(host):
            run = harness.run("fake/any", "fake", strategy="jailguard", output=tmp_path / "run", probe=False)
    (line,) = map(json.loads, (tmp_path / "run/fake/responses.jsonl").read_text().splitlines())
    assert (line["outcome"], line["reason"], line["calls"]) == ("input_blocked", "defence", 8)
    split = run.results["tasks"]["fake"]["splits"]["all"]
    assert split["outcomes"]["input_blocked"] == 1
    assert (
        run.results["usage"]["model"] | {"calls": 8, "input_tokens": 24, "output_tokens": 16}
        == (run.results["usage"]["model"])
    )


def test_a_spent_budget_ends_the_calls_that_are_sent_at_once_without_a_group_of_errors() -> None:
    class Poor(FakeModel):
        async def generate(self, request: Request) -> Response | Failure:
            raise BudgetSpent("no dollars are left")

    async def ask() -> None:
        await ask_all(Poor(), [ASK, ASK])

    with pytest.raises(BudgetSpent):
        anyio.run(ask)


def test_random_numbers_are_those_of_the_request_and_the_salt() -> None:
    drawn = Counter(seed_random(request, salt).random() for request in (ASK, WORDS, ASK) for salt in "ab")
    assert sorted(drawn.values()) == [1, 1, 2, 2]


def test_a_strategy_that_needs_what_the_model_cannot_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    asks: list[Request] = []

    def answer(request: Request) -> Response:
        asks.append(request)
        return Response(text="ok")

    needy = Strategy(
        name="needy",
        version="1",
        description="needs prefill",
        wrap=lambda model, _: model,
        needs=frozenset({"prefill"}),
    )
    with (
        plugins.use(host_of(needy, fake_provider(answer), fake_task(), fake_judge())),
        pytest.raises(HarnessError, match="strategy needy cannot be put around fake/any: it does not support prefill"),
    ):
        harness.run("fake/any", "fake", strategy="needy", output=tmp_path / "run")
    assert (asks, list((tmp_path / "run").glob("*/responses.jsonl"))) == ([], [])
    with (
        plugins.use(host_of(needy, fake_provider(answer))),
        pytest.raises(HarnessError, match="does not support prefill"),
    ):
        resolve(ModelSpec(ref="fake/any", strategy="needy")).wrap(FakeModel())
