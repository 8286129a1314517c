"""Fuzzing of what reads bytes from strangers."""
