"""Decoding strategies: processors, searches, and the recipes made of them."""

from .base import Context, Info, Move, Params, Processor, Row, Search, Step, Strategy, setting
from .recipe import Recipe, RecipeError, RecipeStep

__all__ = [
    "Context",
    "Info",
    "Move",
    "Params",
    "Processor",
    "Recipe",
    "RecipeError",
    "RecipeStep",
    "Row",
    "Search",
    "Step",
    "Strategy",
    "setting",
]
