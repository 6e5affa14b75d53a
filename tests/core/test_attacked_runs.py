"""An attack in a run: what is asked, what judges read, what is stored, and what is refused before anything is spent."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

import anyio
import jsonschema
import pytest
from click.testing import CliRunner

import harness
from harness import hookimpl, plugins
from harness.attacks import NOT_TAKEN, AttackSpec, ResolvedAttack, resolve_attack
from harness.batches import queue as queues
from harness.board.leaderboard import boards
from harness.board.published import find_references
from harness.cli import cli
from harness.contracts import Attack, Attacked, Judge, Model, ModelInfo, Rubric, Strategy, Variant
from harness.drawings import draw, png
from harness.errors import HarnessError, IdentityMismatch, UnknownName
from harness.evaluation.options import Options
from harness.evaluation.plan import survey_samples
from harness.images import draw_image
from harness.limits import Policy
from harness.models import ModelSpec
from harness.replicas.wire import request_to_json
from harness.runs.comparing.compare import compare
from harness.runs.dry_run import dry_run
from harness.runs.merging import merge_shards
from harness.runs.rerun import plan_rerun
from harness.runs.run import Run, default_folder, judge_async, run_async
from harness.runs.verification import verify_run
from harness.testing.conformance import NotConforming, check_attack
from harness.testing.fakes import fake_image, fake_judge, fake_provider, fake_sample, fake_task, host_of
from harness.types import (
    Failure,
    Image,
    Message,
    Request,
    Response,
    Role,
    Sample,
    Setting,
    Settings,
    Text,
    Usage,
    Verdict,
)
from tests.batching import OpenAIBatchServer

SIGN = draw_image("sign.png", png(draw("red", "ring", Random(1), 32)))
LOUD = Setting(name="loud", type=bool, default=False, identity=True, help="in capitals")
SEED = Setting(name="seed", type=int, default=0, identity=True, help="of its chance")


def add_sign(sample: Sample, settings: Settings, variant: Variant) -> Attacked:
    """A sign before the question, and a random word after it."""
    (turn,) = sample.request.messages
    word = Text(text=str(variant.random().random()))
    parts = (
        SIGN,
        *(Text(text=p.text.upper()) if isinstance(p, Text) and settings["loud"] else p for p in turn.content),
    )
    return Attacked(
        request=replace(sample.request, messages=(Message(role="user", content=(*parts, word)),)), notes=("a sign",)
    )


SIGNED = Attack(
    name="signed",
    version="3",
    description="a sign before it",
    apply=add_sign,
    check=lambda sample, _: "it is about bees" if "bees" in str(sample.request) else "",
    images=lambda sample, _: len(sample.request.images) + 1,
    facts=lambda _: {"ink": "red"},
    settings=(LOUD, SEED),
)


class Asked:
    """A model that keeps what it is asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> str:
        self.requests.append(request)
        return "yes"

    @property
    def texts(self) -> list[str]:
        return [
            part.text for request in self.requests for part in request.messages[-1].content if isinstance(part, Text)
        ]


def asks_back() -> Judge:
    """A judge that asks a model about the whole question, images included."""

    def ask(sample: Sample, response: Response) -> list[Request]:
        (*_, turn) = sample.request.messages
        return [Request(messages=(Message(role="user", content=(*turn.content, Text(text=response.text))),))]

    rubric = Rubric(
        identity={}, labels=("unsafe", "safe"), ask=ask, read=lambda *_: Verdict(label="unsafe"), sees=("question",)
    )
    return Judge(name="back", version="1", description="asks", open=lambda _s, _r: rubric, needs=frozenset({"images"}))


QUESTIONS = {"a": "one", "b": "two", "c": "three", "d": "four"}


def samples(images: int = 1, questions: dict[str, str] = QUESTIONS) -> Callable[[], list[Sample]]:
    return lambda: [fake_sample(name, text=text, images=images) for name, text in questions.items()]


def hosted(asked: Callable[[Request], Any], *more: object, images: int = 1, **fields: Any) -> Any:
    task = fields.pop("task", None) or fake_task(samples(images, fields.pop("questions", QUESTIONS)), images=None)
    info = fields.pop("info", None)
    return host_of(fake_provider(asked, info=info), task, fake_judge(), fields.pop("attack", SIGNED), *more)


