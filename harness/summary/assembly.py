"""The whole of results.json from its pieces; its JSON Schema is docs/results.schema.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.types import Json, Usage, add_usage

SCHEMA = "harness.results/1"


class Spend:
    """Calls and tokens of one model; add a Usage for each answer or verdict."""

    def __init__(self) -> None:
        self.calls = 0
        self._tokens = Usage()

    def add(self, usage: Usage, calls: int = 1) -> None:
        """Count what one answer or verdict took."""
        self.calls += calls
        self._tokens = add_usage(self._tokens, usage)

    def merge(self, other: Spend) -> None:
        """Count all that another counted."""
        self.calls += other.calls
        self._tokens = add_usage(self._tokens, other._tokens)

    def as_json(self) -> dict[str, Json]:
        """Calls and tokens, by name."""
        return {
            "calls": self.calls,
            "input_tokens": self._tokens.input_tokens,
            "output_tokens": self._tokens.output_tokens,
            "reasoning_tokens": self._tokens.reasoning_tokens,
        }


def usage(model: Spend, judges: Mapping[str, Spend], cost_usd: float | None = None) -> dict[str, Json]:
    """The `usage` of results.json; a cost nobody knows is null, never 0."""
    spent = {judge: spend.as_json() for judge, spend in judges.items()}
    return {"model": model.as_json(), "judges": spent, "cost_usd": cost_usd}


def assemble(
    *,
    version: str,
    started: str,
    finished: str,
    command: Sequence[str],
    environment: Mapping[str, Json],
    model: Mapping[str, Json],
    judges: Mapping[str, Mapping[str, Json]],
    plugins: Mapping[str, Json],
    tasks: Mapping[str, Mapping[str, Json]],
    suites: Mapping[str, Mapping[str, Json]] | None = None,
    usage: Mapping[str, Json],
    wall_s: float,
) -> dict[str, Json]:
    """The dict of results.json.

    Args:
        version: of the harness.
        started: of the first invocation, ISO 8601 with its zone.
        finished: of the last one.
        command: of the last one, argument by argument, without keys.
        environment: python, platform, gpu, driver, torch, transformers, vllm, SDKs; null where absent.
        model: ref, resolved, identity, settings, strategy, notes, and training where anything is declared.
        judges: judge id -> rubric, version, template_hash, fidelity, model, resolved, settings, sees.
        plugins: distribution -> version.
        tasks: display name -> version, settings, data, and what `TaskSummary.finish` gives.
        suites: name -> what `suite_results` gives; no key where none was asked.
        usage: see `usage`.
        wall_s: seconds, over all invocations.
    """
    return {
        "schema": SCHEMA,
        "harness": version,
        "started": started,
        "finished": finished,
        "command": list(command),
        "environment": dict(environment),
        "model": dict(model),
        "judges": {judge: dict(about) for judge, about in judges.items()},
        "plugins": dict(plugins),
        "tasks": {name: dict(about) for name, about in tasks.items()},
        **({"suites": {name: dict(about) for name, about in suites.items()}} if suites else {}),
        "usage": dict(usage),
        "wall_s": wall_s,
    }
