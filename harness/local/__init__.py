"""Helpers for authors of providers whose models run here: where a model comes from, and how it wants to be spoken to.

    from harness.local import find, Frontend, study, Prompter, split_reasoning

Needs transformers' processors and tokenizers, but never imports them: the provider hands them in.
"""

from harness.local.answers import before, split_reasoning
from harness.local.chat import Chat, study
from harness.local.files import folder_of
from harness.local.forms import Form
from harness.local.frontend import Conversation, Frontend, counts_area
from harness.local.origin import ADAPTER_CONFIG, CONFIG, PIPELINE_CONFIG, Origin, find
from harness.local.profiles import PROFILES, Profile, find_profile
from harness.local.prompts import BROKEN_UP, Prompt, Prompter

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
    "Prompter",
    "before",
    "counts_area",
    "find",
    "find_profile",
    "folder_of",
    "split_reasoning",
    "study",
]
