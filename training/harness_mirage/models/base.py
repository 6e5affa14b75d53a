"""The base of a training, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.local import Chat, Frontend

from .dialects import Dialect
from .roles import Roles


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A model that is about to learn.

    Attributes:
        ref: as the user named it.
        folder: that holds its files.
        architecture: model type of its configuration.
        config: of transformers.
        model: of transformers; its parameters lie on the meta device where only its outline was asked for.
        frontend: processor, tokenizer and chat template.
        chat: how the chat template wants to be spoken to.
        roles: of its parameters.
        mark: what stands for an image in a text.
        dialect: how it is fed, where it comes with code of its own; None for the models of transformers.
        dtype: number format that the checkpoint is stored in, as its configuration names it; empty where it does not.
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
