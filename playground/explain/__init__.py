"""Explanations of a trace: where columns part, what removed a token, how one was drawn.

Pure functions over its records: no model, no strategy and no tensor is needed.
"""
