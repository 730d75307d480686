"""What can be said of a trace: where columns part and why. Pure functions over its records."""
