"""`harness label`: people label drawn answers of a run on a page of this machine."""
