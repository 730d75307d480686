"""How sure a difference is: paired, clustered by prompt, corrected for multiple comparisons."""
