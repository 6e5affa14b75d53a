"""Comparison of runs, item by item: `harness.compare(...)`; the command and its formats are a plugin's."""
