/* The benchmark's clients: many WebSocket connections to one server on this machine, one thread, one epoll.
 *
 *   load echo       keeps --in-flight messages of --size bytes under way on each connection, for --seconds after
 *                   --warm-up seconds that do not count, compares every echo byte for byte, prints a line of JSON
 *   load broadcast  one connection sends, and each message is to reach them all; the last --slow never read
 *   load connect    --connections at a time connect, upgrade, close and come again
 *   load storm      all connect at once and stay; it ends with the last 101, or after --seconds
 *   load fan-out    --in-flight of the connections, spread over --port A,B,C and over the processes that greet them,
 *                   send, and each message is to reach them all, exactly once; with --socket-io in its packets. With
 *                   --workers N that many processes have equal shares: a connection too many to one comes again
 *   load send-to    --in-flight of the connections each send to another one, of another process if there is one
 *   load idle       opens the connections, prints "ready N", answers pings, holds them until its stdin is closed
 *
 * What arrives in one recv() is answered in one send(), and nothing is allocated per message, so that it is the
 * server that saturates: in the JSON, server_share is near 1 and load_share is not.
 */
#include "load.h"
#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static const struct {
    const char *name;
    void (*run)(void);
} MODES[] = {{"echo", echo}, {"broadcast", broadcast}, {"connect", connect_and_close}, {"storm", storm},
             {"idle", idle}, {"fan-out", fan_out}, {"send-to", send_to}};

static void read_ports(char *list) {
    option.ports = 0;
    for (char *one = strtok(list, ","); one != NULL; one = strtok(NULL, ",")) {
        int port = atoi(one);
        if (port < 1 || port > 65535) die("--port must be 1 to 65535, or several such");
        if (option.ports == MOST_PORTS) die("too many --port");
        option.port[option.ports++] = port;
    }
}

static void add_process(struct processes *to, pid_t pid) {
    if (to->count == MOST_PROCESSES) die("too many --cpu-of or --engine");
    to->pid[to->count++] = pid;
}

static void read_options(int argc, char **argv) {
    static const struct option known[] = {
        {"host", 1, 0, 'h'}, {"port", 1, 0, 'p'}, {"path", 1, 0, 'u'}, {"connections", 1, 0, 'c'},
        {"slow", 1, 0, 'l'}, {"in-flight", 1, 0, 'f'}, {"size", 1, 0, 's'}, {"warm-up", 1, 0, 'w'},
        {"seconds", 1, 0, 't'}, {"cpu-of", 1, 0, 'o'}, {"engine", 1, 0, 'e'},
        {"workers", 1, 0, 'n'}, {"socket-io", 0, 0, 'i'}, {0, 0, 0, 0}};
    for (int o; (o = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (o == 'h') option.host = optarg;
        else if (o == 'p') read_ports(optarg);
        else if (o == 'u') option.path = optarg;
        else if (o == 'c') option.connections = atoi(optarg);
        else if (o == 'l') option.slow = atoi(optarg);
        else if (o == 'f') option.in_flight = atoi(optarg);
        else if (o == 's') option.size = (size_t)atol(optarg);
        else if (o == 'w') option.warm_up = atof(optarg);
        else if (o == 't') option.seconds = atof(optarg);
        else if (o == 'o') add_process(&option.server, atoi(optarg));
        else if (o == 'e') add_process(&option.engine, atoi(optarg));
        else if (o == 'n') option.workers = atoi(optarg);
        else if (o == 'i') option.socket_io = true;
        else exit(2);
    }
}

static void check_options(void) {
    struct in_addr host;
    if (inet_pton(AF_INET, option.host, &host) != 1 || ntohl(host.s_addr) >> 24 != IN_LOOPBACKNET)
        die("--host must be 127.x.x.x: this is for servers on this machine alone");
    if (option.ports == 0) die("--port must be 1 to 65535");
    if (option.connections < 1 || option.connections > 100000) die("--connections must be 1 to 100000");
    if (option.slow < 0 || option.slow >= option.connections) die("--slow must be fewer than --connections");
    if (option.in_flight < 1 || option.in_flight > 4096) die("--in-flight must be 1 to 4096");
    if (option.size < LABEL_SIZE || option.size > LARGEST_SIZE) die("--size must be 12 bytes to 64 MiB");
    if (!(option.warm_up >= 0 && option.warm_up <= 60)) die("--warm-up must be 0 to 60 seconds");
    if (!(option.seconds > 0 && option.seconds <= 600)) die("--seconds must be above 0, and at most 600");
}

static void allow_open_files(int count) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) die("getrlimit");
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) die("setrlimit");
    if (files.rlim_max < (rlim_t)count) die("ulimit -Hn is too low for that many connections");
}

int main(int argc, char **argv) {
    for (size_t i = 0; i < sizeof MODES / sizeof *MODES; i++) {
        if (argc < 2 || strcmp(argv[1], MODES[i].name) != 0) continue;
        read_options(argc - 1, argv + 1);
        check_options();
        /* Whatever happens, it ends: */
        alarm((unsigned)(OPENING_SECONDS + option.warm_up + option.seconds + 2 * DRAIN_SECONDS));
        allow_open_files(option.connections + 16);
        prepare_frames();
        MODES[i].run();
        return 0;
    }
    die("use: load echo|broadcast|connect|storm|idle --port N [--connections N] [--seconds N] ...");
}
