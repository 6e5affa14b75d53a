"""The public API: turns options into a finished run folder."""
