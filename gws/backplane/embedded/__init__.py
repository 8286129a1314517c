"""A Valkey server that the workers of one gunicorn start themselves."""
