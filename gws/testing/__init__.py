"""A server beside a test."""
