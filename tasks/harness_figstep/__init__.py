"""FigStep: a list of steps drawn as text in an image. The task `figstep`."""
