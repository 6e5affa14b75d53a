"""Two steps: first the eyes alone learn to see, then the whole model learns to answer.

Step counts are fixed, not seconds: what comes out depends on the seed, not on how busy the machine is.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

import torch
from torch import Tensor, nn

from harness.drawings import COLORS, SHAPES, draw
from harness_mini.world import THINGS

from .architecture import WIDTH
from .lessons import Lesson, draw_lessons
from .untyped import Untyped

Tell = Callable[[str], None]

BATCH: Final = 32
SEEING_STEPS: Final = 2000
ANSWERING_STEPS: Final = 800


def teach_seeing(model: Untyped, processor: Untyped, rng: Random, tell: Tell) -> None:
    """Train the vision tower to tell color and shape, through a linear head that is thrown away."""
    eyes, head = model.model.visual, nn.Linear(WIDTH, len(COLORS) + len(SHAPES))
    optimizer = torch.optim.AdamW([*eyes.parameters(), *head.parameters()], lr=1e-3)
    schedule = _schedule(optimizer, SEEING_STEPS)
    colors, shapes = list(COLORS), list(SHAPES)
    for step in range(SEEING_STEPS):
        things = rng.choices(THINGS, k=BATCH)
        seen = processor.image_processor(images=[draw(t.color, t.shape, rng) for t in things], return_tensors="pt")
        tokens: Tensor = eyes(seen["pixel_values"], grid_thw=seen["image_grid_thw"]).pooler_output
        color, shape = head(tokens.view(BATCH, -1, WIDTH).mean(1)).split([len(colors), len(shapes)], dim=1)
        loss = nn.functional.cross_entropy(color, torch.tensor([colors.index(t.color) for t in things]))
        loss = loss + nn.functional.cross_entropy(shape, torch.tensor([shapes.index(t.shape) for t in things]))
        _learn(loss, optimizer, schedule)
        if step % 200 == 199:
            tell(f"seeing {step + 1}/{SEEING_STEPS}: loss {loss.item():.3f}")


def teach_answering(model: Untyped, processor: Untyped, rng: Random, tell: Tell) -> None:
    """Train the whole model on the answers of all lessons."""
    # In the model's own order: in another one the gradients' norm sums up to other last bits, and to other weights.
    eyes, rest = list(model.model.visual.parameters()), list(model.model.language_model.parameters())
    optimizer = torch.optim.AdamW([{"params": rest, "lr": 2e-3}, {"params": eyes, "lr": 6e-4}])
    schedule = _schedule(optimizer, ANSWERING_STEPS)
    for step in range(ANSWERING_STEPS):
        loss = model(**_batch(processor, draw_lessons(rng, BATCH))).loss
        _learn(loss, optimizer, schedule)
        if step % 50 == 49:
            tell(f"answering {step + 1}/{ANSWERING_STEPS}: loss {loss.item():.3f}")


def _schedule(optimizer: torch.optim.Optimizer, steps: int) -> torch.optim.lr_scheduler.LRScheduler:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)


def _learn(loss: Untyped, optimizer: torch.optim.Optimizer, schedule: torch.optim.lr_scheduler.LRScheduler) -> None:
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_([w for group in optimizer.param_groups for w in group["params"]], 1.0)
    optimizer.step()
    schedule.step()


def _batch(processor: Untyped, lessons: list[Lesson]) -> dict[str, Untyped]:
    """Model inputs, with labels on the answers only; sequences are padded on the left."""
    texts = processor.apply_chat_template([lesson.conversation for lesson in lessons])
    inputs = processor(
        text=texts, images=[list(lesson.images) for lesson in lessons], padding=True, return_tensors="pt"
    )
    labels = inputs["input_ids"].clone()
    for row, lesson in zip(labels, lessons, strict=True):
        row[: -_answer_length(processor, lesson)] = -100
    return {**inputs, "labels": labels}


def _answer_length(processor: Untyped, lesson: Lesson) -> int:
    return len(processor.tokenizer(f"{lesson.answer}<|im_end|>\n")["input_ids"])
