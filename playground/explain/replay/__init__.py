"""Recipes applied again, to a text that is given or to what a trace holds of one."""
