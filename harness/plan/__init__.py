"""From names to what will be done."""