def go(
    folder: Path,
    asked: Callable[[Request], Any],
    *more: object,
    attack: str = "signed",
    given: Any = None,
    **fields: Any,
) -> Run:
    """A run of four samples, under the attack."""
    own = {name: fields.pop(name) for name in ("images", "questions", "info", "task") if name in fields}
    descriptor = fields.pop("descriptor", SIGNED)
    spec = AttackSpec(name=attack, settings=given or {})
    how: dict[str, Any] = {"model": ModelSpec(ref="fake/one"), "policy": Policy(tries=1), **fields}
    options = Options(tasks=("fake",), output=folder, probe=False, attack=spec, **how)
    with plugins.use(hosted(asked, *more, attack=descriptor, **own)):
        return anyio.run(partial(run_async, options))


def read_lines(folder: Path, name: str = "responses.jsonl") -> list[dict[str, Any]]:
    return sorted(
        (json.loads(line) for line in (folder / "fake" / name).read_text("utf-8").splitlines()),
        key=lambda each: (each["id"], each["epoch"]),
    )


def test_the_model_is_asked_what_the_attack_makes_and_the_line_holds_both(tmp_path: Path) -> None:
    asked = Asked()
    go(tmp_path, asked, given={"loud": True})
    assert {request.images[0].opened.sha256 for request in asked.requests} == {SIGN.opened.sha256}
    assert {"ONE", "TWO"} <= set(asked.texts)
    line = read_lines(tmp_path)[0]
    assert [part.get("image") or part["text"] for part in line["prompt"]][:3] == ["sign.png", "a-0.png", "ONE"]
    assert [part.get("image") or part["text"] for part in line["attack"]["question"]] == ["a-0.png", "one"]
    assert line["attack"]["notes"] == ["a sign"]


def test_a_judge_reads_the_original_question_by_the_digest_of_its_prompt(tmp_path: Path) -> None:
    digests = []
    for attack in ("", "signed"):
        task = fake_task(samples(), judges={"back": {}}, images=None)
        go(tmp_path / f"to{attack}", Asked(), asks_back(), attack=attack, task=task, judges=("back=fake/judge",))
        (file,) = (tmp_path / f"to{attack}" / "fake").glob("verdicts-*.jsonl")
        digests.append([line["asked"] for line in read_lines(tmp_path / f"to{attack}", file.name)])
    assert digests[0] == digests[1]
    assert len(digests[0]) == 4


def test_the_system_message_of_the_run_is_not_attacked(tmp_path: Path) -> None:
    asked = Asked()
    go(tmp_path, asked, system="be brief", given={"loud": True})
    system = Message(role="system", content=(Text(text="be brief"),))
    assert [request.messages[0] for request in asked.requests] == [system] * 4
    assert [text for text in asked.texts if text in ("ONE", "TWO", "THREE", "FOUR")], "what the task asks is attacked"


def test_the_attack_is_part_of_run_json_of_results_and_of_each_key_and_names_the_folder(tmp_path: Path) -> None:
    plain, attacked = go(tmp_path / "plain", Asked(), attack=""), go(tmp_path / "signed", Asked())
    identity = {"name": "signed", "version": "3", "settings": {"loud": False, "seed": 0}, "facts": {"ink": "red"}}
    run = json.loads((attacked.folder / "run.json").read_text("utf-8"))
    assert run["model"]["attack"] == run["identity"]["attack"] == attacked.results["model"]["attack"] == identity
    assert "attack" not in json.loads((plain.folder / "run.json").read_text("utf-8"))["model"]
    keys = [{line["key"] for line in read_lines(run.folder)} for run in (plain, attacked)]
    assert not keys[0] & keys[1]
    with plugins.use(hosted(Asked())):
        options = Options(model=ModelSpec(ref="fake/one"), tasks=("fake",))
        folders = {
            default_folder(replace(options, attack=AttackSpec(name=name, settings=given)))
            for name, given in (("", {}), ("signed", {}), ("signed", {"loud": True}))
        }
    assert len(folders) == 3


@pytest.mark.parametrize(("first", "second"), [("", "signed"), ("signed", "")])
def test_a_folder_of_another_attack_is_refused_also_by_a_dry_run(first: str, second: str, tmp_path: Path) -> None:
    go(tmp_path, Asked(), attack=first)
    with pytest.raises(IdentityMismatch, match="attack"):
        go(tmp_path, Asked(), attack=second)
    options = Options(model=ModelSpec(ref="fake/one"), tasks=("fake",), output=tmp_path, attack=AttackSpec(name=second))
    with plugins.use(hosted(Asked())), pytest.raises(IdentityMismatch, match="attack"):
        dry_run(options)


