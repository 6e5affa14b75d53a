"""HarmBench, multimodal: behaviours about an image. The task `harmbench-mm`."""
