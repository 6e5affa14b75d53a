"""The base of a training: its processor, its chat template, and its weights in the number format they learn in.

Full tuning holds all weights in float32 and computes in bfloat16 if the recipe says so: a step of 2e-6 is lost when it
is added to a weight in bfloat16. LoRA keeps the base, which does not learn, in the recipe's format.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import textwrap
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from harness import HarnessError, Training
from harness.extras import Untyped
from harness.local import CONFIG, Chat, Frontend, study
from harness_mirage.methods import get_setting
from harness_mirage.recipe import Recipe

from .roles import Roles, find_roles
from .untyped import INSTALL, quiet, torch, transformers
from .weights import find_model_folder

#: Where a model with code of its own says which class it is, the likeliest first.
_CLASSES: Final = ("AutoModelForImageTextToText", "AutoModelForVision2Seq", "AutoModelForCausalLM", "AutoModel")
_MESSAGE: Final = 300  #: characters of what transformers says
_TEXT: Final = ("labels", "attention_mask", "num_items_in_batch", "use_cache")  # for MiniCPM-V's language model


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a model with code of its own differs from the models of transformers.

    Attributes:
        mark: what stands for an image in a text.
        adapt: make the model take a batch as all others do, and compute its loss from `labels`.
    """

    mark: str
    adapt: Callable[[Untyped], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A model that is about to learn.

    Attributes:
        ref: as the user named it.
        folder: of its files.
        architecture: model type of its configuration.
        config: of transformers.
        model: of transformers; in an outline its parameters lie on the meta device.
        frontend: processor, tokenizer and chat template.
        chat: how the chat template wants its messages.
        roles: of its parameters.
        mark: what stands for an image in a text.
        dialect: of a model with code of its own; None for the models of transformers.
        dtype: number format of the checkpoint, as its configuration names it; empty if it names none.
    """

    ref: str
    folder: Path
    architecture: str
    config: Any
    model: Any
    frontend: Frontend
    chat: Chat
    roles: Roles
    mark: str
    dialect: Dialect | None
    dtype: str


def open_base(training: Training, recipe: Recipe) -> Base:
    """Open the base with its weights, on the CPU unless it is quantised.

    Raises:
        HarnessError: no such model, an adapter, no vision-language model, no chat template, an architecture whose
            parts are not known, or what the recipe asks for is not installed here.
    """
    outline = outline_base(training, recipe)
    check_quantized(recipe)
    options: dict[str, Any] = {}
    if recipe.tuning.value == "qlora":
        quantized = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
        options = {"quantization_config": quantized, "device_map": {"": torch.cuda.current_device()}}
    wide = recipe.tuning.value == "full" or recipe.precision.value == "fp32"
    on_gpu = get_setting(training, "device") != "cpu" and torch.cuda.is_available()
    flash = on_gpu and importlib.util.find_spec("flash_attn") is not None
    with _readable_errors(training.model):
        trusted = get_setting(training, "trust_remote_code")
        kind = _find_class(outline.config, outline.folder, trusted=trusted)
        model, info = kind.from_pretrained(
            outline.folder,
            dtype=torch.float32 if wide else torch.bfloat16,
            attn_implementation="flash_attention_2" if flash else None,
            trust_remote_code=trusted,
            output_loading_info=True,
            **options,
        )
    if missing := sorted(info["missing_keys"]):
        raise HarnessError(
            f"the checkpoint lacks {len(missing)} weights, which would be random: {', '.join(missing[:3])}, …",
            where=str(outline.folder),
            remedy="save the whole model",
        )
    if outline.dialect is not None:
        outline.dialect.adapt(model)
    return replace(outline, model=model, config=model.config, roles=find_roles(model, recipe.roles))


def outline_base(training: Training, recipe: Recipe) -> Base:
    """Open the base without its weights: enough to tell what would learn, and how much memory it takes.

    Raises:
        HarnessError: as `open_base`.
    """
    folder, trusted = find_model_folder(training.model), bool(get_setting(training, "trust_remote_code"))
    with _readable_errors(training.model):
        config = transformers.AutoConfig.from_pretrained(folder, trust_remote_code=trusted)
        kind = _find_class(config, folder, trusted=trusted)
        processor = transformers.AutoProcessor.from_pretrained(folder, trust_remote_code=trusted)
        if not hasattr(processor, "image_processor"):
            raise HarnessError(
                "the model comes without an image processor that transformers can call",
                where=str(folder),
                remedy="name its port to transformers: see docs/train-models.md",
            )
        frontend = Frontend(processor, vlm=True)
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
    dialect = _DIALECTS.get(config.model_type)
    mark = dialect.mark if dialect else chat.mark
    if not mark:
        raise HarnessError("the model's chat template has no place for images", where=training.model)
    said: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    return Base(
        ref=training.model,
        folder=folder,
        architecture=config.model_type,
        config=config,
        model=model,
        frontend=frontend,
        chat=chat,
        roles=find_roles(model, recipe.roles),
        mark=mark,
        dialect=dialect,
        dtype=str(said.get("dtype") or said.get("torch_dtype") or ""),
    )


def _find_class(config: Any, folder: Path, *, trusted: bool) -> Any:
    """The class of the model. Raises HarnessError if it sees no images, or if its code may not run."""
    if type(config) in transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return transformers.AutoModelForImageTextToText
    named: dict[str, str] = getattr(config, "auto_map", None) or {}
    found = next((named[kind] for kind in _CLASSES if kind in named), None)
    if found and trusted:
        return transformers.dynamic_module_utils.get_class_from_dynamic_module(found, str(folder))
    raise HarnessError(
        f"a {config.model_type!r} comes with code of its own" if found else f"a {config.model_type!r} sees no images",
        where=str(folder),
        remedy="-S trust_remote_code=true runs it" if found else "name a vision-language model",
    )


def check_quantized(recipe: Recipe) -> None:
    """Check that this machine can quantise a base to 4 bits, if the recipe wants one. Raises HarnessError."""
    if recipe.tuning.value != "qlora":
        return
    if importlib.util.find_spec("bitsandbytes") is None:
        raise HarnessError("tuning: qlora needs bitsandbytes", remedy="pip install bitsandbytes, or tuning: lora")
    if not torch.cuda.is_available():
        raise HarnessError("tuning: qlora needs a CUDA device, and there is none", remedy="tuning: lora")


def check_optimizer(recipe: Recipe) -> None:
    """Raise HarnessError if the package of the recipe's optimizer is not installed."""
    if recipe.optimizer.value.endswith("_8bit") and importlib.util.find_spec("bitsandbytes") is None:
        raise HarnessError(
            f"optimizer: {recipe.optimizer.value} needs bitsandbytes",
            remedy="pip install bitsandbytes, or --set optimizer=adamw_torch",
        )


@contextlib.contextmanager
def _readable_errors(name: str) -> Generator[None]:
    """Raise what transformers raises as an error that the user can read."""
    try:
        with quiet():
            yield
    except HarnessError:
        raise
    except ImportError as error:
        raise HarnessError(f"the model needs a package: {error}", where=name, remedy=INSTALL) from error
    except Exception as error:
        line = textwrap.shorten(str(error), _MESSAGE, placeholder=" …")
        raise HarnessError(
            f"transformers cannot open this model: {type(error).__name__}: {line}",
            where=name,
            remedy="save its files again; code that comes with a model runs only with -S trust_remote_code=true",
        ) from error


def _adapt_minicpmv(model: Untyped) -> None:
    """Feed MiniCPM-V 2.6, which takes its whole batch as one argument and wants positions in it.

    Its images stand in plain text as a mark of its own, and its language model computes the loss. It runs its vision
    tower once for every `vision_batch_size` pieces of images, so one of several devices would run it more often than
    another, which waits for ever if the weights are spread: there all pieces go through it at once.
    """
    inner, config = model.forward, model.config

    def forward(**batch: Any) -> Untyped:
        ids, mask = batch["input_ids"], batch["attention_mask"]
        text = {key: batch.pop(key) for key in _TEXT if key in batch}
        nothing: list[list[Untyped]] = [[] for _ in ids]
        images = {key: batch.get(key, nothing) for key in ("pixel_values", "image_bound", "tgt_sizes")}
        positions = (mask.long().cumsum(-1) - 1).clamp(min=0)
        most: int | None = getattr(config, "vision_batch_size", None)
        together = torch.distributed.is_available() and torch.distributed.is_initialized()
        if most is not None and together:
            config.vision_batch_size = max(most, sum(map(len, images["pixel_values"])))
        try:
            return inner({"input_ids": ids, "position_ids": positions, **images}, **text)
        finally:
            if most is not None:
                config.vision_batch_size = most  # it is saved with the model

    model.forward = forward


#: By the model type of the configuration.
_DIALECTS: Final[Mapping[str, Dialect]] = {"minicpmv": Dialect(mark="(<image>./</image>)", adapt=_adapt_minicpmv)}
