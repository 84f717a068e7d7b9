"""Shop pages: lists, the acts that move stock, and documents."""
