"""A run read sample by sample: `harness view`, `harness show`."""
