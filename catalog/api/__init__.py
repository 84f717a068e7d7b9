"""The catalogue for partners, as addresses of the API."""
