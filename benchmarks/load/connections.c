/* The connections of all modes but the handshakes': opening them, reading, writing, one epoll for all. */
#include "load.h"
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

enum phase phase;
Connection *connections;
int epoll_fd, open_connections, under_way;
size_t largest_payload;

static unsigned char *arrived;                  /* what recv() got */
static size_t arrived_size, out_size;
static OnText *on_text;

static void watch(Connection *c, int operation) {
    struct epoll_event event = {.events = EPOLLIN | (c->waits_to_write ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll_fd, operation, c->fd, &event) != 0) die("epoll_ctl");
}

static void drop(Connection *c, const char *why) {
    count_error("a connection was lost", why, strlen(why));
    close(c->fd);
    c->fd = -1;
    open_connections--;
}

/* ---- writing ---- */

void append_frame(Connection *c, unsigned char first_byte, const unsigned char *payload, size_t length) {
    c->out_length += write_frame(c->out + c->out_length, first_byte, payload, length);
}

void flush(Connection *c) {
    ssize_t sent = c->out_length ? send(c->fd, c->out, c->out_length, MSG_NOSIGNAL) : 0;
    if (sent < 0 && errno != EAGAIN) {
        drop(c, strerror(errno));
        return;
    }
    if (sent > 0) memmove(c->out, c->out + sent, c->out_length -= (size_t)sent);
    if (c->waits_to_write == (c->out_length > 0)) return;
    c->waits_to_write = !c->waits_to_write;
    watch(c, EPOLL_CTL_MOD);
}

/* ---- reading ---- */

static void on_frame(Connection *c, unsigned char first_byte, const unsigned char *payload, size_t length,
                     uint64_t now) {
    if (first_byte == TEXT) on_text(c, payload, length, now);
    else if (first_byte == PING && c->out_length + CONTROL_SIZE + HEADER_SIZE <= out_size)
        append_frame(c, PONG, payload, length);
    else if (first_byte == CLOSE) drop(c, "the server sent Close");
    else if (first_byte < CLOSE) drop(c, "the server sent a fragment, or not a text");
}

/* Returns the length of the frame that was read, or 0: its end has not arrived, or the connection is lost. */
static size_t read_frame(Connection *c, const unsigned char *bytes, size_t length, uint64_t now) {
    if (length < 2) return 0;
    size_t header = bytes[1] < 126 ? 2 : bytes[1] == 126 ? 4 : 10, payload = header == 2 ? bytes[1] : 0;
    if (length < header) return 0;
    for (size_t i = 2; i < header; i++) payload = payload << 8 | bytes[i];
    if (bytes[1] > 127 || payload > (bytes[0] & 8 ? CONTROL_SIZE : largest_payload)) {
        drop(c, "the server sent a masked or an oversized frame");
        return 0;
    }
    if (length < header + payload) return 0;
    on_frame(c, bytes[0], bytes + header, payload, now);
    return c->fd < 0 ? 0 : header + payload;
}

/* Reads the frames in the first bytes of `arrived`, and keeps the beginning of the next one. */
static void read_frames(Connection *c, size_t end) {
    size_t at = 0, used = 1;
    uint64_t now = now_ns();
    for (; used; at += used) used = read_frame(c, arrived + at, end - at, now);
    if (c->fd < 0) return;
    c->in_length = end - at;
    memcpy(c->in, arrived + at, c->in_length);
    flush(c);
}

static void on_readable(Connection *c) {
    memcpy(arrived, c->in, c->in_length);
    ssize_t received = recv(c->fd, arrived + c->in_length, arrived_size - c->in_length, 0);
    if (received < 0 && errno == EAGAIN) return;
    if (received <= 0) {
        drop(c, received ? strerror(errno) : "the server ended it");
        return;
    }
    read_frames(c, c->in_length + (size_t)received);
}

/* Lasts for so many seconds, or until stdin ends, the last connection is lost or, when no more are sent, the last
 * message has come. */
