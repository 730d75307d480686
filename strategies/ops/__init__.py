"""Building blocks of strategies, in which a row never depends on the rows beside it."""
