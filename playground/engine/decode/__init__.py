"""One step of all lanes, from what is read for each to the tokens that are recorded."""
