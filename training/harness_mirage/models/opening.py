"""Opens the base of a training: its processor, its chat template, and its weights in the format they learn in.

Full tuning holds all weights in float32 and computes in bfloat16 where the recipe says so: a step of 2e-6 is lost when
it is added to a weight in bfloat16. LoRA keeps the base, which does not learn, in the recipe's format.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import textwrap
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from harness import HarnessError, Training
from harness.local import CONFIG, Frontend, study
from harness_mirage.recipe import Recipe
from harness_mirage.settings import asked

from .base import Base
from .dialects import DIALECTS
from .places import folder_of
from .quiet import quiet
from .roles import roles
from .untyped import INSTALL, torch, transformers

#: Where a model with code of its own says which class it is, the likeliest first.
_KINDS: Final = ("AutoModelForImageTextToText", "AutoModelForVision2Seq", "AutoModelForCausalLM", "AutoModel")
_TOLD: Final = 300  #: characters of what transformers says


def open_base(training: Training, recipe: Recipe) -> Base:
    """The base with its weights, still on the CPU unless it is quantised.

    Raises:
        HarnessError: no such model, an adapter, no vision-language model, no chat template, an architecture whose
            parts are not known, or what the recipe asks for is not installed here.
    """
    outline = outlined(training, recipe)
    more = _quantized(recipe)
    with _told(training.model):
        kind = _kind(outline.config, outline.folder, trusted=asked(training, "trust_remote_code"))
        model, info = kind.from_pretrained(
            outline.folder,
            dtype=_dtype(recipe),
            attn_implementation=_attention(training),
            trust_remote_code=asked(training, "trust_remote_code"),
            output_loading_info=True,
            **more,
        )
    if missing := sorted(info["missing_keys"]):
        raise HarnessError(
            f"the checkpoint lacks {len(missing)} weights, which would be random: {', '.join(missing[:3])}, …",
            where=str(outline.folder),
            remedy="save the whole model",
        )
    if outline.dialect is not None:
        outline.dialect.adapt(model)
    return replace(outline, model=model, config=model.config, roles=roles(model, recipe.roles))


def outlined(training: Training, recipe: Recipe) -> Base:
    """The base without its weights: enough to say what would learn, and how much memory it takes.

    Raises:
        HarnessError: as `open_base`.
    """
    folder, trusted = folder_of(training.model), bool(asked(training, "trust_remote_code"))
    with _told(training.model):
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=trusted)
        kind = _kind(config, folder, trusted=trusted)
        frontend = _frontend(folder, trusted=trusted)
        with torch.device("meta"):
            build = getattr(kind, "from_config", None) or kind._from_config  # noqa: SLF001
            model = build(config, **({"trust_remote_code": trusted} if hasattr(kind, "from_config") else {}))
            model.tie_weights()
    chat = study(frontend, thinking="auto")
    if chat is None:
        raise HarnessError(
            "the model has no chat template, so it is not known how a conversation is written for it",
            where=training.model,
            remedy="name an instruction-tuned model, or put a chat_template.jinja into its folder",
        )
    dialect = DIALECTS.get(config.model_type)
    mark = dialect.mark if dialect else chat.mark
    if not mark:
        raise HarnessError("the model's chat template gives images no place", where=training.model)
    return Base(
        ref=training.model,
        folder=folder,
        architecture=config.model_type,
        config=config,
        model=model,
        frontend=frontend,
        chat=chat,
        roles=roles(model, recipe.roles),
        mark=mark,
        dialect=dialect,
        dtype=_stored(folder),
    )


def _kind(config: Any, folder: Path, *, trusted: bool) -> Any:
    """The class of the model. Raises HarnessError where it sees nothing, or where its code may not run."""
    if type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return transformers.AutoModelForImageTextToText
    named: dict[str, str] = getattr(config, "auto_map", None) or {}
    found = next((named[kind] for kind in _KINDS if kind in named), None)
    if found and trusted:
        return transformers.dynamic_module_utils.get_class_from_dynamic_module(found, str(folder))
    raise HarnessError(
        f"a {config.model_type!r} comes with code of its own" if found else f"a {config.model_type!r} sees no images",
        where=str(folder),
        remedy="-S trust_remote_code=true runs it" if found else "name a vision-language model",
    )


def _frontend(folder: Path, *, trusted: bool) -> Frontend:
    processor = transformers.AutoProcessor.from_pretrained(folder, trust_remote_code=trusted)
    if not hasattr(processor, "image_processor"):
        raise HarnessError(
            "the model comes without an image processor that transformers can call",
            where=str(folder),
            remedy="name its port to transformers: see docs/train-models.md",
        )
    return Frontend(processor, vlm=True)


def _dtype(recipe: Recipe) -> Any:
    keeps = recipe.tuning.value == "full" or recipe.precision.value == "fp32"
    return torch.float32 if keeps else torch.bfloat16


def _attention(training: Training) -> str | None:
    """Flash attention where it is installed and there is a GPU; else what transformers takes by itself."""
    flash = asked(training, "device") != "cpu" and torch.cuda.is_available()
    return "flash_attention_2" if flash and importlib.util.find_spec("flash_attn") is not None else None


def check_quantized(recipe: Recipe) -> None:
    """Whether a base of 4 bits can be had here, where the recipe wants one. Raises HarnessError."""
    if recipe.tuning.value != "qlora":
        return
    if importlib.util.find_spec("bitsandbytes") is None:
        raise HarnessError("tuning: qlora needs bitsandbytes", remedy="pip install bitsandbytes, or tuning: lora")
    if not torch.cuda.is_available():
        raise HarnessError("tuning: qlora needs a CUDA device, and there is none", remedy="tuning: lora")


def check_optimizer(recipe: Recipe) -> None:
    """Raises HarnessError where the recipe's optimizer is of a package that is not installed."""
    if recipe.optimizer.value.endswith("_8bit") and importlib.util.find_spec("bitsandbytes") is None:
        raise HarnessError(
            f"optimizer: {recipe.optimizer.value} needs bitsandbytes",
            remedy="pip install bitsandbytes, or --set optimizer=adamw_torch",
        )


def _quantized(recipe: Recipe) -> dict[str, Any]:
    check_quantized(recipe)
    if recipe.tuning.value != "qlora":
        return {}
    quantized = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )
    return {"quantization_config": quantized, "device_map": {"": torch.cuda.current_device()}}


def _stored(folder: Path) -> str:
    said: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return str(said.get("dtype") or said.get("torch_dtype") or "")


@contextlib.contextmanager
def _told(name: str) -> Generator[None]:
    """What transformers raises, as an error that the user can read."""
    try:
        with quiet():
            yield
    except HarnessError:
        raise
    except ImportError as error:
        raise HarnessError(f"the model needs a package: {error}", where=name, remedy=INSTALL) from error
    except Exception as error:
        line = textwrap.shorten(str(error), _TOLD, placeholder=" …")
        raise HarnessError(
            f"transformers cannot open this model: {type(error).__name__}: {line}",
            where=name,
            remedy="save its files again; code that comes with a model runs only with -S trust_remote_code=true",
        ) from error
