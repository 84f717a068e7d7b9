"""Head office: stores, people, keys of partners, and what every list of the admin shares (`lists`)."""

from stores.admin import keys, people, places, requests, webhooks  # noqa: F401  (they register their models)
