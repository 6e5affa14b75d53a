"""What never goes into a built set, whatever is configured: no function here takes a setting that lifts a stop.

A stop says its kind and nothing of what was stopped, so that it can be counted and nothing else.
"""

from .checks import image_request, read_check, text_request
from .rules import KINDS, Stop, StopKind, stop_text

__all__ = ["KINDS", "Stop", "StopKind", "image_request", "read_check", "stop_text", "text_request"]
