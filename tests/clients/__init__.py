"""Clients of other people's, each driving a real server; see requirements.txt beside this."""
