/* The benchmark's clients: many WebSocket connections to one server on this machine, one thread, one epoll.
 *
 *   load echo  keeps --in-flight messages of --size bytes under way on each connection, for --seconds after
 *              --warm-up seconds that do not count, compares every echo byte for byte, prints a line of JSON.
 *   load idle  opens the connections, prints "ready N", answers pings, holds them until its stdin is closed.
 *
 * What arrives in one recv() is answered in one send(), and nothing is allocated per message, so that it is
 * the server that saturates: in the JSON, server_cpu_share is near 1 and load_cpu_share is not.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { TEXT = 0x81, CLOSE = 0x88, PING = 0x89, PONG = 0x8a };   /* a frame's first byte: FIN and opcode */
enum { HEADER_SIZE = 14, CONTROL_SIZE = 125 };                  /* at most, RFC 6455, 5.2 and 5.5 */
enum { LABEL_SIZE = 12 };       /* a message begins with its slot, 4 hex digits, and its number, 8 */
enum { SMALLEST_LIMIT = 4096, RECEIVE_SIZE = 256 << 10, LARGEST_SIZE = 64 << 20 };      /* bytes */
enum { HANDSHAKE_SECONDS = 10, OPENING_SECONDS = 120, DRAIN_SECONDS = 2 };
enum { PER_ADDRESS = 4000, MOST_PROCESSES = 64 };
enum { STEPS = 64, OCTAVES = 40, BUCKETS = STEPS * OCTAVES };   /* of the histogram; good to 1.6 % */

/* The RFC's example of a nonce. A random one would guard against caches, of which there are none here. */
static const char KEY[] = "dGhlIHNhbXBsZSBub25jZQ==", ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

typedef struct {
    int fd;                     /* -1 once it is lost */
    unsigned char *in, *out;    /* in: the beginning of a frame whose end is to come; out: frames to send */
    size_t in_length, out_length;
    bool waits_to_write;
    uint32_t *number;           /* per slot: the number of the message under way, */
    uint64_t *sent_at;          /* and when it was written, in nanoseconds */
    uint32_t next_number, next_reply;
} Connection;

static struct {
    const char *host, *path;
    int port, connections, in_flight, processes;
    size_t size;
    double warm_up, seconds;
    pid_t process[MOST_PROCESSES];
} option = {.host = "127.0.0.1", .path = "/web_socket", .connections = 64, .in_flight = 1,
            .size = 32, .warm_up = 0.5, .seconds = 2};

static struct {
    uint64_t messages, errors, overtaken, longest, bucket[BUCKETS];
} measured;

static enum { WARMING_UP, MEASURING, DRAINING, IDLE } phase;
static Connection *connections;
static int epoll_fd, open_connections, under_way;
static unsigned char *arrived, *expected;       /* what recv() got; the text that an echo must be equal to */
static size_t arrived_size, limit, out_size;    /* limit: of a payload from the server */
static uint64_t random_state;

static void die(const char *why) {
    fprintf(stderr, "load: %s%s%s\n", why, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL) die("out of memory");
    return memory;
}

static uint64_t clock_ns(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) die("cannot read a clock");
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t server_cpu_ns(void) {           /* all threads, those that have ended included */
    uint64_t sum = 0;
    for (int i = 0; i < option.processes; i++) {
        clockid_t clock;
        errno = clock_getcpuclockid(option.process[i], &clock);
        if (errno) die("cannot read the CPU time of a --cpu-of");
        sum += clock_ns(clock);
    }
    return sum;
}

static uint32_t random_mask(void) {             /* xorshift64*, seeded by the kernel, a new one per frame */
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 0x2545f4914f6cdd1dull) >> 32);
}

static void watch(Connection *c, int operation) {
    struct epoll_event event = {.events = EPOLLIN | (c->waits_to_write ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll_fd, operation, c->fd, &event) != 0) die("epoll_ctl");
}

static void count_error(const char *what, const char *detail, size_t length) {      /* the first is shown */
    if (measured.errors++ == 0) fprintf(stderr, "load: %s: %.*s\n", what, (int)length, detail);
}

