"""Is the risk in the whole alone? Four calls, side by side: the question, the question with either image, the whole."""

from __future__ import annotations

from functools import partial

from harness import Json, Response
from harness_builder.calls.values import Asked, Ended, Passed, Told, Unreadable
from harness_builder.quality import Probe, Probed, probes, read_probe
from harness_builder.quality.probing import FORM
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
    results = tuple(Probed(key=each.key, part=each.part, risk=_risk(reply)) for each, reply in found)
    return Passed(value=results, calls=tuple(reply.call for reply in said if reply.call))


def _risk(reply: Told | Ended) -> bool | None:
    return None if isinstance(reply, Ended) else bool(reply.value)


def _read(each: Probe, text: str) -> Json:
    risk = read_probe(each, Response(text=text)).risk
    if risk is None:
        raise Unreadable(f"expected one JSON object and nothing else, of this form: {FORM.describe()}")
    return risk
