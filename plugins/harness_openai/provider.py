"""What the plugin offers: the provider `openai`, servers that speak Chat Completions as presets of it, and a painter.

A preset says where a server is, which key is its own, and what else is special. A key belongs to its server: it is sent
to the hosts of its row and to no other, whatever scheme is asked for. Sources of every value:
docs/providers/presets.md.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from harness import Brush, Model, Painter, Provider, Settings, preset
from harness.http.settings import (
    API_KEY_ENV,
    EXTRA,
    MAX_IMAGE_SIDE,
    MAX_IMAGES,
    MAX_REPLY_MIB,
    RESIZE,
    THINK_TAGS,
    TIMEOUT,
    identity,
    transport,
)


@asynccontextmanager
async def _open(name: str, settings: Settings) -> AsyncGenerator[Model]:
    from .model import open_model

    async with open_model(name, settings) as model:
        yield model


@asynccontextmanager
async def _open_brush(name: str, settings: Settings) -> AsyncGenerator[Brush]:
    from .brush import open_brush

    async with open_brush(name, settings) as brush:
        yield brush


_SERVER = (
    identity("base_url", str, "", "a compatible server, such as http://127.0.0.1:8000/v1; empty is OpenAI itself"),
    identity("azure_endpoint", str, "", "an Azure OpenAI resource, https://….openai.azure.com; NAME is the deployment"),
)
_ACCOUNT = (
    API_KEY_ENV,
    transport("organization", str, "", "OpenAI organization the call is billed to"),
    transport("project", str, "", "OpenAI project the call is billed to"),
    TIMEOUT,
    MAX_REPLY_MIB,
)
SETTINGS = (
    *_SERVER,
    identity("api_version", str, "2024-10-21", "Azure's API version"),
    identity("detail", str, "", "how closely images are looked at", ("auto", "low", "high")),
    RESIZE,
    identity("max_image_mb", float, 20.0, "largest image file that is sent as it is, in megabytes", least=0.0001),
    MAX_IMAGE_SIDE,
    identity(
        "image_types",
        str,
        "any",
        "types of images that are sent as they are; others become a PNG",
        ("any", "png,jpeg"),
    ),
    identity(
        "max_tokens_field",
        str,
        "auto",
        "name of the token limit on the wire; auto takes the other one where the first is refused",
        ("auto", "max_tokens", "max_completion_tokens"),
    ),
    identity("seed_field", str, "seed", "name of the seed on the wire", ("seed", "random_seed")),
    identity("reasoning_effort", str, "", "how long a reasoning model may think, such as low or high"),
    THINK_TAGS,
    EXTRA,
    *_ACCOUNT,
    MAX_IMAGES,
)
DRAWING = (
    *_SERVER,
    identity("api_version", str, "2025-04-01-preview", "Azure's API version"),
    identity(
        "sizes",
        str,
        "",
        "sizes the model draws, such as 1024x1024,1536x1024, or any; empty: what is known of the model",
    ),
    identity("quality", str, "", "how much work goes into an image, such as low, medium or high"),
    identity("moderation", str, "", "how strictly OpenAI filters what is drawn", ("auto", "low")),
    identity(
        "response_format",
        str,
        "auto",
        "ask for the image itself; auto does so at compatible servers until one refuses",
        ("auto", "b64_json", "off"),
    ),
    EXTRA,
    *_ACCOUNT,
)
OPENAI = Provider(
    scheme="openai",
    description="OpenAI, Azure OpenAI (-M azure_endpoint=…) and compatible servers (-M base_url=…)",
    open=_open,
    settings=SETTINGS,
)
PAINTER = Painter(
    scheme="openai",
    description="gpt-image models of OpenAI and Azure OpenAI, and compatible servers of the Images API (base_url)",
    open=_open_brush,
    settings=DRAWING,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One row.

    Attributes:
        scheme: what stands before the slash.
        name: as its makers write it.
        base_url: what `/chat/completions` is added to.
        key_env: the environment variable of its key; empty if it wants none unless it was started with one.
        hosts: those the key is for, with all below them; empty is the host of `base_url`.
        settings: other defaults of the openai provider's settings.
    """

    scheme: str
    name: str
    base_url: str
    key_env: str = ""
    hosts: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def owns(self, host: str) -> bool:
        """Whether a host is this server's."""
        own = self.hosts or (urlsplit(self.base_url).hostname or "",)
        return f".{host}".endswith(tuple(f".{name}" for name in own))

    @property
    def description(self) -> str:
        """The line in `harness models`."""
        key = f"key in {self.key_env}" if self.key_env else "no key"
        return f"{self.name} at {self.base_url}, {key}"


