from gws.connection.connection cimport Connection


cpdef send_result(Connection connection, app, endpoint, result)