def test_each_epoch_is_another_variant_and_a_second_run_asks_the_same(tmp_path: Path) -> None:
    go(tmp_path / "one", Asked(), epochs=3)
    go(tmp_path / "two", Asked(), epochs=3)
    prompts = [[line["prompt"][-1]["text"] for line in read_lines(tmp_path / name)] for name in ("one", "two")]
    assert prompts[0] == prompts[1]
    assert len(set(prompts[0])) == 12
    go(tmp_path / "three", Asked(), epochs=3, given={"seed": 1})
    assert not set(prompts[0]) & {line["prompt"][-1]["text"] for line in read_lines(tmp_path / "three")}


def test_a_resumed_run_asks_only_what_is_left_and_the_same(tmp_path: Path) -> None:
    go(tmp_path / "whole", Asked())
    go(tmp_path / "part", Asked(), limit=2)
    asked = Asked()
    go(tmp_path / "part", asked)
    assert len(asked.requests) == 2
    prompts = [[line["prompt"] for line in read_lines(tmp_path / name)] for name in ("whole", "part")]
    assert prompts[0] == prompts[1]


def test_shards_and_their_merge_hold_what_one_run_holds(tmp_path: Path) -> None:
    whole = go(tmp_path / "whole", Asked())
    for number in range(2):
        go(tmp_path / "run", Asked(), shard=(number, 2))
    with plugins.use(hosted(Asked())):
        merge_shards(tmp_path / "run")
        assert verify_run(tmp_path / "run").state == "same"
    lines = [
        [{k: line[k] for k in ("id", "key", "prompt", "attack")} for line in read_lines(folder)]
        for folder in (whole.folder, tmp_path / "run")
    ]
    assert lines[0] == lines[1]


def test_stored_answers_are_judged_later_without_the_attack_being_installed(tmp_path: Path) -> None:
    go(tmp_path, Asked(), phases="answers")
    host = host_of(fake_provider("no"), fake_task(samples(), images=None), fake_judge())
    from harness.evaluation.options import JudgeOptions

    with plugins.use(host):
        run = anyio.run(partial(judge_async, tmp_path, JudgeOptions(judges=("fake",))))
    assert run.results["tasks"]["fake"]["splits"]["all"]["labels"] == {"unsafe": 4}


def test_an_attacked_run_is_repeated_by_its_own_options(tmp_path: Path) -> None:
    go(tmp_path / "run", Asked(), given={"loud": True})
    with plugins.use(hosted(Asked())):
        (step,) = plan_rerun(tmp_path / "run").steps
    assert isinstance(step.options, Options)
    assert step.options.attack == AttackSpec(name="signed", settings={"loud": True})


def test_a_comparison_pairs_the_samples_and_says_that_the_attack_differs(tmp_path: Path) -> None:
    go(tmp_path / "plain", lambda _: "no", attack="")
    go(tmp_path / "signed", lambda _: "yes")
    with plugins.use(hosted(Asked())):
        found = compare(tmp_path / "plain", tmp_path / "signed")
    assert found.mismatches == ()
    assert [(each.what, each.baseline, each.other) for each in found.differing] == [
        ("the attack", "", "signed 3 (loud=False, seed=0)")
    ]
    (split,) = found.splits
    assert split.changes["ASR"].paired.difference == 100.0


def test_the_samples_that_it_cannot_take_end_as_bad_sample_are_named_and_ask_nothing(tmp_path: Path) -> None:
    asked = Asked()
    run = go(tmp_path, asked, questions={**QUESTIONS, "e": "bees", "f": "more bees"})
    outcomes = {line["id"]: (line["outcome"], line.get("reason", "")) for line in read_lines(tmp_path)}
    assert outcomes["e"] == outcomes["f"] == ("bad_sample", NOT_TAKEN)
    assert (outcomes["a"][0], len(asked.requests), run.exit_code) == ("answered", 4, 3)
    assert (
        "attack signed cannot take 2 of 6 samples of fake:all, which end as bad_sample: it is about bees (e, f)"
        in run.notes
    )
    assert run.results["tasks"]["fake"]["splits"]["all"]["metrics"]["ASR"]["denominator"] == 4


def test_a_split_of_which_it_can_take_nothing_is_listed_in_a_second_and_names_three_samples() -> None:
    many = [fake_sample(str(number), text="bees") for number in range(20_000)]
    start = process_time()
    found = survey_samples(many, None, None, ResolvedAttack(attack=SIGNED, settings={}, identity={}))
    assert process_time() - start < 3
    assert (found.refused, dict(found.named)) == (20_000, {"it is about bees": ("0", "1", "2")})


def test_a_split_of_which_it_can_take_nothing_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    asked = Asked()
    with pytest.raises(HarnessError, match=r"attack signed can take no sample of fake:all: it is about bees \(e\)"):
        go(tmp_path, asked, questions={"e": "bees"})
    assert (asked.requests, (tmp_path / "run.json").exists()) == ([], False)


