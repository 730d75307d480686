"""Prompts × recipes × seeds: which setting is better, and how sure that is."""
