"""A chain of shops to try the system out: catalogue and stores (chain.py), and how they trade (trade.py)."""
