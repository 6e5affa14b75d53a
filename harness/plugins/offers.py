"""Moved to harness.plugins.registry."""

from harness.plugins.registry import KINDS, MODELS, NAME, SUITES
from harness.plugins.registry import PluginKind as Kind
from harness.plugins.registry import Registered as Offer

__all__ = ["KINDS", "MODELS", "NAME", "SUITES", "Kind", "Offer"]
