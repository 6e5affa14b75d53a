"""Opens the models of all roles and the painter, once each, with slots, retries and breakers as in runs.

Images stay on disk and are in memory only while they are sent. To look up a call, its images are opened, hashed by
sha256 and released. They are opened again when the call has its slot, so a waiting call holds none.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import anyio
import anyio.to_thread

from harness import (
    BadImage,
    Brush,
    Failure,
    HarnessError,
    Image,
    Json,
    Model,
    ModelInfo,
    Policy,
    Request,
    Response,
    Text,
    plugins,
)
from harness.brushes import FoundPainter, find_painter, open_brush
from harness.evaluation.plan import find_needs
from harness.images import open_image
from harness.keys import canonical
from harness.limits import Endpoints, Metered
from harness.models import ModelSpec, Resolved, resolve
from harness.types import Ability, ImageContent
from harness_builder.plan import INSTEAD, ROLES, Plan, Role, config_key

from .results import PAINTER, CallRole

AT_ONCE: Final = 4  #: requests whose images are open at once, to be hashed or sent
_REMEMBERED: Final = 1 << 12  # hashes
_PAIR: Final = 2  # images of an element, shown together
_CANNOT: Final[Mapping[Ability, str]] = {
    "images": "look at images",
    "system": "be given a system message",
    "draw": "draw",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenModels:
    """All models of a build, with slots, retries and opening of images.

    Attributes:
        models: by role.
        brush: the painter's.
        identities: role, or `painter`, -> the identity of its model, as JSON.
    """

    models: Mapping[Role, Model]
    brush: Brush
    identities: Mapping[CallRole, Mapping[str, Json]]


class ImageOpener:
    """Opens the images of requests in threads, a few at once."""

    def __init__(self) -> None:
        self._room = anyio.CapacityLimiter(AT_ONCE)
        self._known: OrderedDict[tuple[str, int, int], ImageContent] = OrderedDict()

    async def hash_images(self, request: Request) -> Request:
        """The request with hashes of its images and no bytes. Raises BadImage if one cannot be opened."""
        if all(image.files.stamp(image.path) in self._known for image in request.images):
            return _replace_images(request, self._hash) if request.images else request
        return await self._in_thread(request, self._hash)

    async def open_images(self, request: Request) -> Request:
        """A request with its images open. Raises BadImage."""
        return await self._in_thread(request, open_image) if request.images else request

    async def _in_thread(self, request: Request, change: Callable[[Image], Image]) -> Request:
        return await anyio.to_thread.run_sync(partial(_replace_images, request, change), limiter=self._room)

    def _hash(self, image: Image) -> Image:
        stamp = image.files.stamp(image.path)
        known = self._known.get(stamp)
        if known is None:
            known = replace(open_image(image).opened, data=b"", encoded=b"")
            if stamp[2] > 0:  # a file: an image in memory has no mtime
                self._known[stamp] = known
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        return replace(image, content=known)


def _replace_images(request: Request, change: Callable[[Image], Image]) -> Request:
    messages = (
        replace(each, content=tuple(part if isinstance(part, Text) else change(part) for part in each.content))
        for each in request.messages
    )
    return replace(request, messages=tuple(messages))


class ImageOpeningModel:
    """A Model that opens images when a call has its slot, and omits a schema that it does not support.

    Args:
        model: that answers.
        opener: of its images.
        check: raises if no new call may begin.
    """

    def __init__(self, model: Model, opener: ImageOpener, check: Callable[[], None]) -> None:
        self._model = model
        self._opener = opener
        self._check = check

    @property
    def info(self) -> ModelInfo:
        """The model's."""
        return self._model.info

    async def generate(self, request: Request) -> Response | Failure:
        """Answer one request. Raises HarnessError if no call can succeed."""
        self._check()
        try:
            opened = await self._opener.open_images(request)
        except BadImage as fault:
            return Failure(outcome="bad_sample", reason=fault.reason, message=str(fault))
        if opened.schema is not None and "schema" not in self.info.can:
            opened = replace(opened, schema=None)
        return await self._model.generate(opened)


