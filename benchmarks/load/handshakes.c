/* New connections, without waiting for one before the next: connect, upgrade, close, again (connect), or all at once
 * and then held (storm). */
#include "load.h"
#include <string.h>
#include <sys/socket.h>

typedef struct {
    int fd;
    enum { CONNECTING, ASKED, UPGRADED, FREE } state;
    char answer[SMALLEST_LIMIT + 1];
    size_t length;
    uint64_t began;
} Visitor;

static Visitor *visitors;
static int visits, busy;                        /* begun since the start; now between connect() and the end */
static bool again;                              /* connect: an upgraded visitor closes and comes back */

static void begin(Visitor *v) {
    int index = visits++;
    v->fd = open_socket(SOCK_STREAM | SOCK_NONBLOCK, index);
    v->state = CONNECTING;
    v->length = 0;
    v->began = now_ns();
    start_connecting(v->fd, index);
    struct epoll_event event = {.events = EPOLLOUT, .data.ptr = v};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, v->fd, &event) != 0) die("epoll_ctl");
    busy++;
}

static void end(Visitor *v, const char *error) {
    if (error) count_error("a handshake failed", error, strlen(error));
    close(v->fd);
    v->state = FREE;
    busy--;
    if (again && phase != DRAINING) begin(v);
}

static void ask(Visitor *v) {
    int failure = 0;
    socklen_t size = sizeof failure;
    getsockopt(v->fd, SOL_SOCKET, SO_ERROR, &failure, &size);
    if (failure) {
        end(v, strerror(failure));
        return;
    }
    send_request(v->fd);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = v};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, v->fd, &event) != 0) die("epoll_ctl");
    v->state = ASKED;
}

static void say_goodbye(Visitor *v) {           /* it ends when the server has closed its side too, RFC 6455, 7.1.1 */
    static const unsigned char NORMAL[] = {1000 >> 8, 1000 & 255};
    unsigned char frame[HEADER_SIZE + sizeof NORMAL];
    size_t length = write_frame(frame, CLOSE, NORMAL, sizeof NORMAL);
    if (send(v->fd, frame, length, MSG_NOSIGNAL) != (ssize_t)length) end(v, strerror(errno));
}

static void on_upgrade(Visitor *v) {
    v->state = UPGRADED;
    if (phase == MEASURING) record(&deliveries, now_ns() - v->began);
    if (again) say_goodbye(v);
    else busy--;
}

static void on_readable(Visitor *v) {
    char ignored[SMALLEST_LIMIT];
    bool asked = v->state == ASKED;
    ssize_t received = asked ? recv(v->fd, v->answer + v->length, SMALLEST_LIMIT - v->length, 0)
                             : recv(v->fd, ignored, sizeof ignored, 0);
    if (received < 0 && errno == EAGAIN) return;
    if (received <= 0 && asked) end(v, received ? strerror(errno) : "the server ended it");
    else if (received <= 0 && again) end(v, NULL);
    else if (received <= 0) die("the server closed a connection that it had upgraded");
    if (received <= 0 || !asked) return;
    v->answer[v->length += (size_t)received] = 0;
    int length = answer_length(v->answer);
    if (length < 0) end(v, "not a 101, or not with our Sec-WebSocket-Accept");
    if (length > 0) on_upgrade(v);
}

/* Lasts for so many seconds, or until nobody is busy. */
static void serve(double seconds) {
    struct epoll_event events[EVENTS];
    uint64_t now = now_ns(), deadline = now + (uint64_t)(seconds * 1e9);
    for (; now < deadline && busy > 0; now = now_ns()) {
        int count = epoll_wait(epoll_fd, events, EVENTS, (int)((deadline - now) / 1000000) + 1);
        for (int i = 0; i < count; i++) {
            Visitor *v = events[i].data.ptr;
            if (v->state == CONNECTING) ask(v);
            else on_readable(v);
        }
    }
}

static void let_all_in(void) {
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) die("epoll_create1");
    visitors = allocate((size_t)option.connections, sizeof *visitors);
    for (int i = 0; i < option.connections; i++) begin(&visitors[i]);
}

void connect_and_close(void) {
    again = true;
    let_all_in();
    measure(serve, &busy);
}

void storm(void) {                              /* --seconds is how long it may take at most */
    phase = MEASURING;
    Clocks from = read_clocks();
    let_all_in();
    serve(option.seconds);
    print_result(from, read_clocks(), busy);
}
