"""What run.json keeps of a shard, so that `harness merge` can check all shards without opening the data.

    "shard": {"index": 0, "of": 4, "splits": {"mis:easy": {"samples": 553, "here": 140, "listing": "…", …}}}

`samples` and `listing` are of all shards together, after `--limit`: shards of one run have the same, and their samples
add up to it. A split is entered when it was listed to its end; before that, the shard counts as unfinished there.

A rubric that scores a whole split at once has nothing to score in a part of it. It is `deferred`: the merged run is
scored by it.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from harness.evaluation.options import Options, Shard
from harness.evaluation.plan import SplitJob
from harness.types import Json


def begin_shard(shard: Shard | None) -> dict[str, Json]:
    """What run.json says of a shard that has listed nothing yet; {} for a whole run."""
    return {} if shard is None else {"index": shard[0], "of": shard[1], "splits": {}}


def enter_splits(
    old: Mapping[str, Any], jobs: Sequence[SplitJob], contents: Container[tuple[str, str]], options: Options
) -> dict[str, Any]:
    """The shard of run.json with the splits of an invocation that has ended.

    Args:
        old: the shard as it was; {} for a whole run, which stays.
        jobs: the splits.
        contents: task and split of those that were listed to their end.
        options: the user's options.
    """
    if not old:
        return {}
    splits = dict(old["splits"])
    for job in jobs:
        survey, title = job.survey, job.plan.title
        listed = survey is not None and (job.plan.display, job.plan.name) in contents
        if survey is None or not listed or (job.keep and title in splits):
            continue
        splits[title] = {
            "samples": survey.whole,
            "here": survey.samples,
            "listing": survey.listing,
            "deferred": [
                {
                    "rubric": choice.judge.name,
                    "model": choice.model,
                    "settings": _to_json(options.given(choice.judge.name)),
                    "judge_settings": _to_json(options.judge_settings) if choice.model else {},
                    "primary": job.defers_primary and number == 0,
                }
                for number, choice in enumerate(job.deferred)
            ],
        }
    return {**old, "splits": splits}


def _to_json(settings: Mapping[str, Any]) -> dict[str, Json]:
    return {
        key: value if isinstance(value, str | int | float | bool) or value is None else str(value)
        for key, value in settings.items()
    }


def format_shard(shard: Shard) -> str:
    """A shard as `--shard` has it."""
    return f"{shard[0]}/{shard[1]}"