@pytest.mark.parametrize("broken", ["check", "images"])
def test_an_attack_that_fails_while_samples_are_listed_is_named_and_not_the_task(broken: str, tmp_path: Path) -> None:
    def fail(_sample: Sample, _settings: Settings) -> Any:
        raise ValueError("no such sign")

    with pytest.raises(HarnessError) as caught:
        go(tmp_path, Asked(), descriptor=replace(SIGNED, **{broken: fail}))
    assert f"{broken} of attack 'signed': ValueError: no such sign" in str(caught.value)
    assert "its task" not in str(caught.value)
    assert not (tmp_path / "run.json").exists()


def test_what_an_attack_does_to_the_sample_and_the_settings_it_is_given_reaches_no_line_and_no_other_sample(
    tmp_path: Path,
) -> None:
    seen: list[Any] = []

    def change(sample: Sample, given: Any, _variant: Variant) -> Attacked:
        seen.append(given["seed"])
        given["seed"] = 5
        object.__setattr__(sample, "id", "other")
        return Attacked(request=sample.request)

    go(tmp_path, Asked(), descriptor=replace(SIGNED, apply=change))
    assert [line["id"] for line in read_lines(tmp_path)] == ["a", "b", "c", "d"]
    assert seen == [0, 0, 0, 0]


@pytest.mark.parametrize("fact", [object(), float("nan")])
def test_facts_that_are_no_json_are_refused_with_the_name_of_the_attack(fact: Any, tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="attack signed: its facts cannot be written as JSON"):
        go(tmp_path, Asked(), descriptor=replace(SIGNED, facts=lambda _: {"ink": fact}))
    assert not (tmp_path / "run.json").exists()


def test_a_model_is_refused_for_the_images_that_the_attack_shows(tmp_path: Path) -> None:
    one = ModelInfo(ref="fake/one", endpoint="fake", max_images=1)
    with pytest.raises(HarnessError, match="shows 2 images at once; fake/one takes 1"):
        go(tmp_path / "more", Asked(), info=one)
    none = replace(one, max_images=0, can=frozenset({"system"}))
    gone = replace(SIGNED, apply=take_images_away, images=lambda *_: 0)
    assert go(tmp_path / "fewer", Asked(), info=none, descriptor=gone).exit_code == 0


def take_images_away(sample: Sample, _settings: Settings, _variant: Variant) -> Attacked:
    (turn,) = sample.request.messages
    words = tuple(part for part in turn.content if isinstance(part, Text))
    return Attacked(request=replace(sample.request, messages=(replace(turn, content=words),)))


def describe_first(sample: Sample, _settings: Settings) -> list[Request]:
    return [
        Request(messages=(Message(role="user", content=(image, Text(text="describe"))),))
        for image in sample.request.images
    ]


def use_replies(sample: Sample, _settings: Settings, variant: Variant) -> Attacked:
    return Attacked(
        request=Request(messages=(Message(role="user", content=(Text(text=" and ".join(variant.replies)),)),))
    )


ASKING = replace(
    SIGNED,
    apply=use_replies,
    ask=describe_first,
    calls=lambda sample, _: len(sample.request.images),
    images=lambda *_: 1,
)


def test_what_it_asks_first_is_counted_kept_as_steps_and_given_to_it(tmp_path: Path) -> None:
    asked = Asked()
    run = go(tmp_path, asked, images=2, descriptor=ASKING)
    line = read_lines(tmp_path)[0]
    assert (len(asked.requests), line["calls"], line["steps"]) == (12, 3, {"attack 1": "yes", "attack 2": "yes"})
    assert line["prompt"] == [{"role": "user", "text": "yes and yes"}]
    assert run.results["usage"]["model"]["calls"] == 12
    options = Options(
        model=ModelSpec(ref="fake/one"), tasks=("fake",), output=tmp_path / "new", attack=AttackSpec(name="signed")
    )
    with plugins.use(hosted(Asked(), images=2, attack=ASKING)):
        assert dry_run(options).loads[0].calls == 12


def test_a_first_question_that_fails_ends_the_sample_as_it_failed(tmp_path: Path) -> None:
    blocked = Failure(outcome="input_blocked", reason="content_filter")
    go(tmp_path, lambda request: blocked if "describe" in str(request) else "yes", images=2, descriptor=ASKING)
    assert {(line["outcome"], line["reason"]) for line in read_lines(tmp_path)} == {("input_blocked", "content_filter")}


