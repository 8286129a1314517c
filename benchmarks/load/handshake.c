/* RFC 6455, 4.1: what a client does until it has the server's 101. */
#include "load.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* The RFC's example of a nonce. A random one would guard against caches, of which there are none here. */
static const char KEY[] = "dGhlIHNhbXBsZSBub25jZQ==", ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
enum { PER_ADDRESS = 4000, ADDRESSES = 64 };    /* each source address has about 28 000 ports of its own */

/* Returns a socket for the connection of this index; its type is SOCK_STREAM and flags. */
int open_socket(int type, int index) {
    in_addr_t source = INADDR_LOOPBACK + (in_addr_t)(index / PER_ADDRESS % ADDRESSES);
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(source)};
    struct timeval patience = {.tv_sec = HANDSHAKE_SECONDS};
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), yes = 1;
    if (fd < 0) die("socket");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0) die("bind");
    return fd;
}

void start_connecting(int fd, int index) {
    uint16_t port = (uint16_t)option.port[index % option.ports];
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, option.host, &to.sin_addr);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) die("connect");
}

void send_request(int fd) {
    char request[1024];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                          "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n",
                          option.path, option.host, option.port[0], KEY);
    if (length >= (int)sizeof request) die("--path is too long");
    if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length) die("send");
}

/* Returns how long the 101 is, 0 as long as its end is missing, and -1 for an answer that is none, or not ours. */
int answer_length(const char *answer) {
    static const char NAME[] = "\r\nSec-WebSocket-Accept:";
    const char *end = strstr(answer, "\r\n\r\n");
    if (end == NULL) return strlen(answer) < SMALLEST_LIMIT ? 0 : -1;
    const char *accept = strcasestr(answer, NAME);
    if (strncmp(answer, "HTTP/1.1 101", 12) != 0 || accept == NULL || accept > end) return -1;
    accept += strlen(NAME);
    accept += strspn(accept, " \t");
    return strncmp(accept, ACCEPT, strlen(ACCEPT)) == 0 ? (int)(end + 4 - answer) : -1;
}
