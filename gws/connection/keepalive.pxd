cdef class Keepalive:
    cdef double _interval
    cdef double _timeout
    cdef double _next_ping
    cdef object _unanswered_since
