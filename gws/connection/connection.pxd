cimport cython

from gws.protocol.messages cimport MessageReader
from gws.connection.transport cimport Transport


cdef class Connection(Transport):
    cdef public object ending
    cdef public object close_code
    cdef public object close_reason
    cdef public bint is_hidden
    cdef object _on_ending
    cdef list _inbox
    cdef public MessageReader _reader
    cdef object _greenlet
    cdef bint _waiting
    cdef bint _has_turn
    cdef double _turn_ends
    cdef bint _peer_closed
    cdef object _late_pong
    cdef bint _heard
    cdef bint _has_read
    cdef double _next_ping
    cdef object _unanswered_since
    cdef object _slot
    cdef object _timer

    cpdef list receive(self)
    @cython.locals(now=double)
    cpdef Py_ssize_t next_look(self, Py_ssize_t handled) except -1
    cdef _wait(self)