static void drop(Connection *c, const char *why) {
    count_error("a connection was lost", why, strlen(why));
    close(c->fd);
    c->fd = -1;
    open_connections--;
}

/* ---- frames out ---- */

static unsigned char *append_header(unsigned char *p, unsigned char first_byte, size_t length) {
    int bytes = length < 126 ? 0 : length < 65536 ? 2 : 8;
    *p++ = first_byte;
    *p++ = 0x80 | (unsigned char)(bytes == 0 ? length : bytes == 2 ? 126 : 127);
    while (bytes--) *p++ = (unsigned char)(length >> (8 * bytes));
    return p;
}

static void append_frame(Connection *c, unsigned char first_byte, const unsigned char *payload,
                         size_t length) {
    unsigned char *p = append_header(c->out + c->out_length, first_byte, length);
    uint32_t mask = random_mask();
    uint64_t mask8 = (uint64_t)mask << 32 | mask, word;
    memcpy(p, &mask, 4);
    p += 4;
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        memcpy(&word, payload + i, 8);
        word ^= mask8;
        memcpy(p + i, &word, 8);
    }
    for (; i < length; i++) p[i] = payload[i] ^ ((unsigned char *)&mask)[i % 4];
    c->out_length = (size_t)(p + length - c->out);
}

static void write_hex(unsigned char *to, uint32_t value, int digits) {
    for (; digits--; value >>= 4) to[digits] = (unsigned char)"0123456789abcdef"[value & 15];
}

static void expect(uint32_t slot, uint32_t number) {
    write_hex(expected, slot, 4);
    write_hex(expected + 4, number, 8);
}

static void append_message(Connection *c, uint32_t slot) {
    c->number[slot] = c->next_number++;
    c->sent_at[slot] = clock_ns(CLOCK_MONOTONIC);
    expect(slot, c->number[slot]);
    append_frame(c, TEXT, expected, option.size);
    under_way++;
}