def test_a_first_question_that_fails_leaves_the_original_in_the_line_so_that_the_run_still_compares(
    tmp_path: Path,
) -> None:
    blocked = Failure(outcome="input_blocked", reason="content_filter")
    go(tmp_path / "plain", lambda _: "yes", images=2, attack="")
    go(tmp_path / "asking", lambda asked: blocked if "describe" in str(asked) else "yes", images=2,
       descriptor=ASKING, limit=3)  # fmt: skip
    line = read_lines(tmp_path / "asking")[0]
    plain = next(each for each in read_lines(tmp_path / "plain") if each["id"] == line["id"])
    assert line["prompt"][-1]["text"] == "describe"
    with plugins.use(hosted(Asked(), images=2, attack=ASKING)):
        assert compare(tmp_path / "plain", tmp_path / "asking").mismatches == ()
    assert line["attack"] == {"question": plain["prompt"], "notes": []}


def broken(*_: Any) -> Attacked:
    raise ValueError("no ink")


def test_an_attack_that_raises_costs_its_samples_alone_and_is_named(tmp_path: Path) -> None:
    run = go(tmp_path, Asked(), descriptor=replace(SIGNED, apply=broken))
    assert {(line["outcome"], line["reason"]) for line in read_lines(tmp_path)} == {("error", "attack_failed")}
    assert any("apply of attack 'signed': ValueError: no ink" in note for note in run.notes)


@pytest.mark.parametrize(
    ("apply", "said"),
    [
        (lambda *_: None, "returned None, not Attacked"),
        (lambda sample, *_: Attacked(request=sample), "an Attacked with a Sample, not a Request"),
        (lambda *_: Attacked(request=Request(messages=())), "whose messages are"),
        (
            lambda *_: Attacked(request=Request(messages=(Message(role="user", content=(fake_image(),)),))),
            "whose image 'pixel.png' is not open",
        ),
        (lambda sample, *_: Attacked(request=sample.request, notes="a"), "whose notes are 'a'"),  # type: ignore[arg-type]
    ],
)
def test_what_an_attack_gives_is_checked_at_its_plugin(apply: Any, said: str, tmp_path: Path) -> None:
    go(tmp_path, Asked(), descriptor=replace(SIGNED, apply=apply))
    assert [said in line["message"] for line in read_lines(tmp_path)] == [True] * 4


def test_an_unknown_attack_a_setting_without_one_and_an_unreadable_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="no attack is called 'sined'"):
        go(tmp_path, Asked(), attack="sined")
    with pytest.raises(HarnessError, match="-A gives a setting of an attack, but there is no attack"):
        go(tmp_path, Asked(), attack="", given={"loud": True})
    with pytest.raises(UnknownName, match="attack signed has no setting 'lout'"):
        go(tmp_path, Asked(), given={"lout": True})
    file = Setting(name="file", type=Path, default=None, identity=True, help="a file")
    with pytest.raises(HarnessError, match="-A file: the file cannot be read"):
        go(tmp_path, Asked(), given={"file": tmp_path / "none"}, descriptor=replace(SIGNED, settings=(file, LOUD)))


def test_a_file_of_an_attack_is_known_by_its_content_wherever_it_lies(tmp_path: Path) -> None:
    file = Setting(name="file", type=Path, default=None, identity=True, help="a file")
    found = []
    for place, text in (("one", "ink"), ("two", "ink"), ("three", "other")):
        (tmp_path / place).write_text(text, "utf-8")
        with plugins.use(hosted(Asked(), attack=replace(SIGNED, settings=(file,)))):
            attack = resolve_attack(AttackSpec(name="signed", settings={"file": tmp_path / place}))
        assert attack is not None
        found.append(attack.identity)
    assert found[0] == found[1] != found[2]


def test_epochs_that_ask_the_same_again_are_noted(tmp_path: Path) -> None:
    run = go(tmp_path, Asked(), epochs=2, descriptor=replace(SIGNED, variants=1))
    assert "attack signed changes a sample once: --epochs 2 asks the same again" in " ".join(run.notes)


def breach(attack: Attack) -> str:
    with pytest.raises(NotConforming) as found:
        check_attack(attack)
    return str(found.value)


def first_turn(sample: Sample, change: Callable[[Message], Message]) -> Attacked:
    first, *rest = sample.request.messages
    return Attacked(request=replace(sample.request, messages=(change(first), *rest)))


def test_an_attack_that_is_pure_and_says_how_many_images_it_shows_keeps_the_contract() -> None:
    good = Attack(
        name="as-it-is", version="1", description="nothing", apply=lambda s, *_: Attacked(request=s.request), variants=1
    )
    check_attack(good)


