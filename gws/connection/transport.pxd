cimport cython

from gws.hub.io cimport HubIO


cdef class Transport:
    cdef public HubIO io
    cdef public object state
    cdef public Py_ssize_t outbox_size
    cdef public object _settings
    cdef list _outbox
    cdef object _unsent
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
    cpdef bint queue(self, bytes frame) except? False
    cpdef flush(self)
    @cython.locals(size=Py_ssize_t, sent=Py_ssize_t, outbox=list)
    cdef _send(self)
