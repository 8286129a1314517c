/* Idle: connections that do nothing but answer pings, while someone looks at the server. */
#include "load.h"
#include <stdio.h>

static void on_text(Connection *c, const unsigned char *payload, size_t length, uint64_t now) {
    (void)c, (void)payload, (void)length, (void)now;    /* a greeting, say */
}

void idle(void) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    open_all(on_text);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0) die("stdin must be a pipe");
    printf("ready %d\n", open_connections);
    fflush(stdout);
    run(option.seconds);
    printf("{\"open\": %d}\n", open_connections);
    close_all();
}
