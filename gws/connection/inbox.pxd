cimport cython

from gws.hub.io cimport HubIO


@cython.final
cdef class Inbox:
    cdef public list messages
    cdef public object greenlet
    cdef HubIO _io
    cdef public object waiting
    cdef bint _has_turn
    cdef double _turn_ends

    cpdef list take(self)
    cpdef notify(self, waker)
    cpdef wait(self)
    cpdef wake(self)
    @cython.locals(now=double)
    cpdef Py_ssize_t next_look(self, Py_ssize_t handled) except -1
