"""The API as a whole: addresses (`routes`), the shape of errors (`errors`), the schema (`schema`) and its page (`docs`)."""
