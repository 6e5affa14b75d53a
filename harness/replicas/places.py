"""Moved to harness.replicas.placement."""

from harness.replicas.placement import SETTINGS as SETTINGS
from harness.replicas.placement import Placement as Place
from harness.replicas.placement import format_devices as spelled
from harness.replicas.placement import format_placements as told
from harness.replicas.placement import place_replicas as places

__all__ = ["SETTINGS", "Place", "places", "spelled", "told"]
