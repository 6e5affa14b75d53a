"""MOSSBench: harmless questions that look harmful. The task `mossbench` and its rubric."""
