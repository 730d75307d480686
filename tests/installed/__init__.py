"""The program as it is installed, in environments made for it; see requirements.txt beside this."""
