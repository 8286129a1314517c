cimport cython

from gws.connection.outbox cimport Outbox
from gws.hub.io cimport HubIO


cdef class Transport:
    cdef public HubIO io
    cdef public object state
    cdef public Outbox outbox
    cdef public object settings
    cdef bint _dirty
    cdef bint _blocked
    cdef bint _paused
    cdef Py_ssize_t _expected
    cdef object _changed
    cdef object _socket
    cdef bint _tls
    cdef object _read_watcher
    cdef object _write_watcher

    cpdef _receive_data(self, data)
    @cython.locals(outbox=Outbox)
    cpdef bint queue(self, bytes frame) except? False
    cpdef flush(self)
    @cython.locals(count=Py_ssize_t, outbox=Outbox)
    cdef _send(self)
