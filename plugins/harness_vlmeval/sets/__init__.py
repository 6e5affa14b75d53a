"""Data sets of VLMEvalKit as tasks: `vlmeval:NAME`, and under names of their own those that papers report."""
