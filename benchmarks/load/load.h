/* What the files of the load generator share; load.c says what each is for. */
#ifndef LOAD_H
#define LOAD_H
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>
#include <unistd.h>

enum { TEXT = 0x81, CLOSE = 0x88, PING = 0x89, PONG = 0x8a };   /* a frame's first byte: FIN and opcode */
enum { HEADER_SIZE = 14, CONTROL_SIZE = 125 };                  /* at most, RFC 6455, 5.2 and 5.5 */
enum { LABEL_SIZE = 12 };       /* a message begins with its slot, 4 hex digits, and its number, 8 */
enum { SMALLEST_LIMIT = 4096, RECEIVE_SIZE = 256 << 10, LARGEST_SIZE = 64 << 20 };      /* bytes */
enum { SLOW_RECEIVE_SIZE = 4096 };      /* what the kernel takes for one that does not read; it doubles it */
enum { HANDSHAKE_SECONDS = 10, OPENING_SECONDS = 120, DRAIN_SECONDS = 5 };
enum { MOST_PROCESSES = 64, MOST_PORTS = 64, EVENTS = 512 };
enum { ENVELOPE_SIZE = 64 };    /* at most, of what a fan-out puts around a message */

typedef struct {
    int fd;                     /* -1 once it is lost */
    bool is_slow, waits_to_write;
    unsigned char *in, *out;    /* in: the beginning of a frame whose end is to come; out: frames to send */
    size_t in_length, out_length;
    uint32_t *number;           /* per slot: of the message under way (echo), or of the last received */
    uint64_t *sent_at;          /* per slot, in nanoseconds */
    uint32_t next_number, next_expected;
} Connection;

struct options {
    const char *host, *path;
    int port[MOST_PORTS], ports, connections, slow, in_flight, workers;
    bool socket_io;
    size_t size;
    double warm_up, seconds;
    struct processes {
        int count;
        pid_t pid[MOST_PROCESSES];
    } server, engine;           /* the engine is what servers reach each other through */
};

/* common.c */
extern struct options option;
void die(const char *why);
void *allocate(size_t count, size_t size);

/* measured.c */
typedef struct {
    uint64_t wall, own, server, engine, machine;        /* nanoseconds; of CPU time, but the first */
} Clocks;
typedef struct histogram Histogram;
extern struct measured {
    uint64_t count, errors, overtaken;
    int workers, fewest, most;          /* of a fan-out: processes, and connections to one of them */
} measured;
extern Histogram deliveries, own_copies, last_copies;   /* own: the sender's; last: the last one of a message */
uint64_t now_ns(void);
Clocks read_clocks(void);
void count_error(const char *what, const char *detail, size_t length);
void record(Histogram *h, uint64_t ns);
void print_result(Clocks from, Clocks to, int unanswered);

/* frames.c */
void prepare_frames(void);
size_t write_frame(unsigned char *to, unsigned char first_byte, const unsigned char *payload, size_t length);

/* connections.c */
typedef void OnText(Connection *c, const unsigned char *payload, size_t length, uint64_t now);
extern enum phase { WARMING_UP, MEASURING, DRAINING, GREETING } phase;
extern Connection *connections;
extern int epoll_fd, open_connections, under_way;
extern size_t largest_payload;          /* bytes, of a frame from the server */
void open_all(OnText *handler);
void open_again(Connection *c);
void close_all(void);
void append_frame(Connection *c, unsigned char first_byte, const unsigned char *payload, size_t length);
void flush(Connection *c);
void run(double seconds);
void measure(void (*work)(double seconds), const int *unanswered);

/* messages.c */
void prepare_messages(void);
void append_message(Connection *c, uint32_t slot, uint32_t number);
uint32_t slot_of(const unsigned char *payload, size_t length);
const unsigned char *message_text(uint32_t slot, uint32_t number);
bool is_message(const unsigned char *payload, size_t length, uint32_t slot, uint32_t number);
void take(Connection *c, uint32_t number, uint64_t ns);

/* handshake.c */
int open_socket(int type, int index);
void start_connecting(int fd, int index);
void send_request(int fd);
int answer_length(const char *answer);

/* the modes */
void echo(void);
void broadcast(void);
void fan_out(void);
void send_to(void);
void idle(void);
void connect_and_close(void);
void storm(void);

#endif
