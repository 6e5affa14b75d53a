"""The builder `mis`, described; what builds is imported when it builds."""

from __future__ import annotations

from harness import Build, Builder, Built, Setting


async def _build(build: Build) -> Built:
    from harness_builder.building import build as build_set

    return await build_set(build)


def _plan(build: Build) -> str:
    from harness_builder.building import plan

    return plan(build)


BUILDER = Builder(
    name="mis",
    description="pairs of images whose risk is in neither alone, with MIS's layout and four steps",
    build=_build,
    plan=_plan,
    settings=(
        Setting(
            name="finish",
            type=bool,
            default=False,
            identity=False,
            help="let what failed for a reason that may pass, or for want of any reply of use, be left out, so that "
            "the set is complete without it",
        ),
    ),
)