static void flush(Connection *c) {
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

/* ---- frames in ---- */

static void record(uint64_t ns) {               /* a bucket each below 128 ns, then 64 to each doubling */
    int octave = ns < STEPS ? 0 : 58 - __builtin_clzll(ns);
    uint64_t i = ns < STEPS ? ns : (uint64_t)octave * STEPS + (ns >> (octave - 1)) - STEPS;
    measured.bucket[i < BUCKETS ? i : BUCKETS - 1]++;
    if (ns > measured.longest) measured.longest = ns;
}

static double percentile_us(double share) {     /* the middle of the bucket that holds it */
    uint64_t wanted = (uint64_t)(share * (double)measured.messages), sum = 0;
    for (uint64_t i = 0; i < BUCKETS; i++) {
        uint64_t width = i < 2 * STEPS ? 1 : 1ull << (i / STEPS - 1);
        uint64_t from = i < STEPS ? i : (STEPS + i % STEPS) * width;
        sum += measured.bucket[i];
        if (sum > wanted) return ((double)from + (double)(width - 1) / 2) / 1000;
    }
    return 0;
}

static uint32_t slot_of(const unsigned char *payload, size_t length) {
    char digits[5] = "", *end;
    memcpy(digits, payload, length < 4 ? length : 4);
    unsigned long slot = strtoul(digits, &end, 16);
    return end == digits + 4 && slot < (unsigned long)option.in_flight ? (uint32_t)slot : UINT32_MAX;
}

static void on_text(Connection *c, const unsigned char *payload, size_t length, uint64_t now) {
    uint32_t slot = slot_of(payload, length);
    if (slot != UINT32_MAX) expect(slot, c->number[slot]);
    if (slot == UINT32_MAX || length != option.size || memcmp(payload, expected, length) != 0) {
        count_error("not the echo of a message under way", (const char *)payload, length < 60 ? length : 60);
        return;
    }
    under_way--;
    if ((int32_t)(c->number[slot] - c->next_reply) < 0) measured.overtaken++;
    else c->next_reply = c->number[slot] + 1;
    if (phase == MEASURING) {
        measured.messages++;
        record(now - c->sent_at[slot]);
    }
    if (phase != DRAINING) append_message(c, slot);
    else c->number[slot] = UINT32_MAX;          /* so that a second copy of this echo is an error */
}

static void on_frame(Connection *c, unsigned char first_byte, const unsigned char *payload, size_t length,
                     uint64_t now) {
    if (first_byte == TEXT && phase != IDLE) on_text(c, payload, length, now);
    else if (first_byte == PING && c->out_length + CONTROL_SIZE + HEADER_SIZE <= out_size)
        append_frame(c, PONG, payload, length);
    else if (first_byte == CLOSE) drop(c, "the server sent Close");
    else if (first_byte < CLOSE && phase != IDLE) drop(c, "the server sent a fragment, or not a text");
}

/* Returns the length of the frame that was read, or 0: its end has not arrived, or the connection is lost. */
static size_t read_frame(Connection *c, const unsigned char *bytes, size_t length, uint64_t now) {
    if (length < 2) return 0;
    size_t header = bytes[1] < 126 ? 2 : bytes[1] == 126 ? 4 : 10, payload = header == 2 ? bytes[1] : 0;
    if (length < header) return 0;
    for (size_t i = 2; i < header; i++) payload = payload << 8 | bytes[i];
    if (bytes[1] > 127 || payload > (bytes[0] & 8 ? CONTROL_SIZE : limit)) {
        drop(c, "the server sent a masked or an oversized frame");
        return 0;
    }
    if (length < header + payload) return 0;
    on_frame(c, bytes[0], bytes + header, payload, now);
    return c->fd < 0 ? 0 : header + payload;
}

static void on_readable(Connection *c) {
    memcpy(arrived, c->in, c->in_length);
    ssize_t received = recv(c->fd, arrived + c->in_length, arrived_size - c->in_length, 0);
    if (received < 0 && errno == EAGAIN) return;
    if (received <= 0) {
        drop(c, received ? strerror(errno) : "the server ended it");
        return;
    }
    size_t end = c->in_length + (size_t)received, at = 0, used = 1;
    uint64_t now = clock_ns(CLOCK_MONOTONIC);
    for (; used; at += used) used = read_frame(c, arrived + at, end - at, now);
    if (c->fd < 0) return;
    c->in_length = end - at;
    memcpy(c->in, arrived + at, c->in_length);
    flush(c);
}

/* Lasts for so many seconds, or until stdin ends, the last connection is lost or, when draining, the last
 * echo has come. */
static void run(double seconds) {
    struct epoll_event events[512];
    uint64_t now = clock_ns(CLOCK_MONOTONIC), deadline = now + (uint64_t)(seconds * 1e9);
    for (; now < deadline; now = clock_ns(CLOCK_MONOTONIC)) {
        if (open_connections == 0 || (phase == DRAINING && under_way == 0)) return;
        int count = epoll_wait(epoll_fd, events, 512, (int)((deadline - now) / 1000000) + 1);
        for (int i = 0; i < count; i++) {
            Connection *c = events[i].data.ptr;
            if (c == NULL) return;
            if (events[i].events & EPOLLOUT) flush(c);
            if (c->fd >= 0 && events[i].events & ~(uint32_t)EPOLLOUT) on_readable(c);
        }
    }
}

/* ---- opening and closing ---- */

static void read_handshake(Connection *c) {     /* RFC 6455, 4.1: 101, and the accept value of KEY */
    static const char NAME[] = "\r\nSec-WebSocket-Accept:";
    char answer[SMALLEST_LIMIT + 1] = "", *end;
    size_t length = 0;
    while ((end = strstr(answer, "\r\n\r\n")) == NULL) {
        errno = 0;
        ssize_t received = recv(c->fd, answer + length, SMALLEST_LIMIT - length, 0);
        if (received <= 0) die("the server did not finish the handshake");
        length += (size_t)received;
        answer[length] = 0;
    }
    errno = 0;
    char *accept = strcasestr(answer, NAME);
    if (strncmp(answer, "HTTP/1.1 101", 12) != 0 || accept == NULL || accept > end) die("upgrade refused");
    accept += strlen(NAME);
    accept += strspn(accept, " \t");
    if (strncmp(accept, ACCEPT, strlen(ACCEPT)) != 0) die("the server's Sec-WebSocket-Accept is wrong");
    c->in_length = (size_t)(answer + length - (end + 4));
    memcpy(c->in, end + 4, c->in_length);
}

static int connect_from(in_addr_t source) {     /* each source address has about 28 000 ports of its own */
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)option.port)};
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(source)};
    struct timeval patience = {.tv_sec = HANDSHAKE_SECONDS};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    if (fd < 0) die("socket");
    inet_pton(AF_INET, option.host, &to.sin_addr);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0) die("bind");
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0) die("connect");
    return fd;
}

