"""What can go wrong with a model, in words for the page."""


class ModelError(ValueError):
    """A model cannot be had or served; the message is a plain sentence that says why."""


class UnsupportedModel(ValueError):
    """A model the engine would not serve correctly; the message says why."""


def first_line(error: BaseException) -> str:
    """What a library's exception says, cut to what fits a sentence; its type where it is silent."""
    text = str(error).strip()
    return text.splitlines()[0].rstrip(".:! ") if text else type(error).__name__
