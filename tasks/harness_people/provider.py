"""The provider `given`: answers a request with the answer that the request begins with, and asks no model."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

from harness import HarnessError, ModelInfo, Provider, Request, Response, Settings


class GivenAnswers:
    """A model whose answer is the request's `prefill`: the answer that a labelled set was labelled on."""

    info = ModelInfo(ref="given/answers", endpoint="given", can=frozenset({"images", "system", "prefill"}))

    async def generate(self, request: Request) -> Response:
        """The given answer. Raises HarnessError where the request holds none."""
        if not request.prefill:
            raise HarnessError(
                "given/answers knows no answer to this question: it answers labelled sets alone",
                remedy="--tasks msts-labels, or another set whose name ends in -labels",
            )
        return Response(text=request.prefill, model="given")


@asynccontextmanager
async def _open(_name: str, _settings: Settings) -> AsyncGenerator[GivenAnswers]:
    yield GivenAnswers()


PROVIDER: Final = Provider(
    scheme="given",
    description="given/answers: the published answers of a labelled set, for judges to be measured on",
    open=_open,
    given=True,
)
