"""Compares runs item by item: `harness.compare(...)`. A plugin provides the command and its formats."""
