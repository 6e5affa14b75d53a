"""Supervised fine-tuning on TRL: records to batches, the loss on answers only, checkpoints, and what comes out."""
