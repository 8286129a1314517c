cimport cython

from gws.connection.inbox cimport Inbox
from gws.connection.transport cimport Transport
from gws.protocol.messages cimport MessageReader


cdef class Connection(Transport):
    cdef public Inbox inbox
    cdef public object ending
    cdef public object close_code
    cdef public object close_reason
    cdef public bint is_reachable
    cdef object _on_ending
    cdef public MessageReader _reader
    cdef bint _peer_closed
    cdef object _late_pong
    cdef bint _heard
    cdef bint _has_read
    cdef object _keepalive
    cdef object _shared_timer
    cdef object _timer

    @cython.locals(inbox=Inbox)
    cpdef list receive(self)
