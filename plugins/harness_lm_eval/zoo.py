"""lm-eval's types: found by name, made from their arguments, and what each can be asked."""

from __future__ import annotations

import gc
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness import HarnessError, Json, Settings, UnknownName
from harness.fingerprint import of_folder
from harness.settings import nearest

from . import INSTALL
from .untyped import Untyped, models, registry, utils

#: pictures: images in the context; words: text alone; chat: OpenAI's messages to a server; completions: raw text to one
Kind = Literal["pictures", "words", "chat", "completions"]
_KEYS = frozenset({"api_key", "auth_token", "header", "headers", "key", "password", "token"})
_OWN_MESSAGES = "AnthropicChat"  # speaks over the same base, and takes no images in OpenAI's form


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An open model of theirs.

    Attributes:
        lm: theirs.
        kind: how it is asked.
        arguments: as they were parsed.
        system: its chat template takes a system message; None where it has no chat template.
    """

    lm: Untyped
    kind: Kind
    arguments: Mapping[str, Any]
    system: bool | None

    @property
    def remote(self) -> bool:
        """Whether another process answers."""
        return self.kind in ("chat", "completions")

    @property
    def fingerprint(self) -> dict[str, Json]:
        """The type, and the files of a model that lies in a folder; nothing where another process answers."""
        folder = Path(str(self.arguments.get("pretrained", ""))).expanduser()
        if self.remote or not self.arguments.get("pretrained") or not folder.is_dir():
            return {}
        return {"type": type(self.lm).__name__, **of_folder(folder)}


def make(name: str, settings: Settings) -> Made:
    """Find and open `lm-eval/NAME`. Blocking.

    Raises:
        UnknownName: lm-eval has no such type.
        HarnessError: it cannot be opened with these arguments.
    """
    names = sorted({*models.MODEL_MAPPING, *registry.model_registry})
    if name not in names:
        raise UnknownName(f"lm-eval has no model type {name!r}", remedy=nearest(name, names))
    try:
        arguments: dict[str, Any] = utils.simple_parse_args_string(settings["model_args"])
        _check_open(arguments)
        kind = registry.get_model(name)
        lm = kind.create_from_arg_obj(_defaults(kind, settings) | arguments, {"device": settings["device"]})
    except ImportError as error:
        raise HarnessError(f"lm-eval/{name} needs a package that is not here: {error}", remedy=INSTALL) from error
    except HarnessError:
        raise
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        remedy = "check -M model_args=…, which are lm-eval's own --model_args"
        raise HarnessError(f"lm-eval/{name} cannot be opened: {said[:500]}", remedy=remedy) from error
    return Made(lm=lm, kind=_kind(lm), arguments=arguments, system=_system(lm))


def _check_open(arguments: Mapping[str, Any]) -> None:
    """Raises HarnessError where the arguments hold a key: settings are recorded. `token=True` is none."""
    if held := sorted(name for name, value in arguments.items() if name in _KEYS and isinstance(value, str)):
        raise HarnessError(
            f"-M model_args must not hold {', '.join(held)}: settings are recorded",
            remedy="put the key into the environment variable that lm-eval reads, such as OPENAI_API_KEY or HF_TOKEN",
        )


def _defaults(kind: Untyped, settings: Settings) -> dict[str, Any]:
    """What is ours to say unless the user does: trying again is the engine's, and so is how many calls there are."""
    if "TemplateAPI" in _lineage(kind):
        return {"batch_size": 1, "num_concurrent": 1, "max_retries": 1}
    return {"batch_size": settings["batch_size"]}


def _lineage(kind: Untyped) -> set[str]:
    bases: tuple[type, ...] = kind.__mro__
    return {base.__name__ for base in bases}


def _kind(lm: Untyped) -> Kind:
    lineage = _lineage(lm.__class__)
    if "LocalChatCompletion" in lineage and _OWN_MESSAGES not in lineage:
        return "chat"
    if "TemplateAPI" in lineage:
        return "completions"
    return "pictures" if getattr(lm, "MULTIMODAL", False) and hasattr(lm, "max_images") else "words"


def _system(lm: Untyped) -> bool | None:
    """Whether a conversation may have a system message, or may be had at all."""
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    for system, history in ((True, turns), (False, turns[1:])):
        try:
            lm.apply_chat_template([dict(turn) for turn in history])
        except Exception:  # noqa: BLE001, S112 - a template raises what it likes
            continue
        return system
    return None


def release(made: Made) -> None:
    """Give a model's memory back, as far as nobody else holds it."""
    made.lm.__dict__.clear()
    gc.collect()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
