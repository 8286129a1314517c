cimport cython

from gws.connection.connection cimport Connection
from gws.conversation.results cimport send_result


cdef class Conversation:
    cdef object _app
    cdef bint _connected
    cdef Connection _connection
    cdef object _context
    cdef object _endpoint
    cdef dict _globals
    cdef object _handlers
    cdef object _opening
    cdef object _runner
    cdef bint _tears_down
    cdef object _ws

    @cython.locals(connection=Connection, handled=Py_ssize_t, next_look=Py_ssize_t)
    cpdef bint _handle(self, handler, list messages)
