"""lm-eval's model types: found by name, opened with their arguments, and what each can be asked."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness import HarnessError, Json, Settings, UnknownName
from harness.extras import Untyped, install_command
from harness.fingerprint import hash_folder
from harness.settings import nearest

models: Untyped = importlib.import_module("lm_eval.models")
registry: Untyped = importlib.import_module("lm_eval.api.registry")
utils: Untyped = importlib.import_module("lm_eval.utils")
#: pictures: images in the context; words: text alone; chat: OpenAI's messages to a server; completions: raw text to one
Kind = Literal["pictures", "words", "chat", "completions"]
_KEYS = frozenset({"api_key", "auth_token", "header", "headers", "key", "password", "token"})
_OWN_MESSAGES = "AnthropicChat"  # speaks over the same base, and takes no images in OpenAI's form


@dataclass(frozen=True, slots=True, kw_only=True)
class LmEvalType:
    """An open model of theirs.

    Attributes:
        lm: theirs.
        kind: how it is asked.
        arguments: as they were parsed.
        system: its chat template takes a system message; None if it has no chat template.
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
        return {"type": type(self.lm).__name__, **hash_folder(folder)}


def open_type(name: str, settings: Settings) -> LmEvalType:
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
        _check_no_key(arguments)
        kind = registry.get_model(name)
        # trying again is the engine's, and so is how many calls there are at once
        remote = "TemplateAPI" in _base_names(kind)
        usual = {"batch_size": 1, "num_concurrent": 1, "max_retries": 1}
        defaults = usual if remote else {"batch_size": settings["batch_size"]}
        lm = kind.create_from_arg_obj(defaults | arguments, {"device": settings["device"]})
    except ImportError as error:
        raise HarnessError(
            f"lm-eval/{name} needs a package that is not here: {error}", remedy=install_command("lm-eval")
        ) from error
    except HarnessError:
        raise
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
        remedy = "check -M model_args=…, which are lm-eval's own --model_args"
        raise HarnessError(f"lm-eval/{name} cannot be opened: {said[:500]}", remedy=remedy) from error
    return LmEvalType(lm=lm, kind=_find_kind(lm), arguments=arguments, system=_takes_system(lm))


def _check_no_key(arguments: Mapping[str, Any]) -> None:
    """Raise HarnessError if the arguments hold a key: settings are recorded. `token=True` is none."""
    if held := sorted(name for name, value in arguments.items() if name in _KEYS and isinstance(value, str)):
        raise HarnessError(
            f"-M model_args must not hold {', '.join(held)}: settings are recorded",
            remedy="put the key into the environment variable that lm-eval reads, such as OPENAI_API_KEY or HF_TOKEN",
        )


def _base_names(kind: Untyped) -> set[str]:
    mro: tuple[type, ...] = kind.__mro__
    return {base.__name__ for base in mro}


def _find_kind(lm: Untyped) -> Kind:
    bases = _base_names(lm.__class__)
    if "LocalChatCompletion" in bases and _OWN_MESSAGES not in bases:
        return "chat"
    if "TemplateAPI" in bases:
        return "completions"
    return "pictures" if getattr(lm, "MULTIMODAL", False) and hasattr(lm, "max_images") else "words"


def _takes_system(lm: Untyped) -> bool | None:
    """Whether its chat template takes a system message; None if there is no chat template."""
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    for system, history in ((True, turns), (False, turns[1:])):
        try:
            lm.apply_chat_template([dict(turn) for turn in history])
        except Exception:  # noqa: BLE001, S112 - a template raises what it likes
            continue
        return system
    return None


def release(model: LmEvalType) -> None:
    """Give a model's memory back, as far as nothing else holds it."""
    model.lm.__dict__.clear()
    gc.collect()
    torch: Any = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
