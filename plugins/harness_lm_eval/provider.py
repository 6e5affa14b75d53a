"""The provider `lm-eval/…` and its settings."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from harness import Model, Provider, Setting, Settings
from harness.extras import require

SETTINGS = (
    Setting(
        name="model_args",
        type=str,
        default="",
        identity=True,
        help="lm-eval's --model_args, such as pretrained=PATH,dtype=float32",
    ),
    Setting(name="device", type=str, default=None, identity=False, help="lm-eval's --device, such as cuda:0 or cpu"),
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
    with require("lm-eval", by="lm-eval/"):
        from .model import open_model
    return open_model(name, settings)


PROVIDER = Provider(
    scheme="lm-eval",
    description="a model type of lm-eval, such as hf-multimodal, with -M model_args=…",
    open=_open,
    settings=SETTINGS,
    local=True,
)
