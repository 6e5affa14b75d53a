"""One of our models as lm-eval sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any

from anyio.from_thread import BlockingPortal

from harness import Generation, Model, Response

from .asking import Question, ask_all, key
from .contexts import Sampling, template, to_request
from .tally import Tally
from .untyped import Untyped, api, progress


class OurLM:
    """What lm-eval asks of an LM; requests come all in one call, and go out together.

    Attributes:
        cache_hook: lm-eval's: keeps what was answered, with their --use_cache.
    """

    cache_hook: Untyped

    def __init__(self, model: Model, portal: BlockingPortal, tally: Tally, *, stops: bool) -> None:
        super().__init__()
        self.MULTIMODAL = "images" in model.info.can  # where it is not set lm-eval refuses tasks with images
        self._model = model
        self._portal = portal
        self._tally = tally
        self._stops = stops

    @property
    def tokenizer_name(self) -> str:
        """What lm-eval's cache of requests is kept by."""
        return str(self._model.info.ref).replace("/", "__")

    def apply_chat_template(self, chat_history: list[dict[str, Any]], add_generation_prompt: bool = True) -> str:
        """The turns as they are; our providers have templates of their own."""
        return template(chat_history, answers=add_generation_prompt)

    def get_model_info(self) -> dict[str, Any]:
        """Goes into lm-eval's results: how the samples ended, which its numbers do not say."""
        return {"harness": {"model": self._model.info.ref, "outcomes": dict(self._tally.outcomes)}}

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """An answer for each; an empty one where there is none and the run does not stop for it."""
        texts = [""] * len(requests)

        def answered(at: int, sampling: Sampling, response: Response) -> None:
            texts[at] = sampling.cut(response.text)
            self.cache_hook.add_partial("generate_until", requests[at].args, texts[at])

        questions: list[Question] = []
        for at, request in enumerate(requests):
            context, given, *auxiliary = request.args
            sampling = Sampling.of(given)
            visuals: list[Any] = auxiliary[0].get("visual", ()) if auxiliary else []
            make = partial(to_request, context, visuals, self._model.info, settings=sampling.settings)
            questions.append(_question(request, make, partial(answered, at, sampling)))
        self._ask(questions, stops=self._stops, hidden=disable_tqdm)
        return texts

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """The log-probability of each continuation; whether it is the greedy one is not known and always False.

        Raises NotImplementedError where the model weighs no choices, or the task wants to know what is not known.
        """
        if "choices" not in self._model.info.can:
            raise NotImplementedError(f"{self._model.info.ref} cannot weigh continuations: it has no `choices`")
        if 1 in Counter(map(key, requests)).values():
            raise NotImplementedError("the task asks whether one continuation is the greedy one, which is not known")
        weights: dict[int, float] = {}

        def answered(places: Sequence[int], response: Response) -> None:
            for at in places:
                weights[at] = response.choices[requests[at].args[1]]
                self.cache_hook.add_partial("loglikelihood", requests[at].args, (weights[at], False))

        questions: list[Question] = []
        for (_, context), group in groupby(range(len(requests)), lambda at: (key(requests[at]), requests[at].args[0])):
            places = list(group)
            choices = tuple(dict.fromkeys(requests[at].args[1] for at in places))
            make = partial(to_request, context, [], self._model.info, settings=Generation(), choices=choices)
            questions.append(_question(requests[places[0]], make, partial(answered, places)))
        self._ask(questions, stops=True, hidden=disable_tqdm)  # nothing stands for a missing probability
        return [(weights[at], False) for at in range(len(requests))]

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Raises NotImplementedError: no provider gives the probability of a whole text."""
        raise NotImplementedError("our models do not give the probability of a whole text")

    def _ask(self, questions: Sequence[Question], *, stops: bool, hidden: bool) -> None:
        with progress.tqdm(total=len(questions), desc=self._model.info.ref, disable=hidden or None) as bar:
            self._portal.call(partial(ask_all, self._model, questions, self._tally, stops=stops, done=bar.update))


def _question(request: Any, make: Callable[[], Any], answered: Callable[[Response], None]) -> Question:
    return Question(task=str(request.task_name), document=str(request.doc_id), make=make, answered=answered)


def opened_as(model: Model, portal: BlockingPortal, tally: Tally, *, stops: bool) -> Untyped:
    """A class for lm-eval's registry, which makes models from arguments; ours is open already."""

    def create(cls: Untyped, _arguments: object, _config: object = None) -> Untyped:
        return cls(model, portal, tally, stops=stops)

    return type("OurLM", (OurLM, api.LM), {"create_from_arg_obj": classmethod(create)})
