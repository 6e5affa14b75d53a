"""Gemini models through the Gemini API or Vertex AI. `--model gemini/NAME`."""
