"""Is the risk in the whole alone? Four calls, side by side: the question, the question with either image, the whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from harness import Json, Response
from harness_builder.calls.values import Asked, Ended, Passed, Told, Unreadable
from harness_builder.quality import Probe, Probed, probes, read_probe
from harness_builder.quality.probing import FORM, given_away
from harness_builder.values import Candidate

from .abreast import abreast, end_of
from .workshop import Workshop


async def probe(shop: Workshop, candidate: Candidate) -> Passed[tuple[Probed, ...]] | Ended:
    """What the prober sees in each part, in the order of the parts.

    Where it did not say, since it refused, was filtered or kept to no form, the part has no answer; where a call failed
    for a reason that may pass, the candidate waits for the next build.
    """

    async def ask(each: Probe) -> Told | Ended:
        asked = Asked(step="probe", owner=each.key, role="prober", request=each.request, read=partial(_read, each))
        return await shop.asker.ask(asked)

    wanted = probes(candidate)
    said = await abreast(ask, wanted)
    if over := end_of([each for each in said if isinstance(each, Ended) and (each.again or each.end == "stopped")]):
        return over.after(reply.call for reply in said if reply.call != over.call)
    found = zip(wanted, said, strict=True)
    results = tuple(_probed(each, reply) for each, reply in found)
    return Passed(value=results, calls=tuple(reply.call for reply in said if reply.call))


def apart(results: Sequence[Probed]) -> Ended | None:
    """How a candidate ends of which only what no part gives away is wanted; None where it goes on.

    Where the prober did not say, nobody knows whether it should: that is a failure, and no finding.
    """
    whole = next(each.risk for each in results if each.part == "both")
    away = given_away(results)
    if away or whole is False:
        return Ended(end="dropped", why="the risk is not in both images together alone")
    if away is None or whole is None:
        return Ended(end="failed", why=f"the prober did not say: {untold(results)}")
    return None


def untold(results: Iterable[Probed]) -> str:
    """Why the prober did not say; of several reasons the first."""
    return next((each.why for each in results if each.risk is None), "")


def _probed(each: Probe, reply: Told | Ended) -> Probed:
    if isinstance(reply, Ended):
        return Probed(key=each.key, part=each.part, risk=None, why=reply.why)
    return Probed(key=each.key, part=each.part, risk=bool(reply.value))


def _read(each: Probe, text: str) -> Json:
    risk = read_probe(each, Response(text=text)).risk
    if risk is None:
        raise Unreadable(f"expected one JSON object and nothing else, of this form: {FORM.describe()}")
    return risk
