"""Classes by their own name."""

from vlmeval.models import Echo  # noqa: F401
