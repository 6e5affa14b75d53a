"""Which part of a model is what (language model, projector or vision tower), and which parts learn.

Every parameter has exactly one role, or nothing is trained: a part that was forgotten would be frozen or learn by
accident, and the loss would not show it. Roles are patterns on parameter names; the names are those of transformers 5
and of the two families that come with code of their own.

All but what a method trains is frozen. With LoRA every trained role gets adapters on its linear layers, the projector
as well: an adapter that also carried a whole projector would be one that servers cannot load. The output layer gets
none. A part without linear layers (Gemma 3's projector is a single matrix) does not learn, and the table says so.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from harness import HarnessError
from harness_mirage.methods import ROLES, Role
from harness_mirage.recipe import Recipe

from .untyped import peft, quiet, torch

if TYPE_CHECKING:
    from .base import Base

_QWEN: Final[Mapping[Role, str]] = {
    "language": r"model\.language_model\.|lm_head\.",
    "projector": r"model\.visual\.(merger|deepstack_merger_list)\.",
    "vision": r"model\.visual\.(?!merger\.|deepstack_merger_list\.)",
}
_TOWER: Final[Mapping[Role, str]] = {
    "language": r"model\.language_model\.|lm_head\.",
    "projector": r"model\.multi_modal_projector\.|model\.image_newline$",
    "vision": r"model\.vision_tower\.",
}
_IDEFICS: Final[Mapping[Role, str]] = {
    "language": r"model\.text_model\.|lm_head\.",
    "projector": r"model\.connector\.",
    "vision": r"model\.vision_model\.",
}
#: By the model type of the configuration. The embeddings and the output layer belong to the language model.
KNOWN: Final[Mapping[str, Mapping[Role, str]]] = {
    "qwen2_vl": _QWEN,
    "qwen2_5_vl": _QWEN,
    "qwen3_vl": _QWEN,
    "internvl": _TOWER,
    "llava": _TOWER,
    "llava_next": _TOWER,
    "llava_onevision": _TOWER,
    "gemma3": _TOWER,
    "idefics3": _IDEFICS,
    "smolvlm": _IDEFICS,
    "internvl_chat": {"language": r"language_model\.", "projector": r"mlp1\.", "vision": r"vision_model\."},
    "minicpmv": {"language": r"llm\.", "projector": r"resampler\.", "vision": r"vpm\."},
}

#: What modules of a role are called, the clearest first; all others are the language model's, as embeddings are.
_CALLED: Final[Mapping[Role, tuple[str, ...]]] = {
    "projector": ("proj", "connector", "merger", "resampler", "bridge", "adapter", "mlp1", "newline"),
    "vision": ("vision", "visual", "vit", "image", "vpm", "eyes"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The parameters of each role, by name; tied ones are listed once."""

    named: Mapping[Role, tuple[str, ...]]

    def select(self, wanted: Iterable[Role]) -> frozenset[str]:
        """Names of the parameters of some roles."""
        return frozenset(name for role in wanted for name in self.named[role])


def find_roles(model: Any, given: Mapping[str, str] | None = None) -> Roles:
    """Find the role of every parameter.

    Args:
        model: of transformers.
        given: the recipe's `roles`, role -> pattern that a name begins with; empty or None for the known ones.

    Raises:
        HarnessError: the architecture is not known, a role is unknown, or a parameter has no role or two.
    """
    for role, pattern in (given or {}).items():
        if role not in ROLES:
            raise HarnessError(f"there is no role {role!r}", where="roles", remedy=f"one of {', '.join(ROLES)}")
        try:
            re.compile(pattern)
        except re.error as error:
            raise HarnessError(f"not a pattern: {error}", where=f"roles.{role}") from None
    patterns: Mapping[Role, str] | None = KNOWN.get(model.config.model_type)
    if given:
        patterns = {role: given[role] for role in ROLES if role in given}
    names = [name for name, _ in model.named_parameters()]
    if patterns is None:
        raise _roles_error(model, f"it is not known which part of a {model.config.model_type!r} is what")
    found: dict[str, list[Role]] = {
        name: [role for role, pattern in patterns.items() if re.match(pattern, name)] for name in names
    }
    if strange := [name for name, its in found.items() if len(its) != 1]:
        many = " and ".join(found[strange[0]])
        raise _roles_error(
            model, f"{len(strange)} parameters do not have exactly one role: {strange[0]} has {many or 'none'}"
        )
    return Roles(named={role: tuple(name for name in names if found[name] == [role]) for role in ROLES})


def _roles_error(model: Any, what: str) -> HarnessError:
    """An error that lists the model's modules, and guesses their roles for a recipe."""
    counts: dict[str, int] = {}
    for name, weight in model.named_parameters():
        head = ".".join(name.split(".")[:2])
        counts[head] = counts.get(head, 0) + count_numbers(weight)
    listed = "".join(f"\n    {head}  {count:,}" for head, count in counts.items())
    return HarnessError(
        f"{what}; its modules and their parameters:{listed}",
        where=type(model).__name__,
        remedy="name the parts in a recipe of your own, by how their names begin, and train with --recipe FILE.yaml;\n"
        f"  guessed by their names, so check it:\n    roles: {{{guess_roles(counts)}}}",
    )


