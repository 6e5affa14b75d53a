"""The model before it learns: its files, how it is opened, and which part of it is what."""
