"""What a model is still good for."""
