"""`harness models`: the providers, and what each takes."""

from __future__ import annotations

from collections.abc import Mapping

from harness.contracts import Provider
from harness.types import Json

from .listing import Listing, list_command


def _example(provider: Provider) -> Mapping[str, Json]:
    return {"model": f"{provider.scheme}/NAME"}


def _details(provider: Provider) -> str:
    return f"  --model {provider.scheme}/NAME"


command = list_command(
    Listing(
        kind="models",
        key="scheme",
        columns={},
        facts=_example,
        details=_details,
        flag=lambda _: "-M KEY=VALUE",
    ),
    "List the providers of models, or show some in detail.",
)