def show_sign(sample: Sample, *_: object) -> Attacked:
    return first_turn(sample, lambda turn: replace(turn, content=(SIGN, *turn.content)))


def keep_last_turn(sample: Sample, *_: object) -> Attacked:
    return Attacked(request=replace(sample.request, messages=sample.request.messages[-1:]))


def refuse_open_images(sample: Sample, _settings: Settings) -> str:
    return "open" if any(image.content for image in sample.request.images) else ""


COUNT = iter(range(10_000))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"apply": lambda s, *_: first_turn(s, lambda m: replace(m, content=(Text(text=str(next(COUNT))),)))},
            "gives another request for the same variant",
        ),
        ({"apply": show_sign}, "shows 1 images, and says 0"),
        ({"apply": lambda s, *_: first_turn(s, lambda m: replace(m, content=()))}, "leaves a turn without content"),
        ({"check": lambda *_: "never"}, "can take none of the samples"),
        ({"check": refuse_open_images}, "decides otherwise on unopened images"),
        ({"apply": keep_last_turn}, "changes the turns of a dialogue"),
        ({"variants": None}, "makes one variant alone"),
        ({"calls": lambda *_: 1}, "gives ask or calls, and not both"),
        ({"facts": lambda _: {"a": object()}}, "facts"),
    ],
)  # fmt: skip
def test_an_attack_that_breaks_the_contract_is_named(fields: dict[str, Any], said: str) -> None:
    good = Attack(
        name="as-it-is", version="1", description="nothing", apply=lambda s, *_: Attacked(request=s.request), variants=1
    )
    assert said in breach(replace(good, **fields))


def test_attacks_of_one_name_from_two_plugins_disable_that_name_alone() -> None:
    class Other:
        @hookimpl
        def harness_attacks(self) -> list[Attack]:
            return [SIGNED, replace(SIGNED, name="other")]

    from harness.plugins import Host
    from harness.testing.fakes import FakePlugin, source_of

    host = Host([source_of(FakePlugin(SIGNED), "one"), source_of(Other(), "two")], tell=lambda _: None)
    assert host.attack("other").version == "3"
    with pytest.raises(HarnessError, match="signed"):
        host.attack("signed")


def test_the_pictures_of_an_attack_are_not_read_from_the_data(tmp_path: Path) -> None:
    asked = Asked()
    go(tmp_path, asked)
    image: Image = asked.requests[0].images[0]
    assert image.files.stamp(image.path)[0].startswith("inline:"), "shared replicas get it as bytes"


# what reads a run


def test_an_attacked_run_has_a_table_of_its_own_without_published_rows(tmp_path: Path) -> None:
    results = [
        harness.run("mini/base", "mis:mini", attack=attack, output=tmp_path / (attack or "plain"), limit=4).results
        for attack in ("", "drop", "blank")
    ]
    found = boards(results)
    assert [row.model for board in found for row in board.rows] == [
        "mini/base",
        "mini/base + attack drop",
        "mini/base + attack blank",
    ]
    assert all(len(board.rows) == 1 for board in found)
    assert {board.apart for board in found} == {"attack unset", "attack drop 1", "attack blank 1 (color=white)"}
    schema = json.loads((Path(__file__).parents[2] / "docs" / "results.schema.json").read_text("utf-8"))
    for each in results:
        jsonschema.validate(each, schema)
    full = replace(found[1], task="mis", split="easy")
    tasks = [task for task, _ in plugins.Host.load(tell=lambda _: None).offers("tasks")]
    assert find_references(full, tasks) == ()
    assert find_references(replace(full, rows=found[0].rows), tasks) != ()


def test_the_rows_of_an_attacked_run_are_flagged(tmp_path: Path) -> None:
    results = harness.run("mini/base", "mis:mini", attack="drop", output=tmp_path, limit=2).results
    (board,) = boards([results])
    assert "asked under the attack drop" in [caution.told for caution in board.rows[0].cautions]


# dialogues


def speak(role: Role, *parts: Image | str) -> Message:
    return Message(role=role, content=tuple(Text(text=part) if isinstance(part, str) else part for part in parts))


def dialogue() -> Sample:
    first, third = fake_image("first.png"), fake_image("third.png", png(draw("blue", "star", Random(2), 32)))
    turns = (speak("user", "two"), speak("assistant", "given"), speak("user", third, "three"))
    return Sample(id="talk", split="all", request=Request(messages=(speak("user", first, "one"),)), turns=turns)


