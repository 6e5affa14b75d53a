"""VLSBench: the risk is in the image alone. The task `vlsbench` and its rubric."""
