"""What files hold: labelled series as NumPy arrays. No torch here, so that sizes are known before it is loaded."""
