"""Names that still work and will go. The rules, and the list of these names, are in docs/version-policy.md."""

from __future__ import annotations

import warnings


def describe_deprecated(name: str, *, use: str, goes: str = "1.0.0") -> str:
    """Say that a name is deprecated, what to use instead, and in which release it goes."""
    return f"{name} is deprecated and goes in {goes}: use {use}"


def warn_deprecated(name: str, *, use: str, goes: str = "1.0.0", depth: int = 1) -> None:
    """Warn the caller of a deprecated name. Python shows such a warning once for each line that uses the name.

    Args:
        name: as the user wrote it.
        use: what takes its place.
        goes: the release without it.
        depth: how many functions lie between this one and the user's line.
    """
    warnings.warn(describe_deprecated(name, use=use, goes=goes), FutureWarning, stacklevel=2 + depth)
