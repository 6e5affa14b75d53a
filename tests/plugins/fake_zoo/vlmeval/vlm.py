"""Classes by their own name."""

from vlmeval.models import Local  # noqa: F401
