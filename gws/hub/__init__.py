"""What gevent's hub does not do: calls from other threads, shared timers, one flush for all."""
