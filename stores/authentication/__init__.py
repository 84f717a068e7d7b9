"""Doors of the API: whose key it is, what it may do, and in which words it is refused."""
