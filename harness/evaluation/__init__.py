"""What evaluates a model: from the options, over each sample's answer and verdicts, to what the journals hold."""
