"""Sweeps: many models, each asked the same tasks in a run folder of its own. `harness.sweep`, `harness sweep`."""
