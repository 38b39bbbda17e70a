"""How good a trained network is: its scores, what they are worth, and what it says of new images."""
