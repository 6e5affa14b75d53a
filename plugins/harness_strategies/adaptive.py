"""`adashield-a`: the defence of the training query that is nearest to the question, from a pool.

Follows AdaShield's adaptive defence. The pool is built by `harness strategies pool`, never from questions of the task.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from harness import Failure, HarnessError, Model, Request, Response, Setting, Settings, Strategy

from .around import StrategyModel, count_one_call, find_scorer, run_in_thread
from .reminders import FORM, shield

if TYPE_CHECKING:
    from .embedding import Clip
    from .pool import Entry, Pool


def find_nearest(pool: Pool, clip: Clip, request: Request) -> tuple[Entry, float]:
    """The entry nearest to a request and its cosine: of all pairs of images, the nearest pair."""
    from .pool import BUILT_BY, embed_query

    rows = embed_query(clip, request)
    entries = pool.usable
    if any(entry.vectors is not None and entry.vectors.shape[1] != rows.shape[1] for entry in entries):
        raise HarnessError(
            f"the pool's vectors are not of its CLIP model, which gives {rows.shape[1]} numbers", remedy=BUILT_BY
        )
    likenesses = [float((rows @ entry.vectors.T).max()) for entry in entries if entry.vectors is not None]
    best = max(range(len(entries)), key=lambda place: likenesses[place])
    return entries[best], likenesses[best]


def _get_pool(settings: Settings) -> Pool:
    from .pool import BUILT_BY, read_pool

    file: Path | None = settings["pool"]
    if file is None:
        raise HarnessError("strategy adashield-a needs a pool: -S pool=POOL.json", remedy=BUILT_BY)
    return read_pool(file)


def _wrap(model: Model, settings: Settings) -> Model:
    pool = _get_pool(settings)
    if not pool.usable:
        raise HarnessError("the pool holds no defence", where=str(settings["pool"]))
    folder, found = find_scorer(settings["clip"] or pool.clip)
    if found != pool.clip_sha256:
        raise HarnessError(
            f"the pool was built with another CLIP model than {folder}",
            where=str(settings["pool"]),
            remedy=f"give the same one, then called {pool.clip}: -S clip=NAME",
        )
    least, again = settings["threshold"], settings["form"] == "twice"

    def choose(request: Request) -> tuple[Entry, float]:
        from .embedding import load_clip

        return find_nearest(pool, load_clip(folder, settings["device"]), request)

    async def answer(inner: Model, request: Request) -> Response | Failure:
        """Ask with the nearest entry's defence; as it is if none is near enough."""
        entry, likeness = await run_in_thread(choose, request)
        near = least is None or likeness > least
        given = await inner.generate(shield(request, entry.words, again=again) if near else request)
        steps = {"nearest": f"{entry.text[:12]} {likeness:.4f}{'' if near else ', not near enough'}"}
        return replace(given, steps={**steps, **given.steps})

    return StrategyModel(name="adashield-a", inner=model, answer=answer)


ADASHIELD_A: Final = Strategy(
    name="adashield-a",
    version="1",
    seconds=None,  # its work waits for other samples' in the same threads
    description="puts the defence of the nearest training query, from a pool, after the question, and repeats it",
    wrap=_wrap,
    settings=(
        Setting(
            name="pool",
            type=Path,
            default=None,
            identity=True,
            help="the FILE that `harness strategies pool` wrote; identified by content",
        ),
        FORM,
        Setting(
            name="threshold",
            type=float,
            default=None,
            identity=True,
            help="likeness (a cosine) that the nearest query must exceed; not set: it is always used",
        ),
        Setting(
            name="clip",
            type=str,
            default="",
            identity=False,
            help="where the pool's CLIP model lies now: a folder or a hub id",
        ),
        Setting(name="device", type=str, default="cpu", identity=False, help="cpu, cuda, cuda:N, mps or auto"),
    ),
    calls=count_one_call,
    check=lambda request, settings: "" if settings["pool"] is None else _get_pool(settings).find_leak(request),
)
