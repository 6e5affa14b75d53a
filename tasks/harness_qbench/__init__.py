"""Q-Bench (LLVisionQA): multiple choice about the quality of an image. The task `qbench`."""