void run(double seconds) {
    struct epoll_event events[EVENTS];
    uint64_t now = now_ns(), deadline = now + (uint64_t)(seconds * 1e9);
    for (; now < deadline; now = now_ns()) {
        if (open_connections == 0 || (phase >= DRAINING && under_way == 0)) return;
        int count = epoll_wait(epoll_fd, events, EVENTS, (int)((deadline - now) / 1000000) + 1);
        for (int i = 0; i < count; i++) {
            Connection *c = events[i].data.ptr;
            if (c == NULL) return;
            if (c->fd >= 0 && events[i].events & EPOLLOUT) flush(c);
            if (c->fd >= 0 && events[i].events & ~(uint32_t)EPOLLOUT) on_readable(c);
        }
    }
}

/* Has the clients work for as long as is asked, and prints what came of it. */
void measure(void (*work)(double), const int *unanswered) {
    work(option.warm_up);
    phase = MEASURING;
    Clocks from = read_clocks();
    work(option.seconds);
    Clocks to = read_clocks();
    phase = DRAINING;
    work(DRAIN_SECONDS);
    print_result(from, to, *unanswered);
}

/* ---- opening and closing ---- */

static void read_handshake(Connection *c) {
    char answer[SMALLEST_LIMIT + 1] = "";
    size_t length = 0;
    int end;
    while ((end = answer_length(answer)) == 0) {
        errno = 0;
        ssize_t received = recv(c->fd, answer + length, SMALLEST_LIMIT - length, 0);
        if (received <= 0) die("the server did not finish the handshake");
        length += (size_t)received;
        answer[length] = 0;
    }
    errno = 0;
    if (end < 0) die("the server refused the upgrade, or its Sec-WebSocket-Accept is wrong");
    c->in_length = length - (size_t)end;
    memcpy(c->in, answer + end, c->in_length);
}

static void prepare_connection(Connection *c, int index) {
    c->in = allocate(1, largest_payload + HEADER_SIZE);
    c->out = allocate(1, out_size);
    c->number = allocate((size_t)option.in_flight, sizeof *c->number);
    c->sent_at = allocate((size_t)option.in_flight, sizeof *c->sent_at);
    c->is_slow = index >= option.connections - option.slow;
}

static void open_connection(Connection *c, int index) {
    c->fd = open_socket(SOCK_STREAM, index);
    int bytes = SLOW_RECEIVE_SIZE;
    if (c->is_slow) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    start_connecting(c->fd, index);
    send_request(c->fd);
    read_handshake(c);
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0) die("fcntl");
    open_connections++;
    if (c->is_slow) return;
    watch(c, EPOLL_CTL_ADD);
    memcpy(arrived, c->in, c->in_length);       /* a greeting may have come with the 101 */
    read_frames(c, c->in_length);
}

void open_all(OnText *handler) {
    on_text = handler;
    largest_payload = option.size > SMALLEST_LIMIT ? option.size : SMALLEST_LIMIT;
    arrived_size = largest_payload + HEADER_SIZE + RECEIVE_SIZE;
    arrived = allocate(1, arrived_size);
    size_t message_size = option.size + ENVELOPE_SIZE + HEADER_SIZE;
    out_size = (size_t)option.in_flight * message_size + 8 * (CONTROL_SIZE + HEADER_SIZE);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) die("epoll_create1");
    connections = allocate((size_t)option.connections, sizeof *connections);
    for (int i = 0; i < option.connections; i++) {
        prepare_connection(&connections[i], i);
        open_connection(&connections[i], i);
    }
}

/* Before it has sent anything: ends it and takes another one. */
void open_again(Connection *c) {
    close(c->fd);
    open_connections--;
    c->in_length = c->out_length = 0;
    c->waits_to_write = false;
    open_connection(c, (int)(c - connections));
}

void close_all(void) {
    static const unsigned char NORMAL[] = {1000 >> 8, 1000 & 255};
    for (Connection *c = connections; c < connections + option.connections; c++) {
        if (c->fd < 0) continue;
        if (c->out_length == 0) append_frame(c, CLOSE, NORMAL, sizeof NORMAL);
        send(c->fd, c->out, c->out_length, MSG_NOSIGNAL);
        close(c->fd);
    }
}