@asynccontextmanager
async def open_models(
    plan: Plan,
    opener: ImageOpener,
    check: Callable[[], None],
    tell: Callable[[str], None],
    answered: Callable[[CallRole], bool],
) -> AsyncGenerator[OpenModels]:
    """Open the painter and each model, once even if it has several roles.

    Args:
        plan: that names them.
        opener: of images.
        check: raises if no new call may begin.
        tell: gets notes about the endpoints for the user.
        answered: whether a role, or the painter, has answered in an earlier invocation.

    Raises:
        HarnessError: no plugin offers one, it cannot be opened, or it lacks an ability that its role needs.
    """
    at_once = plan.concurrency
    endpoints = Endpoints(Policy(start=at_once, cap=at_once) if at_once else Policy(), tell=tell)
    resolved, painter = check_models(plan)
    most_images = max(_PAIR, plan.best_of)  # the viewer sees a pair, or all drawings of an object
    async with AsyncExitStack() as stack:
        opened: dict[str, tuple[Model, Mapping[str, Json]]] = {}
        roles_of: dict[str, list[Role]] = {}
        models: dict[Role, Model] = {}
        identities: dict[CallRole, Mapping[str, Json]] = {}

        def any_answered(roles: list[Role]) -> bool:
            return any(answered(role) for role in roles)

        for role, found in resolved:
            same = canonical([found.spec.ref, {name: str(value) for name, value in found.settings.items()}])
            roles = roles_of.setdefault(same, [])  # grows while the models are opened
            roles.append(role)
            with config_key(plan, _key_of(plan, role)):
                if same not in opened:
                    model = await stack.enter_async_context(found.open(images=most_images))
                    endpoints.watch(model)
                    opening = ImageOpeningModel(model, opener, check)
                    metered = Metered(opening, endpoints, before=partial(any_answered, roles))
                    opened[same] = metered, found.identity(model)
                models[role], identities[role] = opened[same]
                if role == "judge":
                    needs = plugins.current().judge(plan.rubric).needs or frozenset[Ability]()
                else:
                    needs = frozenset[Ability]() if role == "writer" else frozenset[Ability]({"images"})
                most = most_images if role == "viewer" else _PAIR
                most = most if "images" in needs else 0
                _check_abilities(models[role].info, needs, role, _key_of(plan, role), images=most)
        with config_key(plan, PAINTER):
            brush = await stack.enter_async_context(open_brush(painter, endpoints, before=partial(answered, PAINTER)))
            identities[PAINTER] = painter.identity(brush)
            _check_abilities(brush.info, {"draw"}, PAINTER, PAINTER)
        yield OpenModels(models=models, brush=brush, identities=identities)


def check_models(plan: Plan) -> tuple[list[tuple[Role, Resolved]], FoundPainter]:
    """The model of each role that this build asks, and the painter, found by name. Opens nothing. Raises
    HarnessError if no plugin offers one, or one of its settings does not exist or is not allowed."""
    found: list[tuple[Role, Resolved]] = []
    for role in ROLES:
        if role == "prober" and not plan.probe:
            continue
        choice = plan.model(role)
        with config_key(plan, _key_of(plan, role)):
            found.append((role, resolve(ModelSpec(ref=choice.ref, settings=choice.settings))))
    with config_key(plan, PAINTER):
        return found, find_painter(plan.painter.ref, plan.painter.settings)


def check_request(plan: Plan, role: Role, info: ModelInfo, request: Request) -> None:
    """Raise HarnessError if the model cannot do what its role needs."""
    _check_abilities(info, find_needs(request), role, _key_of(plan, role), images=len(request.images))


def _check_abilities(
    info: ModelInfo, needs: set[Ability] | frozenset[Ability], role: str, key: str, *, images: int = 0
) -> None:
    remedy = f"name another one: {key} in the config"
    for ability in sorted(needs - info.can):
        what = f"the model of the role {role!r} cannot {_CANNOT.get(ability, f'do what it is asked: {ability}')}"
        raise HarnessError(what, where=info.ref, remedy=remedy)
    if info.max_images is not None and images > info.max_images:
        what = f"the model of the role {role!r} takes {info.max_images} images at once, but its role shows it {images}"
        raise HarnessError(what, where=info.ref, remedy=remedy)


def _key_of(plan: Plan, role: Role) -> str:
    return f"models.{role if role in plan.models else INSTEAD[role]}"
