"""The model before it learns: where it lies, how it is opened, and which part of it is what."""
