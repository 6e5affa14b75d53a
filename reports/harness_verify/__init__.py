"""Results that can be checked and handed on: `harness verify`, `harness export`."""
