"""Versions: format, published names, what changed, whether they are whole, what may go."""
