"""How `mini/base` was made: `python -m harness_mini.make_base`."""
