"""What a lane holds of its rows, and what it shows of them."""
