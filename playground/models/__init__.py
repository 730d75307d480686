"""The models a host offers: the catalogue, where they come from, and how they are loaded."""

from playground.errors import ModelError
from playground.models.catalogue import Models
from playground.models.entries import Entry
from playground.models.loading import LoadedModel, load_folder
from playground.settings import BUILT_IN

__all__ = ["BUILT_IN", "Entry", "LoadedModel", "ModelError", "Models", "load_folder"]
