cimport cython


@cython.final
cdef class Outbox:
    cdef public Py_ssize_t size
    cdef list _frames
    cdef object _unsent

    cpdef queue_last(self, bytes frame)
    cpdef queue_first(self, frame)
    @cython.locals(frames=list)
    cpdef take(self)
    cpdef bint sent(self, data, Py_ssize_t count) except -1
    cpdef drop_queued(self)
    cpdef clear(self)
