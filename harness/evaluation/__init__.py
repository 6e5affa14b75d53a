"""Evaluates a model: reads the options, gets each sample's answer and verdicts, and writes them to the journals."""
