"""Rules that read a letter or a yes or no out of an answer. The judges `choice` and `yesno`."""
