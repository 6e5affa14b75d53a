"""Opening the models of all roles and the painter, once each, with slots, retries and breakers as those of runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final, get_args

from harness import Brush, HarnessError, Json, Model, ModelInfo, Policy, Request, plugins
from harness.brushes import FoundPainter, find_painter, open_brush
from harness.keys import canonical
from harness.limits import Endpoints, Metered
from harness.models import ModelSpec, Resolved, resolve
from harness.plan.sampling import needed
from harness.types import Ability
from harness_builder.calls.images import ImageOpener, ImageOpeningModel
from harness_builder.calls.results import PAINTER, CallRole
from harness_builder.plan import INSTEAD, ModelChoice, Plan, Role, config_key

ROLES: Final[tuple[Role, ...]] = get_args(Role)
_PAIR: Final = 2  # images of an element, which whoever looks is shown at once
_CANNOT: Final[Mapping[Ability, str]] = {
    "images": "look at images",
    "system": "be given a system message",
    "draw": "draw",
}
Identity = Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleModel:
    """A model that answers for one or more roles.

    Attributes:
        model: takes slots, tries again, and opens images by itself.
        identity: what was requested, as JSON.
    """

    model: Model
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePainter:
    """The painter.

    Attributes:
        brush: takes slots and tries again.
        identity: what was requested, as JSON.
    """

    brush: Brush
    identity: Identity


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenModels:
    """All that a build asks."""

    voices: Mapping[Role, RoleModel]
    hand: RolePainter


@asynccontextmanager
async def open_all(
    plan: Plan,
    opener: ImageOpener,
    check: Callable[[], None],
    tell: Callable[[str], None],
    before: Callable[[CallRole], bool],
) -> AsyncGenerator[OpenModels]:
    """Open each model once, whatever roles it has, and the painter.

    Args:
        plan: that names them.
        opener: of images.
        check: raises where nothing new is to begin.
        tell: given what a person should know of the endpoints.
        before: whether a role, or the painter, has answered in an earlier invocation.

    Raises:
        HarnessError: nobody offers one, it cannot be opened, or it cannot do what its role takes.
    """
    at_once = plan.concurrency
    endpoints = Endpoints(Policy(start=at_once, cap=at_once) if at_once else Policy(), tell=tell)
    found, painter = check_models(plan)
    async with AsyncExitStack() as stack:
        known: dict[str, RoleModel] = {}
        speaking: dict[str, list[Role]] = {}
        voices: dict[Role, RoleModel] = {}
        for role, resolved in found:
            same = canonical([resolved.spec.ref, {name: str(value) for name, value in resolved.settings.items()}])
            roles = speaking.setdefault(same, [])
            roles.append(role)
            with config_key(plan, _key(plan, role)):
                if same not in known:
                    model = await stack.enter_async_context(resolved.open(images=_most(plan)))
                    endpoints.watch(model)
                    answered = partial(_any, before, roles)
                    metered = Metered(ImageOpeningModel(model, opener, check), endpoints, before=answered)
                    known[same] = RoleModel(model=metered, identity=resolved.identity(model))
                voices[role] = known[same]
                _check_role(plan, role, voices[role].model.info)
        with config_key(plan, PAINTER):
            brush = await stack.enter_async_context(open_brush(painter, endpoints, before=partial(before, PAINTER)))
            _check(brush.info, {"draw"}, PAINTER, PAINTER)
        yield OpenModels(voices=voices, hand=RolePainter(brush=brush, identity=painter.identity(brush)))


def check_models(plan: Plan) -> tuple[list[tuple[Role, Resolved]], FoundPainter]:
    """The model of each role that this build asks, and the painter, found by name; nothing is opened.

    Raises:
        HarnessError: nobody offers one, or a setting of it is not one or cannot be.
    """
    found: list[tuple[Role, Resolved]] = []
    for role in _roles(plan):
        with config_key(plan, _key(plan, role)):
            found.append((role, resolve(_spec(plan.model(role)))))
    with config_key(plan, PAINTER):
        return found, find_painter(plan.painter.ref, plan.painter.settings)


def _roles(plan: Plan) -> Iterator[Role]:
    """Those that this build asks."""
    return (role for role in ROLES if role != "prober" or plan.probe)


def _any(before: Callable[[CallRole], bool], roles: Iterable[Role]) -> bool:
    return any(map(before, roles))


def check_request(plan: Plan, role: Role, info: ModelInfo, request: Request) -> None:
    """Raise HarnessError where the model of a role cannot be asked this."""
    _check(info, needed(request), role, _key(plan, role), images=len(request.images))


def _check_role(plan: Plan, role: Role, info: ModelInfo) -> None:
    if role == "judge":
        needs = plugins.current().judge(plan.rubric).needs or frozenset[Ability]()
    else:
        needs = frozenset[Ability]() if role == "writer" else frozenset[Ability]({"images"})
    most = _most(plan) if role == "viewer" else _PAIR
    _check(info, needs, role, _key(plan, role), images=most if "images" in needs else 0)


def _most(plan: Plan) -> int:
    """Images that the viewer is shown at once: a pair, or all drawings of an object, of which it takes the best."""
    return max(_PAIR, plan.best_of)


def _check(info: ModelInfo, needs: set[Ability] | frozenset[Ability], role: str, key: str, *, images: int = 0) -> None:
    remedy = f"name another one: {key} in the config"
    for ability in sorted(needs - info.can):
        what = f"the model of the role {role!r} cannot {_CANNOT.get(ability, f'do what it is asked: {ability}')}"
        raise HarnessError(what, where=info.ref, remedy=remedy)
    if info.max_images is not None and images > info.max_images:
        what = f"the model of the role {role!r} takes {info.max_images} images at once, and is shown {images}"
        raise HarnessError(what, where=info.ref, remedy=remedy)


def _key(plan: Plan, role: Role) -> str:
    return f"models.{role if role in plan.models else INSTEAD[role]}"


def _spec(wanted: ModelChoice) -> ModelSpec:
    return ModelSpec(ref=wanted.ref, settings=wanted.settings)
