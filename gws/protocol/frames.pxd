cdef tuple _SMALL_TEXT

cpdef bytes encode_text(text)
