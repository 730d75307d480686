"""The slots in which keys and values are kept, and the attention that reads them there."""
