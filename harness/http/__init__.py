"""Helpers for provider authors: a client, chat messages as bytes, status codes to failures; imported on first use."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.http import chat
    from harness.http.client import (
        Body,
        Client,
        ImageBytes,
        Reply,
        SdkConnection,
        Splice,
        connect,
        data_url,
        encode,
        parse,
        unreachable,
    )
    from harness.http.reading import ENCODINGS, MIB, REPLY_LIMIT, Guarded, Unreadable, read, read_now
    from harness.http.settings import Address, address

__all__ = [
    "ENCODINGS",
    "MIB",
    "REPLY_LIMIT",
    "Address",
    "Body",
    "Client",
    "Guarded",
    "ImageBytes",
    "Reply",
    "SdkConnection",
    "Splice",
    "Unreadable",
    "address",
    "chat",
    "connect",
    "data_url",
    "encode",
    "parse",
    "read",
    "read_now",
    "unreachable",
]
_HOME = {
    "client": "Body Client ImageBytes Reply SdkConnection Splice connect data_url encode parse unreachable",
    "reading": "ENCODINGS MIB REPLY_LIMIT Guarded Unreadable read read_now",
    "settings": "Address address",
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name == "chat":
        return importlib.import_module("harness.http.chat")
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'harness.http' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULE_OF[name]}", __name__), name)
    globals()[name] = value
    return value
