"""`harness agree`: how far judges and people agree on one run."""
