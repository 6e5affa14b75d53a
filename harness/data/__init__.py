"""Where data lies, how to get what is missing, and upstream's own words."""
