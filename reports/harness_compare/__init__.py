"""Two or more runs, item by item: `harness compare`."""
