"""`harness models`: the providers, and what each takes."""

from __future__ import annotations

from collections.abc import Mapping

from harness.contracts import Provider
from harness.models import list_settings
from harness.types import Json

from .configured import schemes_flag, with_schemes
from .listing import Listing, list_command


def _example(provider: Provider) -> Mapping[str, Json]:
    return {"model": f"{provider.scheme}/NAME", "base": provider.base or None}


def _details(provider: Provider) -> str:
    made = f"\n  {provider.base} with other defaults" if provider.base else ""
    return f"  --model {provider.scheme}/NAME{made}"


command = list_command(
    Listing(
        kind="models",
        key="scheme",
        columns={"OF": lambda provider: provider.base},
        facts=_example,
        details=_details,
        flag=lambda _: "-M KEY=VALUE",
        settings=list_settings,
        host=with_schemes,
        flags=schemes_flag,
    ),
    "List the providers of models, or show some in detail.",
)
