"""Servers that speak Chat Completions: the address, key and special settings of each.

A key belongs to its server: it goes only to the hosts of its row, whatever the scheme. Sources of every value:
docs/providers/presets.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from harness.http.settings import is_host_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One server.

    Attributes:
        scheme: the part before the slash.
        name: official spelling.
        base_url: URL before `/chat/completions`.
        key_env: environment variable of its key; empty if it needs none by default.
        hosts: hosts that may get the key, with subdomains; empty: the host of `base_url`.
        settings: changed defaults of the openai provider.
        batch: whether it is known to have OpenAI's files and batches.
    """

    scheme: str
    name: str
    base_url: str
    key_env: str = ""
    hosts: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])
    batch: bool = False

    def owns(self, url: str) -> bool:
        """Whether an address is on this server."""
        return is_host_of(url, *(self.hosts or (urlsplit(self.base_url).hostname or "",)))


#: the provider itself, not a preset
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
        batch=True,
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
        batch=True,
    ),
    Server(scheme="ollama", name="Ollama", base_url="http://127.0.0.1:11434/v1"),
    Server(scheme="lmstudio", name="LM Studio", base_url="http://127.0.0.1:1234/v1"),
    Server(scheme="sglang", name="SGLang", base_url="http://127.0.0.1:30000/v1"),
    Server(
        scheme="vllm-server",
        name="vllm serve",
        base_url="http://127.0.0.1:8000/v1",
        settings={"batch_form": "run-batch"},
        batch=True,
    ),
)


def key_env(url: str) -> str:
    """The environment variable of the key for an address; empty if unknown."""
    return next((server.key_env for server in (VENDOR, *SERVERS) if server.key_env and server.owns(url)), "")
