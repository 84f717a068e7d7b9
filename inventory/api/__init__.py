"""The API of levels, documents and the ledger: what is sent (`inputs`), how it is posted (`posting`), the rest (`views`)."""
