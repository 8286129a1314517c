"""Who gets a message: the connections of this process and those of all others as one."""
