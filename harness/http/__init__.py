"""Helpers for provider authors: a client, chat messages as bytes, status codes to failures."""

from harness.http import chat
from harness.http.addresses import Address, address
from harness.http.client import Body, Client, Reply, Splice, connect, data_url, encode, parse, unreachable
from harness.http.reading import ENCODINGS, MIB, REPLY_LIMIT, Guarded, Unreadable, read, read_now

__all__ = [
    "ENCODINGS",
    "MIB",
    "REPLY_LIMIT",
    "Address",
    "Body",
    "Client",
    "Guarded",
    "Reply",
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
