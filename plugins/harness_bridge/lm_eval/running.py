"""lm-eval's own command, in this process, with our model in its registry."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Final

import click
from anyio.from_thread import start_blocking_portal

from harness import HarnessError, Policy
from harness.models import ModelSpec, open_metered
from harness.terminal import one_line, plain

from .model import opened_as
from .tally import Tally
from .untyped import command_line, registry

_NAME: Final = "harness"
_OURS: Final = ("--model", "--model_args", "-M", "-a")


def run(spec: ModelSpec, policy: Policy, theirs: Sequence[str], *, stops: bool) -> int:
    """Run it and give the exit code: 3 where samples without an answer were counted as empty ones.

    Args:
        spec: our model.
        policy: how it is asked.
        theirs: lm-eval's flags, but for the model.
        stops: whether the first sample without an answer ends it.

    Raises:
        HarnessError: our model does not work, lm-eval does not, or a sample has no answer and `stops` is set.
    """
    _check(theirs)
    tally = Tally()
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_metered(spec, policy, tell=_tell)) as model,
        _registered(opened_as(model, portal, tally, stops=stops)),
    ):
        _theirs(_arguments(spec, theirs))
    click.echo(plain(tally.text), err=True)
    if tally.faults:
        _tell(f"{len(tally.faults)} samples have no answer; lm-eval's numbers count each as an empty one")
    return 3 if tally.faults else 0


def _check(theirs: Sequence[str]) -> None:
    for flag in theirs:
        if flag.partition("=")[0] in _OURS:
            raise HarnessError(f"{flag}: the model is ours", remedy="give --model and -M before the --")
    if not theirs:
        raise HarnessError("there is nothing to run", remedy="put lm-eval's flags after --, such as -- --tasks NAME")


def _arguments(spec: ModelSpec, theirs: Sequence[str]) -> list[str]:
    """Their command line; the model's settings go where lm-eval records them with its results."""
    said = {"model": spec.ref, **{name: str(value) for name, value in spec.settings.items()}}
    if spec.strategy:
        said |= {"strategy": spec.strategy, **{f"S.{name}": str(v) for name, v in spec.strategy_settings.items()}}
    flags = theirs[1:] if theirs[0] == "run" else theirs
    return ["run", "--model", _NAME, "--model_args", json.dumps(said), *flags]


@contextmanager
def _registered(kind: object) -> Generator[None]:
    """Our model under its name while the block runs; their registry keeps a name for good."""
    names: dict[str, object] = registry.model_registry._objs  # noqa: SLF001 - it has no way to take a name out
    registry.model_registry.register(_NAME, target=kind)
    try:
        yield
    finally:
        names.pop(_NAME, None)


def _theirs(arguments: Sequence[str]) -> None:
    before, sys.argv = sys.argv, ["lm-eval", *arguments]
    try:
        command_line()()
    except HarnessError:
        raise
    except Exception as error:
        what = one_line(f"{type(error).__name__}: {error}", 500)
        raise HarnessError(f"lm-eval ended with {what}", remedy="HARNESS_DEBUG=1 shows where") from error
    finally:
        sys.argv = before


def _tell(line: str) -> None:
    click.echo(one_line(line), err=True)
