"""The engine by way of Redis or Valkey: two connections, each with a greenlet."""
