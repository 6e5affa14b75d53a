"""What a training leaves: the model folder with its card, its record and its losses, moved into place at once."""
