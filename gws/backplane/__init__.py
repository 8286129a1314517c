"""How bytes get to other processes: one contract, several engines, and which one a URL names."""
