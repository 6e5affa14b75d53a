"""Numbers as a person reads them; results keep full precision, only display rounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

NOTHING = "—"  #: shown where there is no number
ARROWS = {"lower": "↓", "higher": "↑", "neither": ""}
_FLAGS = {
    "truncated": "cut off at the token limit",
    "refusal": "marked as a refusal by the provider",
    "verdict_like": "shaped like a verdict",
}


def format_value(value: float | None, unit: str = "%") -> str:
    """A metric's value: one decimal for percent, three for a score between 0 and 1."""
    if value is None:
        return NOTHING
    return f"{value:.1f}" if unit == "%" else f"{value:.3f}"


def format_head(name: str, unit: str, better: str) -> str:
    """A metric as the head of a column: `ASR % ↓`."""
    return f"{name} {'% ' if unit == '%' else ''}{ARROWS.get(better, '')}".rstrip()


def format_interval(ends: Sequence[float | None] | None, unit: str = "%") -> str:
    """An interval: `[78.3, 82.1]`; empty when there is none."""
    if ends is None or any(end is None for end in ends):
        return ""
    return f"[{', '.join(format_value(end, unit) for end in ends)}]"


def format_estimate(value: float | None, ends: Sequence[float | None] | None, unit: str = "%") -> str:
    """A value with its interval: `80.3 [78.3, 82.1]`."""
    return f"{format_value(value, unit)} {format_interval(ends, unit)}".rstrip()


def format_share(part: float | None) -> str:
    """A share of 1 in percent; 100% only when nothing is missing, since a rounded 100% would hide it."""
    if part is None:
        return NOTHING
    text = f"{part:.1%}"
    if part < 1 and text == "100.0%":
        return "99.9%"
    return "100%" if part == 1 else text


def format_flags(flags: Mapping[str, int]) -> str:
    """How many answers carry each flag: `12 cut off at the token limit`; empty when none does."""
    return ", ".join(f"{count} {_FLAGS.get(flag, flag)}" for flag, count in flags.items() if count)


def format_count(number: float) -> str:
    """A count in few characters: 950, 12.3k, 4.6M."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{suffix}"
    return f"{number:.0f}"


def format_duration(seconds: float | None) -> str:
    """A duration as 1:05 or 2:03:07; `—` when it is not known."""
    if seconds is None:
        return NOTHING
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
