"""Values of wrong types from a strategy, an attack or a judge: a failure of that sample, or of that offer, by name."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from harness.contracts import Attacked, Judge, Model, Rubric, Strategy
from harness.errors import HarnessError, PluginError
from harness.testing.fakes import FakeModel, fake_image, fake_sample, fake_task, host_of
from harness.types import Failure, Generation, Image, Message, Request, Response, Sample, Text, Usage
from tests.core.carried import Around, Server, go, lines, numbered, split
from tests.core.test_attacked_runs import QUESTIONS, SIGNED, Asked, read_lines
from tests.core.test_attacked_runs import go as attack_run

PLAIN = Request(messages=(Message(role="user", content=(Text(text="hi"),)),))
UNOPENED = Image(path="a.png", files=fake_image("a.png").files)
#: what is no request a model can be asked -> what is said of it
REQUESTS: list[tuple[Any, str]] = [
    (None, "None, not a Request"),
    ("hi", "a str, not a Request"),
    (replace(PLAIN, messages=()), "a Request whose messages are ()"),
    (replace(PLAIN, messages=("hi",)), "a Request with a str among its messages"),  # type: ignore[arg-type]
    (replace(PLAIN, settings=None), "a Request whose settings is None"),  # type: ignore[arg-type]
    (replace(PLAIN, settings=Generation(temperature="hot")), "a Request whose settings have a temperature of 'hot'"),  # type: ignore[arg-type]
    (replace(PLAIN, settings=Generation(stop=(5,))), "a Request whose choices or stops are no texts"),  # type: ignore[arg-type]
    (replace(PLAIN, prefill=None), "a Request whose prefill is None"),  # type: ignore[arg-type]
    (
        replace(PLAIN, messages=(Message(role="user", content=(UNOPENED,)),)),
        "a Request whose image 'a.png' is not open",
    ),
]
YES = Response(text="yes")
#: what is no answer -> what is said of it
ANSWERS: list[tuple[Any, str]] = [
    (None, "it returned None, not Response or Failure"),
    (replace(YES, steps={"draft": YES}), "it returned a Response whose steps hold Response("),  # type: ignore[dict-item]
    (replace(YES, steps={1: "a"}), "it returned a Response whose steps hold 1, not a text"),  # type: ignore[dict-item]
    (replace(YES, steps=["a"]), "it returned a Response whose steps is ['a']"),  # type: ignore[arg-type]
    (replace(YES, notes=(None,)), "it returned a Response whose notes hold None, not a text"),  # type: ignore[arg-type]
    (replace(YES, flags=frozenset({1})), "it returned a Response whose flags hold 1, not a text"),  # type: ignore[arg-type]
    (replace(YES, choices={5: -1.0}), "it returned a Response whose choices hold 5, not a text"),  # type: ignore[dict-item]
    (replace(YES, usage=5), "it returned a Response whose usage is 5"),  # type: ignore[arg-type]
    (Failure(outcome="sad", reason="x"), "it returned a Failure whose outcome is 'sad'"),  # type: ignore[arg-type]
    (Failure(outcome="error", reason="x", steps={"a": None}), "it returned a Failure whose steps hold None"),  # type: ignore[dict-item]
]


def strategy(generate: Callable[[Model, Request], Any], **fields: Any) -> Strategy:
    class Odd(Around):
        async def generate(self, request: Request) -> Any:
            given = generate(self._inner, request)
            return await given if hasattr(given, "__await__") else given

    return Strategy(name="odd", version="1", description="", wrap=lambda model, _: Odd(model), **fields)


@pytest.mark.parametrize(("given", "said"), ANSWERS, ids=[said for _, said in ANSWERS])
@pytest.mark.parametrize("seconds", [None, 600.0])
def test_a_strategy_that_answers_nonsense_fails_that_sample_by_its_name(
    given: object, said: str, seconds: float | None, tmp_path: Path
) -> None:
    odd = strategy(lambda model, request: given if "3" in str(request) else model.generate(request), seconds=seconds)
    run = go(Server(), tmp_path, odd, strategy="odd", task=fake_task(numbered(5)))
    assert split(run)["outcomes"] == split(run)["outcomes"] | {"answered": 4, "error": 1}
    (failed,) = [line for line in lines(tmp_path) if line["outcome"] == "error"]
    assert failed["reason"] == "no_answer"
    assert failed["message"].startswith(f"plugin fakes (fakes 1.0), generate of strategy 'odd': {said}")


@pytest.mark.parametrize(("given", "said"), REQUESTS[:-1], ids=[said for _, said in REQUESTS[:-1]])
def test_a_strategy_that_asks_nonsense_fails_that_sample_and_the_model_is_not_asked(
    given: Any, said: str, tmp_path: Path
) -> None:
    server = Server()
    odd = strategy(lambda model, request: model.generate(given if "3" in str(request) else request))
    run = go(server, tmp_path, odd, strategy="odd", task=fake_task(numbered(5)))
    assert (split(run)["outcomes"]["error"], len(server.texts)) == (1, 4)
    (failed,) = [line for line in lines(tmp_path) if line["outcome"] == "error"]
    assert failed["message"].startswith(
        f"plugin fakes (fakes 1.0), generate of strategy 'odd': it asks the model {said}"
    )


def test_a_strategy_that_raises_is_named_in_the_line_of_its_sample(tmp_path: Path) -> None:
    odd = strategy(lambda *_: 1 / 0)
    go(Server(), tmp_path, odd, strategy="odd", task=fake_task(numbered(1)))
    (failed,) = lines(tmp_path)
    assert (failed["reason"], failed["message"]) == (
        "ZeroDivisionError",
        "plugin fakes (fakes 1.0), generate of strategy 'odd': ZeroDivisionError: division by zero",
    )


@pytest.mark.parametrize("given", ["3", -1, None, (2, 1), (-1, None), ("1", "2"), (True, 2), [1, 2]])
def test_a_strategys_number_of_calls_that_is_none_is_refused_by_its_name(given: Any) -> None:
    odd = strategy(lambda model, request: model.generate(request), calls=lambda *_: given)
    with pytest.raises(PluginError, match="calls of strategy 'odd': it returned"):
        (host_of(odd).strategy("odd").calls or (lambda *_: None))(PLAIN, {})


@pytest.mark.parametrize("field", ["images", "calls"])
@pytest.mark.parametrize("given", [-3, "3", None, True, 2.0])
def test_an_attack_that_counts_nonsense_is_refused_by_name_before_anything_is_asked(
    field: str, given: Any, tmp_path: Path
) -> None:
    from harness import plugins
    from harness.attacks import AttackSpec
    from harness.evaluation.options import Options
    from harness.models import ModelSpec
    from harness.runs.dry_run import dry_run
    from tests.core.test_attacked_runs import hosted

    odd = replace(SIGNED, ask=lambda *_: [], **{"calls": lambda *_: 0, field: lambda *_: given})
    options = Options(
        model=ModelSpec(ref="fake/one"), tasks=("fake",), output=tmp_path, attack=AttackSpec(name="signed")
    )
    said = rf"plugin fakes \(fakes 1.0\), {field} of attack 'signed': it returned {given!r}, not a number from 0"
    with plugins.use(hosted(Asked(), attack=odd)), pytest.raises(HarnessError, match=said):
        dry_run(options)
    assert not (tmp_path / "run.json").exists()


@pytest.mark.parametrize(("given", "said"), REQUESTS, ids=[said for _, said in REQUESTS])
def test_an_attack_that_makes_nonsense_fails_that_sample_by_its_name(given: Any, said: str, tmp_path: Path) -> None:
    def make(sample: Sample, *_: object) -> Attacked:
        return Attacked(request=given if sample.id == "b" else PLAIN)

    asked = Asked()
    attack_run(tmp_path, asked, descriptor=replace(SIGNED, apply=make))
    failed = read_lines(tmp_path)[1]
    assert (failed["outcome"], failed["reason"], len(asked.requests)) == ("error", "attack_failed", len(QUESTIONS) - 1)
    assert failed["message"].startswith(
        f"plugin fakes (fakes 1.0), apply of attack 'signed': it returned an Attacked with {said}"
    )


@pytest.mark.parametrize(("given", "said"), REQUESTS, ids=[said for _, said in REQUESTS])
def test_an_attack_that_first_asks_nonsense_fails_that_sample_by_its_name(
    given: Any, said: str, tmp_path: Path
) -> None:
    odd = replace(SIGNED, ask=lambda *_: [given], calls=lambda *_: 1)
    asked = Asked()
    attack_run(tmp_path, asked, descriptor=odd)
    assert {line["reason"] for line in read_lines(tmp_path)} == {"attack_failed"}
    assert all("ask of attack 'signed': it returned a list with" in line["message"] for line in read_lines(tmp_path))
    assert asked.requests == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"variants": "x"}, "variants is 'x', not a number from 1 or None"),
        ({"variants": 0}, "variants is 0, not a number from 1 or None"),
        ({"images": -3}, "images is a int, not callable"),
        ({"calls": "3"}, "calls is a str, not callable"),
    ],
)
def test_an_attack_whose_fields_are_nonsense_is_not_offered(fields: dict[str, Any], said: str) -> None:
    told: list[str] = []
    assert host_of(replace(SIGNED, **fields), tell=told.append).offers("attacks") == []
    assert f"attack 'signed': {said}" in told[0]


def judge(needs: Any, of_rubric: Any = None) -> Judge:
    rubric = Rubric(identity={}, labels=("a",), needs=of_rubric)
    return Judge(name="odd", version="1", description="", open=lambda *_: rubric, needs=needs)


@pytest.mark.parametrize("needs", [("images",), ["images"], "images", {"images": 1}, frozenset({5}), {None}])
def test_needs_that_are_no_set_of_abilities_are_named_as_the_plugins_fault(needs: Any) -> None:
    told: list[str] = []
    assert host_of(judge(needs), tell=told.append).offers("judges") == []
    assert "plugin fakes (fakes 1.0): TypeError: judge 'odd': needs" in told[0]
    with pytest.raises(PluginError, match="open of judge 'odd': it returned a Rubric whose needs"):
        host_of(judge(None, needs)).judge("odd").open({}, Path())


def test_needs_in_a_set_are_as_good_as_in_a_frozenset(tmp_path: Path) -> None:
    found = host_of(judge({"images"}, {"choices"})).judge("odd")
    assert (found.needs, found.open({}, Path()).needs) == (frozenset({"images"}), frozenset({"choices"}))
    assert hash(found)


def test_a_good_request_and_a_good_answer_pass_as_they_are(tmp_path: Path) -> None:
    model = FakeModel(replace(YES, steps={"draft": "no"}, notes=("n",), usage=Usage(input_tokens=1)))
    odd = strategy(lambda inner, request: inner.generate(request))

    async def ask() -> object:
        return await host_of(odd).strategy("odd").wrap(model, {}).generate(fake_sample(images=1).request)

    given = anyio.run(ask)
    assert isinstance(given, Response)
    assert given.steps == {"draft": "no"}
