"""The way of all seeds through the steps."""
