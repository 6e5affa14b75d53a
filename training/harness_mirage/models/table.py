"""The table of what learns and what is frozen, with counts."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from harness_mirage.methods import Role

from .roles import ROLES, Roles, size


def table(model: Any, roles: Roles, *, title: str = "") -> Table:
    """A row for each role: its parameters, and how many numbers of it learn.

    Args:
        model: frozen as it will be; where adapters were put on it, their numbers count to the role they sit on.
        roles: of the model's own parameters, before any adapter.
        title: above the table.
    """
    drawn = Table(title=title or None, title_justify="left")
    for heading in ("part", "", "parameters", "learning"):
        drawn.add_column(heading, justify="right" if heading in {"parameters", "learning"} else "left")
    totals = counted(model, roles)
    for role in ROLES:
        whole, learning = totals[role]
        drawn.add_row(role, "learns" if learning else "frozen", f"{whole:,}", f"{learning:,}")
    whole, learning = (sum(pair[at] for pair in totals.values()) for at in (0, 1))
    drawn.add_section()
    drawn.add_row("all", "", f"{whole:,}", f"{learning:,}")
    return drawn


def counted(model: Any, roles: Roles) -> dict[Role, tuple[int, int]]:
    """Role -> numbers of its own parameters, and numbers that learn in it (adapters included)."""
    owner: dict[str, Role] = {name.rpartition(".")[0]: role for role in ROLES for name in roles.named[role]}
    own: dict[str, Role] = {name: role for role in ROLES for name in roles.named[role]}
    totals: dict[Role, list[int]] = {role: [0, 0] for role in ROLES}
    for name, weight in model.named_parameters():
        plain = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
        role = own.get(plain) or owner[plain.partition(".lora_")[0]]
        totals[role][0] += size(weight) if plain in own else 0
        totals[role][1] += size(weight) if weight.requires_grad else 0
    return {role: (whole, learning) for role, (whole, learning) in totals.items()}


def text(drawn: Table, width: int = 100) -> str:
    """The table as lines of text."""
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get()
