"""Gates: whether a run keeps limits and is no worse than a baseline. A plugin provides the command and its outputs."""
