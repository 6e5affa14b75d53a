"""Helpers for authors of providers whose models run here: where a model comes from, and what prompts it takes.

    from harness.local import find, Frontend, study, PromptBuilder, split_reasoning

The provider hands in transformers' processors and tokenizers: nothing here imports transformers.
"""

from harness.local.origin import ADAPTER_CONFIG, CONFIG, PIPELINE_CONFIG, Origin, find, folder_of
from harness.local.profiles import PROFILES, Profile, find_profile
from harness.local.prompts import (
    BROKEN_UP,
    Chat,
    Conversation,
    Frontend,
    Prompt,
    PromptBuilder,
    PromptFormat,
    counts_area,
    cut_at_stop,
    split_reasoning,
    study,
)

#: Former names, which existing providers import.
Prompter = PromptBuilder
Form = PromptFormat
before = cut_at_stop

__all__ = [
    "ADAPTER_CONFIG",
    "BROKEN_UP",
    "CONFIG",
    "PIPELINE_CONFIG",
    "PROFILES",
    "Chat",
    "Conversation",
    "Form",
    "Frontend",
    "Origin",
    "Profile",
    "Prompt",
    "PromptBuilder",
    "PromptFormat",
    "Prompter",
    "before",
    "counts_area",
    "cut_at_stop",
    "find",
    "find_profile",
    "folder_of",
    "split_reasoning",
    "study",
]
