"""Reports for partners, as addresses of the API."""
