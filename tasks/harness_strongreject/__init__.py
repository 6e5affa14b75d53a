"""StrongREJECT: forbidden prompts, scored from 0 to 1. The task `strongreject` and its rubric."""
