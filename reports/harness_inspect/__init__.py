"""A run as a log that inspect_ai reads: `harness report RUN --format inspect`."""