def shout(sample: Sample, _settings: Settings, _variant: Variant) -> Attacked:
    """Every text of the user in capitals, and a sign before every image."""
    messages: list[Message] = []
    for turn in sample.request.messages:
        parts: list[Text | Image] = []
        for part in turn.content:
            parts += [SIGN, part] if isinstance(part, Image) else [Text(text=part.text.upper())]
        messages.append(replace(turn, content=tuple(parts)) if turn.role == "user" else turn)
    return Attacked(request=replace(sample.request, messages=tuple(messages)))


SHOUTED = replace(
    SIGNED, apply=shout, check=lambda sample, _: "" if len(sample.request.messages) == 4 else "not all turns"
)


def test_every_turn_of_a_dialogue_is_changed_and_judges_read_the_original_conversation(tmp_path: Path) -> None:
    asked = Asked()
    both = replace(SHOUTED, images=lambda sample, _: 2 * len(sample.request.images))
    task = fake_task(lambda: [dialogue()], judges={"back": {}}, images=None)
    go(tmp_path, asked, asks_back(), task=task, descriptor=both, judges=("back=fake/judge",))
    first, second, judged = asked.requests
    assert [part.text for part in first.messages[0].content if isinstance(part, Text)] == ["ONE"]
    assert [message.role for message in second.messages] == ["user", "assistant", "user", "assistant", "user"]
    assert [image.path for image in second.images] == ["sign.png", "first.png", "sign.png", "third.png"]
    assert second.messages[1].content == (Text(text="yes"),)
    assert [part.text for part in judged.messages[0].content if isinstance(part, Text)] == ["three", "yes"]
    (line,) = read_lines(tmp_path)
    assert [part["text"] for part in line["prompt"] if "text" in part] == ["ONE", "yes", "TWO", "given", "THREE"]
    question = line["attack"]["question"]
    assert [part["text"] for part in question if "text" in part] == ["one", "yes", "two", "given", "three"]


def test_an_attack_that_changes_the_turns_of_a_dialogue_fails_that_sample_by_name(tmp_path: Path) -> None:
    fewer = replace(
        SHOUTED,
        apply=lambda sample, *_: Attacked(request=replace(sample.request, messages=sample.request.messages[:1])),
        images=lambda *_: 2,
    )
    go(tmp_path, Asked(), task=fake_task(lambda: [dialogue()], images=None), descriptor=fewer)
    (line,) = read_lines(tmp_path)
    assert (line["outcome"], line["reason"]) == ("error", "attack_failed")
    assert "changed how many turns a dialogue has" in line["message"]


# ways of asking


def test_in_batches_the_same_is_asked_as_live_the_first_questions_included(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queues, "SETTLE_SECONDS", 0.0)
    monkeypatch.setattr(queues, "FIRST_SECONDS", 0.02)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    found: list[list[dict[str, Any]]] = []
    with OpenAIBatchServer() as server:
        server.play = lambda call: f"a picture of {len(call.images)}"
        where = ("--model", "openai/subject", "-M", f"base_url={server.base_url}", "--tasks", "mis:mini")
        for way in ((), ("--batch", "--wait")):
            folder = tmp_path / f"to{len(way)}"
            words = [
                "run",
                *where,
                "--attack",
                "caption-only",
                "--limit",
                "2",
                "--no-probe",
                "--output",
                str(folder),
                *way,
            ]
            assert CliRunner().invoke(cli, words, standalone_mode=False).return_value == 0
            text = (folder / "mis" / "responses.jsonl").read_text("utf-8")
            kept = ("id", "key", "prompt", "text", "steps", "attack", "calls")
            lines = [{name: line[name] for name in kept} for line in map(json.loads, text.splitlines())]
            found.append(sorted(lines, key=lambda line: str(line["id"])))
            assert all(line["usage"].get("batch", False) is bool(way) for line in map(json.loads, text.splitlines()))
    assert found[0] == found[1]
    assert [line["calls"] for line in found[1]] == [3, 3]
    assert found[0][0]["steps"] == {"attack 1": "a picture of 1", "attack 2": "a picture of 1"}


def test_replicas_that_read_images_by_path_get_drawn_ones_as_bytes() -> None:
    request = Request(messages=(Message(role="user", content=(SIGN, Text(text="x"))),))
    body, blobs = request_to_json(request, shared=True)
    assert blobs == (SIGN.opened.data,)
    assert "file" not in body["messages"][0]["content"][0]


