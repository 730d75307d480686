"""The colours of columns and of the model, for charts and page alike.

Okabe & Ito (2008), a set that colour-blind people can tell apart. A column's colour is the same in
its header, its bars and its lines; grey is always the model itself, before any recipe.
"""

from __future__ import annotations

LETTERS = "ABCDEF"
COLOURS: list[str] = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
INKS: list[str] = ["#FFFFFF"] + ["#111111"] * 5  # text on them, at least 4.5 : 1
MODEL_GREY = "#8A94A3"
NAMES: list[str] = ["blue", "orange", "green", "pink", "amber", "light blue"]
