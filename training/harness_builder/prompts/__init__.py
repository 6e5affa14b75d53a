"""What models are told: a template for each kind of call, in our own words, each replaceable by a file of the user's."""
