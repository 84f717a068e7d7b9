"""How fast this system is, as ratios to limits that are measured in the same run: `bin/bench`, docs/performance.md."""
