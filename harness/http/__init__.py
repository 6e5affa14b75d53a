"""Helpers for provider authors: a client, chat messages as bytes, status codes to failures."""

from harness.http import chat
from harness.http.addresses import Address, address
from harness.http.client import Body, Client, Reply, Splice, connect, data_url, encode, parse, unreachable

__all__ = [
    "Address",
    "Body",
    "Client",
    "Reply",
    "Splice",
    "address",
    "chat",
    "connect",
    "data_url",
    "encode",
    "parse",
    "unreachable",
]
