"""One step of all lanes."""
