"""What models are told: a template for each kind of call, in our own words; a file of the user's may replace it."""
