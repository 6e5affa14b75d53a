"""A build from its config to the data set: what is opened, in which order, and what is said at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness import Build, Built, HarnessError, Image, plugins
from harness.data.holding import held
from harness_builder.calls.asking import Asking, open_asker
from harness_builder.calls.book import CallBook
from harness_builder.config.plan import Plan
from harness_builder.config.reading import read_plan
from harness_builder.config.showing import shown
from harness_builder.licences import OutputLicence, check
from harness_builder.prompts.templates import load_prompts
from harness_builder.seeds import read_seeds
from harness_builder.values import Seed

WORK: Final = "work"
_AT_ONCE: Final = 4  # seeds under way for each call on the wire: a seed waits at gates and between calls
_CALLS: Final = 32
