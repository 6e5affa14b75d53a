"""Which samples a `--limit N` or a `--judge-limit N` takes: the first N clusters of an order.

No seed and no file order changes it, and raising N only adds. `--limit` takes something of all: within a category
clusters are ordered by the sha256 of their name, and categories take turns. What `--judge-limit` takes stands for the
rest, so it is a plain random sample: clusters by a hash alone, whatever their category.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from harness.contracts import Ability
from harness.keys import cluster_of, draw_order, text_hash
from harness.types import Request, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a split holds, found by listing it once without opening an image.

    Attributes:
        samples: how many are taken.
        found: how many there are.
        images: images in the samples taken.
        most_images: most images one of them holds.
        needs: abilities a model must have to answer them.
        taken: clusters that are taken; None means all.
    """

    samples: int
    found: int
    images: int
    most_images: int
    needs: frozenset[Ability]
    taken: frozenset[str] | None

    def takes(self, sample: Sample) -> bool:
        """Whether a sample is part of the run."""
        return self.taken is None or cluster_of(sample) in self.taken


def survey_samples(samples: Iterable[Sample], limit: int | None) -> Survey:
    """List a split once: count it and choose what a limit takes."""
    categories: dict[str, str] = {}
    sizes: list[tuple[str, int]] = []
    needs: set[Ability] = set()
    for sample in samples:
        cluster = cluster_of(sample)
        if limit is not None:
            categories[cluster] = min(sample.category, categories.get(cluster, sample.category))
        needs |= find_needs(sample.request)
        sizes.append((cluster if limit is not None else "", len(sample.request.images)))
    taken = None if limit is None else frozenset(islice(take_turns(categories.items()), limit))
    counted = [images for cluster, images in sizes if taken is None or cluster in taken]
    return Survey(
        samples=len(counted),
        found=len(sizes),
        images=sum(counted),
        most_images=max(counted, default=0),
        needs=frozenset(needs),
        taken=taken,
    )


def find_needs(request: Request) -> set[Ability]:
    """Abilities a model must have to answer a request."""
    needs: dict[Ability, bool] = {
        "images": bool(request.images),
        "raw": request.raw,
        "choices": bool(request.choices),
        "prefill": bool(request.prefill),
        "system": any(message.role == "system" for message in request.messages),
    }
    return {ability for ability, is_needed in needs.items() if is_needed}


def take_turns(clusters: Iterable[tuple[str, str]]) -> Iterator[str]:
    """(cluster, category) pairs in the order a limit takes them."""
    queues: dict[str, list[str]] = {}
    for cluster, category in clusters:
        queues.setdefault(category, []).append(cluster)
    for queue in queues.values():
        queue.sort(key=text_hash, reverse=True)
    while queues:
        for category in sorted(queues):
            yield queues[category].pop()
            if not queues[category]:
                del queues[category]


def draw_clusters(clusters: Iterable[str], limit: int) -> list[str]:
    """The clusters whose answers are judged under `--judge-limit`, in its order."""
    return sorted(set(clusters), key=draw_order)[:limit]
