"""The public door: from options to a finished run folder."""
