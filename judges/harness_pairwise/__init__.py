"""Two answers compared in both orders. The judge `pairwise`."""
