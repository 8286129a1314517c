cdef class HubIO:
    cdef public object hub
    cdef public object loop
    cdef public object switch_to_hub
    cdef public object thread
    cdef public object buffer
    cdef public object timers
    cdef public dict deflaters
    cdef public object compressing
    cdef object _renewal
    cdef public Py_ssize_t send_space
    cdef object _turns
    cdef object _turn_timer
    cdef list _dirty
    cdef bint _is_flushing
    cdef object _flush_timer
    cdef object _handed_over
    cdef bint _is_deaf
    cdef Py_ssize_t _burst

    cpdef flush_soon(self, connection)
