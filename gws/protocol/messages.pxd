cimport cython


cdef class MessageReader:
    cdef public list messages
    cdef public object max_message_size
    cdef public object close
    cdef public Py_ssize_t space
    cdef public bytes unread
    cdef object _send
    cdef bint _quick
    cdef object _frames
    cdef object _inflater
    cdef bint _is_compressed
    cdef bint _discards
    cdef object _opcode
    cdef bint _final
    cdef Py_ssize_t _size
    cdef bytearray _parts
    cdef object _decoder

    @cython.locals(
        octets=bytes,
        position=Py_ssize_t,
        end=Py_ssize_t,
        length=Py_ssize_t,
        payload=Py_ssize_t,
        after=Py_ssize_t,
    )
    cpdef receive_data(self, data)
    cdef _receive_plainly(self, data)
