"""Runs lm-eval's own command in this process, with our model in its registry."""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Any, Final

import click
from anyio.from_thread import BlockingPortal, start_blocking_portal

from harness import Generation, HarnessError, Model, Policy, Response
from harness.extras import Untyped
from harness.models import ModelSpec, open_metered
from harness.text import one_line, plain

from .questions import Question, Sampling, Tally, ask_all, encode_turns, sample_key, to_request

api: Untyped = importlib.import_module("lm_eval.api.model")
registry: Untyped = importlib.import_module("lm_eval.api.registry")
progress: Untyped = importlib.import_module("tqdm")
importlib.import_module("lm_eval.models")  # registers their own models first
_NAME: Final = "harness"
_OURS: Final = ("--model", "--model_args", "-M", "-a")


class OurLM:
    """Our model with the interface of lm-eval's LM; all requests of one call go out together.

    Attributes:
        cache_hook: lm-eval's; stores answers with their --use_cache.
    """

    cache_hook: Untyped

    def __init__(self, model: Model, portal: BlockingPortal, tally: Tally, *, stops: bool) -> None:
        super().__init__()
        self.MULTIMODAL = "images" in model.info.can  # without it lm-eval refuses tasks with images
        self._model = model
        self._portal = portal
        self._tally = tally
        self._stops = stops

    @property
    def tokenizer_name(self) -> str:
        """The key of lm-eval's request cache."""
        return str(self._model.info.ref).replace("/", "__")

    def apply_chat_template(self, chat_history: list[dict[str, Any]], add_generation_prompt: bool = True) -> str:
        """The turns as JSON: our providers apply their own templates."""
        return encode_turns(chat_history, answers=add_generation_prompt)

    def get_model_info(self) -> dict[str, Any]:
        """Adds the counts by outcome to lm-eval's results, which lack them."""
        return {"harness": {"model": self._model.info.ref, "outcomes": dict(self._tally.outcomes)}}

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """An answer for each request; "" for a failure, unless the run stops at it."""
        texts = [""] * len(requests)

        def keep_text(at: int, sampling: Sampling, response: Response) -> None:
            texts[at] = sampling.cut(response.text)
            self.cache_hook.add_partial("generate_until", requests[at].args, texts[at])

        questions: list[Question] = []
        for at, request in enumerate(requests):
            context, given, *auxiliary = request.args
            sampling = Sampling.of(given)
            visuals: list[Any] = auxiliary[0].get("visual", ()) if auxiliary else []
            make = partial(to_request, context, visuals, self._model.info, settings=sampling.settings)
            questions.append(_question(request, make, partial(keep_text, at, sampling)))
        self._ask(questions, stops=self._stops, hidden=disable_tqdm)
        return texts

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """The log-probability of each continuation; whether it is the greedy one is unknown and always False.

        Raises NotImplementedError if the model cannot score choices, or the task needs the greedy flag.
        """
        if "choices" not in self._model.info.can:
            raise NotImplementedError(f"{self._model.info.ref} cannot score continuations: it has no `choices`")
        if 1 in Counter(map(sample_key, requests)).values():
            raise NotImplementedError("the task needs to know whether a continuation is greedy, which is unknown")
        weights: dict[int, float] = {}

        def keep_weights(places: Sequence[int], response: Response) -> None:
            for at in places:
                weights[at] = response.choices[requests[at].args[1]]
                self.cache_hook.add_partial("loglikelihood", requests[at].args, (weights[at], False))

        questions: list[Question] = []
        for (_, context), group in groupby(
            range(len(requests)), lambda at: (sample_key(requests[at]), requests[at].args[0])
        ):
            places = list(group)
            choices = tuple(dict.fromkeys(requests[at].args[1] for at in places))
            make = partial(to_request, context, [], self._model.info, settings=Generation(), choices=choices)
            questions.append(_question(requests[places[0]], make, partial(keep_weights, places)))
        self._ask(questions, stops=True, hidden=disable_tqdm)  # nothing can replace a missing probability
        return [(weights[at], False) for at in range(len(requests))]

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Raises NotImplementedError: no provider gives the probability of a whole text."""
        raise NotImplementedError("our models do not give the probability of a whole text")

    def _ask(self, questions: Sequence[Question], *, stops: bool, hidden: bool) -> None:
        with progress.tqdm(total=len(questions), desc=self._model.info.ref, disable=hidden or None) as bar:
            self._portal.call(partial(ask_all, self._model, questions, self._tally, stops=stops, done=bar.update))


def _question(request: Any, make: Callable[[], Any], answered: Callable[[Response], None]) -> Question:
    return Question(task=str(request.task_name), document=str(request.doc_id), make=make, answered=answered)


def make_class(model: Model, portal: BlockingPortal, tally: Tally, *, stops: bool) -> Untyped:
    """A class for lm-eval's registry that returns our open model, whatever the arguments."""

    def create(cls: Untyped, _arguments: object, _config: object = None) -> Untyped:
        return cls(model, portal, tally, stops=stops)

    return type("OurLM", (OurLM, api.LM), {"create_from_arg_obj": classmethod(create)})


def run_lm_eval(spec: ModelSpec, policy: Policy, theirs: Sequence[str], *, stops: bool) -> int:
    """Run lm-eval; return the exit code: 3 if samples without an answer were counted as empty ones.

    Args:
        spec: our model.
        policy: limits and retries of calls.
        theirs: lm-eval's flags, without the model.
        stops: stop at the first sample without an answer.

    Raises:
        HarnessError: our model or lm-eval fails, or a sample has no answer and `stops` is set.
    """
    for flag in theirs:
        if flag.partition("=")[0] in _OURS:
            raise HarnessError(f"{flag}: the bridge sets the model", remedy="give --model and -M before the --")
    if not theirs:
        raise HarnessError("there is nothing to run", remedy="put lm-eval's flags after --, such as -- --tasks NAME")
    # lm-eval records these settings with its results
    said = {"model": spec.ref, **{name: str(value) for name, value in spec.settings.items()}}
    if spec.strategy:
        said |= {"strategy": spec.strategy, **{f"S.{name}": str(v) for name, v in spec.strategy_settings.items()}}
    flags = theirs[1:] if theirs[0] == "run" else theirs
    tally = Tally()
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_metered(spec, policy, tell=_tell)) as model,
        _register(make_class(model, portal, tally, stops=stops)),
    ):
        before, sys.argv = sys.argv, ["lm-eval", "run", "--model", _NAME, "--model_args", json.dumps(said), *flags]
        try:
            importlib.import_module("lm_eval.__main__").cli_evaluate()  # as their own script does
        except HarnessError:
            raise
        except Exception as error:
            what = one_line(f"{type(error).__name__}: {error}", 500)
            raise HarnessError(f"lm-eval ended with {what}", remedy="HARNESS_DEBUG=1 shows where") from error
        finally:
            sys.argv = before
    click.echo(plain(tally.text), err=True)
    if tally.faults:
        _tell(f"{len(tally.faults)} samples have no answer; lm-eval's numbers count each as an empty one")
    return 3 if tally.faults else 0


@contextmanager
def _register(kind: object) -> Generator[None]:
    """Register our model while the block runs; lm-eval's registry never removes a name."""
    names: dict[str, object] = registry.model_registry._objs  # noqa: SLF001 - it cannot remove a name
    registry.model_registry.register(_NAME, target=kind)
    try:
        yield
    finally:
        names.pop(_NAME, None)


def _tell(line: str) -> None:
    click.echo(one_line(line), err=True)