static void send_request(int fd) {
    char request[1024];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
                          option.path, option.host, option.port, KEY);
    if (length >= (int)sizeof request) die("--path is too long");
    if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length) die("send");
}

static void open_connection(Connection *c, int index) {
    c->in = allocate(1, limit + HEADER_SIZE);
    c->out = allocate(1, out_size);
    c->number = allocate((size_t)option.in_flight, sizeof *c->number);
    c->sent_at = allocate((size_t)option.in_flight, sizeof *c->sent_at);
    c->fd = connect_from(INADDR_LOOPBACK + (in_addr_t)(index / PER_ADDRESS));
    send_request(c->fd);
    read_handshake(c);
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) != 0) die("fcntl");
    watch(c, EPOLL_CTL_ADD);
    open_connections++;
}

static void allow_open_files(int count) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) die("getrlimit");
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) die("setrlimit");
    if (files.rlim_max < (rlim_t)count) die("ulimit -Hn is too low for that many connections");
}

static void open_all(void) {
    allow_open_files(option.connections + 16);
    limit = option.size > SMALLEST_LIMIT ? option.size : SMALLEST_LIMIT;
    arrived_size = limit + HEADER_SIZE + RECEIVE_SIZE;
    out_size = (size_t)option.in_flight * (option.size + HEADER_SIZE) + 8 * (CONTROL_SIZE + HEADER_SIZE);
    arrived = allocate(1, arrived_size);
    expected = allocate(1, option.size);
    for (size_t i = 0; i < option.size; i++) expected[i] = (unsigned char)('a' + i % 26);
    if (getrandom(&random_state, sizeof random_state, 0) != sizeof random_state) die("getrandom");
    random_state |= 1;                          /* xorshift needs a state that is not 0 */
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0) die("epoll_create1");
    connections = allocate((size_t)option.connections, sizeof *connections);
    for (int i = 0; i < option.connections; i++) open_connection(&connections[i], i);
}

static void close_all(void) {
    static const unsigned char NORMAL[] = {1000 >> 8, 1000 & 255};
    for (Connection *c = connections; c < connections + option.connections; c++) {
        if (c->fd < 0) continue;
        if (c->out_length == 0) append_frame(c, CLOSE, NORMAL, sizeof NORMAL);
        send(c->fd, c->out, c->out_length, MSG_NOSIGNAL);
        close(c->fd);
    }
}

/* ---- the two modes ---- */

static void print_echo_result(double ns, double own_ns, double server_ns) {
    double messages = (double)measured.messages;
    printf("{\"connections\": %d, \"size\": %zu, \"in_flight\": %d, ", option.connections, option.size,
           option.in_flight);
    printf("\"seconds\": %.3f, \"messages\": %.0f, \"messages_per_second\": %.1f, ", ns / 1e9, messages,
           messages / ns * 1e9);
    printf("\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, ", percentile_us(0.5), percentile_us(0.99),
           (double)measured.longest / 1000);
    printf("\"errors\": %llu, \"unanswered\": %d, \"overtaken\": %llu, ", (unsigned long long)measured.errors,
           under_way, (unsigned long long)measured.overtaken);
    printf("\"server_cpu_us_per_message\": %.3f, \"server_cpu_share\": %.3f, \"load_cpu_share\": %.3f}\n",
           messages ? server_ns / messages / 1000 : 0, server_ns / ns, own_ns / ns);
}