def test_a_file_of_its_settings_that_changes_ends_the_run_and_the_same_command_continues_when_it_is_back(
    tmp_path: Path,
) -> None:
    """Else a part of the run would show another image under the same identity."""
    file = tmp_path / "word.txt"
    file.write_text("one", "utf-8")
    word = Setting(name="file", type=Path, default=None, identity=True, help="its word")

    def add_word(sample: Sample, settings: Settings, _variant: Variant) -> Attacked:
        text = Text(text=settings["file"].read_text("utf-8"))
        return Attacked(request=replace(sample.request, messages=(Message(role="user", content=(text,)),)))

    descriptor = replace(SIGNED, apply=add_word, settings=(word,), images=lambda *_: 0, facts=None)
    seen: list[str] = []

    def answer(request: Request) -> str:
        (part,) = request.messages[-1].content
        seen.append(part.text if isinstance(part, Text) else "")
        if len(seen) == 1:
            file.write_text("another", "utf-8")
        return "yes"

    how: dict[str, Any] = {"given": {"file": file}, "descriptor": descriptor}
    with pytest.raises(HarnessError, match="-A file: the file changed during the run"):
        go(tmp_path / "run", answer, policy=Policy(tries=1, start=1, cap=1), **how)
    file.write_text("one", "utf-8")
    run = go(tmp_path / "run", answer, **how)
    assert (run.exit_code, seen) == (0, ["one"] * 4)


def test_a_comparison_says_strategies_and_attacks_in_words_and_never_two_that_differ_alike(tmp_path: Path) -> None:
    def find(settings: Mapping[str, Any], other: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        spoken = Strategy(
            name="spoken",
            version="1",
            description="says words",
            wrap=lambda model, _: model,
            settings=(Setting(name="words", type=str, default="", identity=True),),
        )
        folders = []
        for number, given in enumerate((settings, other)):
            folders.append(tmp_path / f"{len(list(tmp_path.iterdir()))}-{number}")
            model = ModelSpec(ref="fake/one", strategy="spoken", strategy_settings=given)
            go(folders[-1], Asked(), spoken, attack="", model=model)
        with plugins.use(hosted(Asked(), spoken)):
            return [(each.what, each.baseline, each.other) for each in compare(*folders).differing]

    assert find({"words": "be kind"}, {}) == [("the strategy", "spoken 1 (words=be kind)", "spoken 1")]
    ((_, one, other),) = find({"words": "be kind to everybody, now"}, {"words": "be kind to everybody, always"})
    assert one != other


@pytest.mark.parametrize("fails", [False, True])
def test_the_tokens_of_all_calls_are_kept_whatever_a_strategy_says_of_them_or_if_it_raises(
    fails: bool, tmp_path: Path
) -> None:
    """What a server answered is paid for, so it is in the cost."""

    class Forgetful:
        def __init__(self, inner: Model) -> None:
            self.inner = inner

        @property
        def info(self) -> ModelInfo:
            return self.inner.info

        async def generate(self, request: Request) -> Response | Failure:
            await self.inner.generate(request)
            last = await self.inner.generate(request)
            if fails:
                raise ValueError("after two calls")
            return last

    forgetful = Strategy(
        name="forgetful", version="1", description="asks twice", wrap=lambda model, _: Forgetful(model)
    )
    paid = Response(text="yes", usage=Usage(input_tokens=10, output_tokens=3))
    model = ModelSpec(ref="fake/one", strategy="forgetful")
    run = go(tmp_path, lambda _: paid, forgetful, attack="", model=model)
    assert [
        (line["calls"], line["usage"]["input_tokens"], line["usage"]["output_tokens"]) for line in read_lines(tmp_path)
    ] == [(2, 20, 6)] * 4
    assert run.results["usage"]["model"]["input_tokens"] == 80


def test_the_tokens_of_what_an_attack_asked_first_are_kept_where_it_raises_then(tmp_path: Path) -> None:
    def fail(*_: object) -> Attacked:
        raise ValueError("no such sign")

    asks = replace(SIGNED, ask=lambda sample, _: [sample.request], calls=lambda *_: 1, apply=fail)
    paid = Response(text="yes", usage=Usage(input_tokens=10, output_tokens=3))
    go(tmp_path, lambda _: paid, descriptor=asks)
    assert [(line["reason"], line["calls"], line["usage"]["input_tokens"]) for line in read_lines(tmp_path)] == [
        ("attack_failed", 1, 10)
    ] * 4


def test_a_pipe_or_a_folder_as_the_file_of_a_setting_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    file = Setting(name="file", type=Path, default=None, identity=True, help="a file")
    with plugins.use(hosted(Asked(), attack=replace(SIGNED, settings=(file,)))):
        for path in (tmp_path / "pipe", tmp_path):
            with pytest.raises(HarnessError, match="-A file: this is not a file"):
                resolve_attack(AttackSpec(name="signed", settings={"file": path}))
