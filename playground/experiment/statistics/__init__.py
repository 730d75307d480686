"""How sure a difference is: paired, clustered by prompt, corrected for how many were looked at."""
