"""One sample's way, and the body of a run."""
