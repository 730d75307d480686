"""Decoding strategies: processors, searches, and the recipes made of them."""

from .base import (
    Context,
    DraftScores,
    EarlyLayers,
    Info,
    LookAhead,
    LookingAhead,
    Move,
    Params,
    Processor,
    Refusal,
    Rewind,
    Row,
    Search,
    SecondPrompt,
    Step,
    Strategy,
    setting,
)
from .distribution import Distribution, Measure
from .recipe import Recipe, RecipeError, RecipeStep

__all__ = [
    "Context",
    "Distribution",
    "DraftScores",
    "EarlyLayers",
    "Info",
    "LookAhead",
    "LookingAhead",
    "Measure",
    "Move",
    "Params",
    "Processor",
    "Recipe",
    "RecipeError",
    "RecipeStep",
    "Refusal",
    "Rewind",
    "Row",
    "Search",
    "SecondPrompt",
    "Step",
    "Strategy",
    "setting",
]
