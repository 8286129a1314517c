/* What every other file may use: the options, the way out, and memory. */
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct options option = {.host = "127.0.0.1", .path = "/web_socket", .connections = 64, .in_flight = 1,
                         .size = 32, .warm_up = 0.5, .seconds = 2};

void die(const char *why) {
    fprintf(stderr, "load: %s%s%s\n", why, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL) die("out of memory");
    return memory;
}
