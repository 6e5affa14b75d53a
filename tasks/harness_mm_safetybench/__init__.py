"""MM-SafetyBench: a harmful key phrase as an image. The task `mm-safetybench` and its rubric."""
