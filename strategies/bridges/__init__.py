"""Bridges from recipes and strategies to other libraries, and back."""
