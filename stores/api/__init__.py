"""The API: what all its parts share (`problems`, `fields`, `base`), and the stores that a key may see (`views`)."""
