"""JailBreakV-28K: jailbreak prompts beside an image. The task `jailbreakv` and its rubric."""
