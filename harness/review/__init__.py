"""People decide on items one after the other: their files, their order, their agreement and their page."""
