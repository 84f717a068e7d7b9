"""Django's PostgreSQL backend with what a busy counter needs: see base.py."""
