"""Distributions as an installer leaves them, beside one that works."""

from collections.abc import Callable

from harness.plugins import Host

GOOD = """
from harness.testing.fakes import fake_judge, fake_provider, fake_task
from harness import hookimpl

@hookimpl
def harness_models():
    return [fake_provider(scheme="NAME")]

@hookimpl
def harness_tasks():
    return [fake_task(name="NAME")]

@hookimpl
def harness_judges():
    return [fake_judge(name="NAME")]
"""
Install = Callable[..., None]


def load(*names: str, **options: object) -> tuple[Host, list[str]]:
    """A host of the distributions under test and what it said, one line each."""
    lines: list[str] = []
    return Host.load(allow=["good", *names], tell=lines.append, **options), lines  # type: ignore[arg-type]
