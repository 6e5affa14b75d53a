"""Seeds: the texts and images a build takes its ideas from, read out of the user's own copies."""

from .layouts import LAYOUTS, Layout
from .reading import SeedSource, read_seeds

__all__ = ["LAYOUTS", "Layout", "SeedSource", "read_seeds"]
