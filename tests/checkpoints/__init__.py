"""Forms of checkpoints that other libraries make and read; see requirements.txt beside this."""
