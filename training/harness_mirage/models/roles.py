"""Which part of a model is what: language model, projector or vision tower, by patterns on parameter names.

Every parameter has exactly one role, or nothing is trained: a part that was forgotten would be frozen or learn by
accident, and nobody would see it in the loss. Names are those of transformers 5 and of the two families that come with
code of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from harness import HarnessError
from harness_mirage.methods import Role

ROLES: Final[tuple[Role, ...]] = ("language", "projector", "vision")

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

#: What modules of a role are called, the most telling first; all others are the language model's, as embeddings are.
_CALLED: Final[Mapping[Role, tuple[str, ...]]] = {
    "projector": ("proj", "connector", "merger", "resampler", "bridge", "adapter", "mlp1", "newline"),
    "vision": ("vision", "visual", "vit", "image", "vpm", "eyes"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """The parameters of each role, by name; tied ones stand once."""

    named: Mapping[Role, tuple[str, ...]]

    def of(self, wanted: Iterable[Role]) -> frozenset[str]:
        """Names of the parameters of some roles."""
        return frozenset(name for role in wanted for name in self.named[role])


def roles(model: Any, given: Mapping[str, str] | None = None) -> Roles:
    """Find the role of every parameter.

    Args:
        model: of transformers.
        given: the recipe's `roles`, role -> pattern that a name begins with; empty or None for the known ones.

    Raises:
        HarnessError: the architecture is not known, a role is unknown, or a parameter has no role or two.
    """
    patterns = _checked(given) if given else KNOWN.get(model.config.model_type)
    names = [name for name, _ in model.named_parameters()]
    if patterns is None:
        raise _refused(model, f"it is not known which part of a {model.config.model_type!r} is what")
    found: dict[str, list[Role]] = {
        name: [role for role, pattern in patterns.items() if re.match(pattern, name)] for name in names
    }
    if strange := [name for name, its in found.items() if len(its) != 1]:
        one = strange[0]
        many = " and ".join(found[one])
        raise _refused(model, f"{len(strange)} parameters have no role or two: {one} has {many or 'none'}")
    return Roles(named={role: tuple(name for name in names if found[name] == [role]) for role in ROLES})


def _checked(given: Mapping[str, str]) -> dict[Role, str]:
    for role, pattern in given.items():
        if role not in ROLES:
            raise HarnessError(f"there is no role {role!r}", where="roles", remedy=f"one of {', '.join(ROLES)}")
        try:
            re.compile(pattern)
        except re.error as error:
            raise HarnessError(f"not a pattern: {error}", where=f"roles.{role}") from None
    return {role: given[role] for role in ROLES if role in given}


def modules(model: Any, depth: int = 2) -> dict[str, int]:
    """Parameters of each module, by the first parts of its name."""
    counts: dict[str, int] = {}
    for name, weight in model.named_parameters():
        head = ".".join(name.split(".")[:depth])
        counts[head] = counts.get(head, 0) + size(weight)
    return counts


def size(weight: Any) -> int:
    """Numbers in a parameter; one that is spread over devices holds none of them here."""
    return int(getattr(weight, "ds_numel", 0) or weight.numel())


def _refused(model: Any, what: str) -> HarnessError:
    listed = "".join(f"\n    {head}  {count:,}" for head, count in modules(model).items())
    return HarnessError(
        f"{what}; its modules and their parameters:{listed}",
        where=type(model).__name__,
        remedy="name the parts in a recipe of your own, by how their names begin, and train with --recipe FILE.yaml;\n"
        f"  guessed by their names, so look whether it is right:\n    roles: {{{guessed(modules(model))}}}",
    )


def guessed(heads: Iterable[str]) -> str:
    """Patterns for modules, by what such modules are called, as they stand in a recipe; `…` where none is."""
    found: dict[Role, list[str]] = {role: [] for role in ROLES}
    for head in heads:
        found[_likely(head.lower())].append(re.escape(head))
    return ", ".join(f"{role}: '{'|'.join(heads) or '…'}'" for role, heads in found.items())


def _likely(head: str) -> Role:
    for role, words in _CALLED.items():
        if any(word in head for word in words):
            return role
    return "language"
