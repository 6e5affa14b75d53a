"""The descriptor of `lm-eval/…`: its settings, and how it opens."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from harness import HarnessError, Model, Provider, Setting, Settings

from . import INSTALL

SETTINGS = (
    Setting(
        name="model_args",
        type=str,
        default="",
        identity=True,
        help="their --model_args, such as pretrained=PATH,dtype=float32",
    ),
    Setting(name="device", type=str, default=None, identity=False, help="their --device, such as cuda:0 or cpu"),
    Setting(name="batch_size", type=int, default=8, identity=False, help="most requests answered together", least=1),
    Setting(
        name="batch_wait",
        type=float,
        default=10.0,
        identity=False,
        help="milliseconds a request waits for others to join it",
        least=0,
    ),
)


def _open(name: str, settings: Settings) -> AbstractAsyncContextManager[Model]:
    try:
        from .model import open_model
    except ImportError as error:
        raise HarnessError(f"lm-eval/ needs the extra `lm-eval`: {error}", remedy=INSTALL) from error
    return open_model(name, settings)


PROVIDER = Provider(
    scheme="lm-eval",
    description="a model type of lm-eval, such as hf-multimodal, with -M model_args=…",
    open=_open,
    settings=SETTINGS,
    local=True,
)