static void echo(void) {
    for (Connection *c = connections; c < connections + option.connections; c++) {
        for (int slot = 0; slot < option.in_flight; slot++) append_message(c, (uint32_t)slot);
        flush(c);
    }
    run(option.warm_up);
    phase = MEASURING;
    uint64_t server = server_cpu_ns(), own = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t from = clock_ns(CLOCK_MONOTONIC);
    run(option.seconds);
    uint64_t ns = clock_ns(CLOCK_MONOTONIC) - from;
    own = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - own;
    server = server_cpu_ns() - server;
    phase = DRAINING;
    run(DRAIN_SECONDS);
    print_echo_result((double)ns, (double)own, (double)server);
}

static void idle(void) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, STDIN_FILENO, &event) != 0) die("stdin must be a pipe");
    phase = IDLE;
    printf("ready %d\n", open_connections);
    fflush(stdout);
    run(option.seconds);
    printf("{\"connections\": %d, \"open\": %d}\n", option.connections, open_connections);
}

static void read_options(int argc, char **argv) {
    static const struct option known[] = {
        {"host", 1, 0, 'h'}, {"port", 1, 0, 'p'}, {"path", 1, 0, 'u'}, {"connections", 1, 0, 'c'},
        {"in-flight", 1, 0, 'f'}, {"size", 1, 0, 's'}, {"warm-up", 1, 0, 'w'}, {"seconds", 1, 0, 't'},
        {"cpu-of", 1, 0, 'o'}, {0, 0, 0, 0}};
    for (int o; (o = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (o == 'h') option.host = optarg;
        else if (o == 'p') option.port = atoi(optarg);
        else if (o == 'u') option.path = optarg;
        else if (o == 'c') option.connections = atoi(optarg);
        else if (o == 'f') option.in_flight = atoi(optarg);
        else if (o == 's') option.size = (size_t)atol(optarg);
        else if (o == 'w') option.warm_up = atof(optarg);
        else if (o == 't') option.seconds = atof(optarg);
        else if (o == 'o' && option.processes < MOST_PROCESSES)
            option.process[option.processes++] = atoi(optarg);
        else exit(2);
    }
}

static void check_options(void) {
    struct in_addr host;
    if (inet_pton(AF_INET, option.host, &host) != 1 || ntohl(host.s_addr) >> 24 != IN_LOOPBACKNET)
        die("--host must be 127.x.x.x: this is for servers on this machine alone");
    if (option.port < 1 || option.port > 65535) die("--port must be 1 to 65535");
    if (option.connections < 1 || option.connections > 100000) die("--connections must be 1 to 100000");
    if (option.in_flight < 1 || option.in_flight > 4096) die("--in-flight must be 1 to 4096");
    if (option.size < LABEL_SIZE || option.size > LARGEST_SIZE) die("--size must be 12 bytes to 64 MiB");
    if (!(option.warm_up >= 0 && option.warm_up <= 60)) die("--warm-up must be 0 to 60 seconds");
    if (!(option.seconds > 0 && option.seconds <= 600)) die("--seconds must be above 0, and at most 600");
}

int main(int argc, char **argv) {
    bool echoes = argc > 1 && strcmp(argv[1], "echo") == 0;
    bool idles = argc > 1 && strcmp(argv[1], "idle") == 0;
    if (!echoes && !idles) die("use: load echo|idle --port N [--connections N] [--seconds N] ...");
    read_options(argc - 1, argv + 1);
    check_options();
    /* Whatever happens, it ends: */
    alarm((unsigned)(OPENING_SECONDS + option.warm_up + option.seconds + 2 * DRAIN_SECONDS));
    open_all();
    if (echoes) echo();
    if (idles) idle();
    close_all();
    return measured.errors || under_way ? 1 : 0;
}
