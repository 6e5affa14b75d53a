"""Identity: canonical JSON and its hash.

`item` names a record (task, split, sample, epoch): it is what is counted and paired. `key` says what the model was
asked, and only decides whether a stored answer may be reused. Both are texts that never change meaning: the key carries
a version, and a test pins its digests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from types import ModuleType

from harness.types import Generation, Image, Json, Message, Request, Sample, Text

VERSION = "k1"
_REDACTED = re.compile(r"\[\d+ characters, sha256 ([0-9a-f]{64})\]")


def canonical(value: Json) -> str:
    """JSON with sorted keys, no spaces and no escapes: equal values give equal text. NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Json) -> str:
    """Versioned sha256 of the canonical JSON: `k1:` and 64 hex digits."""
    return f"{VERSION}:{text_hash(canonical(value))}"


def short(value: Json, digits: int = 8) -> str:
    """The first hex digits of the digest, for file names."""
    return digest(value)[len(VERSION) + 1 :][:digits]


def text_hash(text: str) -> str:
    """sha256 of a text, for judged answers and templates."""
    hexdigest: str = _load_hashlib().sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return hexdigest


@cache
def _load_hashlib() -> ModuleType:
    """A start does without it; an import statement at each of a million answers would cost as much as the hash."""
    import hashlib

    return hashlib


def redact_text(text: str) -> str:
    """The placeholder of a redacted text, `[61 characters, sha256 …]`; an empty text stays empty."""
    return f"[{len(text)} characters, sha256 {text_hash(text)}]" if text else ""


def is_redacted(text: str) -> bool:
    """Whether a text is such a placeholder."""
    return _REDACTED.fullmatch(text) is not None


def draw_order(cluster: str) -> str:
    """The place of a cluster in the order by which `--sample` draws: 64 hex digits, the lowest first.

    It is a hash of the name's hash. So it is independent of the order in which `--limit` takes clusters, and the same
    in a redacted export, which holds only the hash of a name.
    """
    left = _REDACTED.fullmatch(cluster)
    return text_hash(f"judge-limit {left[1] if left else text_hash(cluster)}")


def item(task: str, split: str, sample: str, epoch: int) -> str:
    """The name of a record; stable over models, settings and runs."""
    return f"{task}/{split}/{sample}#{epoch}"


def cluster_of(sample: Sample) -> str:
    """The cluster a sample is resampled with: its own id if the task names none."""
    return sample.cluster or sample.id


def request_to_json(request: Request) -> Mapping[str, Json]:
    """A request as plain JSON: images by their sha256, or by the path and the fault of one that cannot be opened."""

    return {
        "messages": messages_to_json(request.messages),
        "settings": flat_fields(request.settings),
        "schema": request.schema,
        "raw": request.raw,
        "choices": list(request.choices),
        "prefill": request.prefill,
    }


def messages_to_json(messages: tuple[Message, ...]) -> list[Mapping[str, Json]]:
    """Messages as plain JSON: images by their sha256, or by the path of one that cannot be opened."""

    def part_to_json(part: Text | Image) -> Mapping[str, Json]:
        if isinstance(part, Text):
            return {"text": part.text}
        return {"image": part.content.sha256} if part.content is not None else {"missing": part.path}

    return [{"role": message.role, "content": [part_to_json(part) for part in message.content]} for message in messages]


def flat_fields(value: Generation) -> dict[str, Json]:
    """The fields of a flat value; `dataclasses.asdict` copies deeply, which costs more than a whole sample."""
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def messages_digest(request: Request, turns: tuple[Message, ...] = ()) -> str:
    """Digest of the messages and turns alone: what the data says, whatever model is asked and however."""
    messages = messages_to_json(request.messages)
    return digest({"messages": messages, "turns": messages_to_json(turns)} if turns else messages)


def request_key(
    *, request: Request, task: str, version: str, model: str, epoch: int, turns: tuple[Message, ...] = ()
) -> str:
    """The key of one record: everything that can change the answer and nothing else.

    Args:
        request: with its images opened and its settings effective.
        task: display name, including task settings that change the request.
        version: of the task.
        model: the model identity's digest.
        epoch: 0-based; another epoch is another draw.
        turns: of a dialogue, with their images opened. The model's replies follow from the rest, so they are not in it.
    """
    asked: dict[str, Json] = {
        "request": request_to_json(request),
        "task": task,
        "version": version,
        "model": model,
        "epoch": epoch,
    }
    if turns:
        asked["turns"] = messages_to_json(turns)
    return digest(asked)
