/* Frames out, RFC 6455, 5.2: each with a new random mask. */
#include "load.h"
#include <string.h>
#include <sys/random.h>

static uint64_t random_state;

void prepare_frames(void) {
    if (getrandom(&random_state, sizeof random_state, 0) != sizeof random_state) die("getrandom");
    random_state |= 1;                          /* xorshift needs a state that is not 0 */
}

static uint32_t random_mask(void) {             /* xorshift64*, seeded by the kernel */
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * 0x2545f4914f6cdd1dull) >> 32);
}

static unsigned char *write_header(unsigned char *p, unsigned char first_byte, size_t length) {
    int bytes = length < 126 ? 0 : length < 65536 ? 2 : 8;
    *p++ = first_byte;
    *p++ = 0x80 | (unsigned char)(bytes == 0 ? length : bytes == 2 ? 126 : 127);
    while (bytes--) *p++ = (unsigned char)(length >> (8 * bytes));
    return p;
}

/* Returns the length of the frame, at most HEADER_SIZE more than that of the payload. */
size_t write_frame(unsigned char *to, unsigned char first_byte, const unsigned char *payload, size_t length) {
    unsigned char *p = write_header(to, first_byte, length);
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
    return (size_t)(p + length - to);
}