def guess_roles(modules: Iterable[str]) -> str:
    """Patterns for modules by what they are called, as a recipe writes them; `…` for a role without any."""
    found: dict[Role, list[str]] = {role: [] for role in ROLES}
    for module in modules:
        role: Role = "language"
        for called, words in _CALLED.items():
            if any(word in module.lower() for word in words):
                role = called
                break
        found[role].append(re.escape(module))
    return ", ".join(f"{role}: '{'|'.join(each) or '…'}'" for role, each in found.items())


def count_numbers(weight: Any) -> int:
    """Numbers in a parameter; one that DeepSpeed spreads over devices holds none of them here."""
    return int(getattr(weight, "ds_numel", 0) or weight.numel())


def freeze(base: Base, trained: Collection[Role], recipe: Recipe) -> Any:
    """Let exactly these roles learn.

    Returns:
        None for full tuning, whose frozen parameters are now marked in the model; else the peft configuration by
        which the caller wraps the model.

    Raises:
        HarnessError: no parameter would learn.
    """
    learning = base.roles.select(trained)
    full = recipe.tuning.value == "full"
    for name, weight in base.model.named_parameters():
        if weight.is_floating_point():
            weight.requires_grad_(full and name in learning)
    if full:
        if not learning:
            raise HarnessError(f"no parameter of {', '.join(trained)} is in this model", where=base.ref)
        return None
    return peft.LoraConfig(
        task_type="CAUSAL_LM" if hasattr(base.model, "prepare_inputs_for_generation") else None,
        r=recipe.rank.value,
        lora_alpha=recipe.alpha.value,
        lora_dropout=recipe.dropout.value,
        target_modules=match_linear_layers(base, trained),
    )


def outline_learner(base: Base, trained: Collection[Role], recipe: Recipe) -> Any:
    """The model of an outlined base as it would learn, adapters and all, to be counted before a training."""
    adapters = freeze(base, trained, recipe)
    if adapters is None:
        return base.model
    with quiet(), next(base.model.parameters()).device:
        return peft.get_peft_model(base.model, adapters)


def match_linear_layers(base: Base, trained: Collection[Role]) -> str:
    """A pattern that matches the linear layers of some roles, and no other module. Raises HarnessError for no layer."""
    learning, output = base.roles.select(trained), base.model.get_output_embeddings()
    modules: dict[str, Any] = dict(base.model.named_modules())
    linear = {
        name
        for name, module in modules.items()
        if isinstance(module, torch.nn.Linear) and module is not output and f"{name}.weight" in learning
    }
    if not linear:
        raise HarnessError(f"no linear layer of {', '.join(trained)} is in this model", where=base.ref)
    patterns: set[str] = set()
    for name in linear:
        exact = re.escape(name)
        any_number = re.sub(r"\\\.\d+(?=\\\.|$)", r"\\.\\d+", exact)
        same = {each for each in modules if re.fullmatch(any_number, each)} <= linear
        patterns.add(any_number if same else exact)
    return "|".join(sorted(patterns))


def count_parameters(model: Any, roles: Roles) -> dict[Role, tuple[int, int]]:
    """Role -> numbers of its own parameters, and numbers that learn in it (adapters included).

    Args:
        model: frozen as it will be; adapters count to the role they sit on.
        roles: of the model's own parameters, before any adapter.
    """
    own: dict[str, Role] = {name: role for role in ROLES for name in roles.named[role]}
    owner: dict[str, Role] = {name.rpartition(".")[0]: role for name, role in own.items()}
    totals: dict[Role, list[int]] = {role: [0, 0] for role in ROLES}
    for name, weight in model.named_parameters():
        plain = name.removeprefix("base_model.model.").replace(".base_layer.", ".")
        role = own.get(plain) or owner[plain.partition(".lora_")[0]]
        totals[role][0] += count_numbers(weight) if plain in own else 0
        totals[role][1] += count_numbers(weight) if weight.requires_grad else 0
    return {role: (whole, learning) for role, (whole, learning) in totals.items()}


def format_roles(model: Any, roles: Roles, *, title: str = "", width: int = 100) -> str:
    """A table with a row for each role: its parameters, and how many numbers of it learn. As `count_parameters`."""
    table = Table(title=title or None, title_justify="left")
    for heading in ("part", "", "parameters", "learning"):
        table.add_column(heading, justify="right" if heading in {"parameters", "learning"} else "left")
    totals = count_parameters(model, roles)
    for role, (whole, learning) in totals.items():
        table.add_row(role, "learns" if learning else "frozen", f"{whole:,}", f"{learning:,}")
    table.add_section()
    whole, learning = (sum(pair[at] for pair in totals.values()) for at in (0, 1))
    table.add_row("all", "", f"{whole:,}", f"{learning:,}")
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get()