#: what only OpenAI itself and Azure have
_NOT_HERE = ("azure_endpoint", "api_version", "organization", "project")
#: not a preset: the provider itself
VENDOR = Server(scheme="openai", name="OpenAI", base_url="https://api.openai.com/v1", key_env="OPENAI_API_KEY")
SERVERS = (
    Server(
        scheme="openrouter",
        name="OpenRouter",
        base_url="https://openrouter.ai/api/v1",
        key_env="OPENROUTER_API_KEY",
    ),
    Server(
        scheme="together",
        name="Together AI",
        base_url="https://api.together.ai/v1",
        key_env="TOGETHER_API_KEY",
        hosts=("api.together.ai", "api.together.xyz"),
    ),
    Server(
        scheme="fireworks",
        name="Fireworks AI",
        base_url="https://api.fireworks.ai/inference/v1",
        key_env="FIREWORKS_API_KEY",
        settings={"max_images": 30, "max_image_mb": 3.6},  # all images of a request: 10 MB of base64; two of 3.6 fit
    ),
    Server(
        scheme="groq",
        name="Groq",
        base_url="https://api.groq.com/openai/v1",
        key_env="GROQ_API_KEY",
        settings={"max_images": 5, "max_image_mb": 1.4},  # a request: 4 MB of base64; two of 1.4 fit
    ),
    Server(
        scheme="mistral",
        name="Mistral AI",
        base_url="https://api.mistral.ai/v1",
        key_env="MISTRAL_API_KEY",
        settings={"max_images": 8, "max_image_mb": 10.0, "seed_field": "random_seed"},
    ),
    Server(
        scheme="xai",
        name="xAI",
        base_url="https://api.x.ai/v1",
        key_env="XAI_API_KEY",
        settings={"image_types": "png,jpeg"},
    ),
    Server(
        scheme="deepseek",
        name="DeepSeek (text only)",
        base_url="https://api.deepseek.com/v1",
        key_env="DEEPSEEK_API_KEY",
        settings={"max_images": 0},
    ),
    Server(
        scheme="dashscope",
        name="Alibaba Model Studio, international,",
        base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        key_env="DASHSCOPE_API_KEY",
        # aliyuncs.com also holds what its customers run there
        hosts=(
            "dashscope-intl.aliyuncs.com",
            "dashscope.aliyuncs.com",
            "dashscope-us.aliyuncs.com",
            "maas.aliyuncs.com",
        ),
        settings={"max_image_mb": 7.5},  # 10 MiB after base64
    ),
    Server(scheme="ollama", name="Ollama", base_url="http://127.0.0.1:11434/v1"),
    Server(scheme="lmstudio", name="LM Studio", base_url="http://127.0.0.1:1234/v1"),
    Server(scheme="sglang", name="SGLang", base_url="http://127.0.0.1:30000/v1"),
    Server(scheme="vllm-server", name="vllm serve", base_url="http://127.0.0.1:8000/v1"),
)


def key_env(url: str) -> str:
    """The environment variable of the key that belongs to an address; empty if none is known for it."""
    host = urlsplit(url).hostname or ""
    return next((server.key_env for server in (VENDOR, *SERVERS) if server.key_env and server.owns(host)), "")


def list_presets() -> Iterable[Provider]:
    """Each row as a provider made of `openai`."""
    for server in SERVERS:
        settings = {"base_url": server.base_url, **server.settings}
        yield preset(OPENAI, server.scheme, description=server.description, settings=settings, without=_NOT_HERE)
