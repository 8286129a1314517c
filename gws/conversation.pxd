from .connection cimport Connection


cdef class Conversation:
    cdef object _app
    cdef bint _connected
    cdef Connection _connection
    cdef object _context
    cdef object _deadline
    cdef object _endpoint
    cdef dict _globals
    cdef object _handshake
    cdef bint _per_event
    cdef object _runner
    cdef object _ws

    cpdef bint _handle(self, event, handler, messages)
    cpdef _say(self, result)
