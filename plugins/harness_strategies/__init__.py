"""Defences and ways of asking that papers compare: `--strategy NAME`."""
