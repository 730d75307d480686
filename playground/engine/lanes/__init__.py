"""Lanes: what each keeps of its rows, what follows from its moves, and what others read of it."""
