/* The messages of echo and broadcast: "SSSSNNNNNNNN", slot and number in hexadecimal, and then the alphabet. */
#include "load.h"
#include <stdlib.h>
#include <string.h>

static unsigned char *text;

void prepare_messages(void) {
    text = allocate(1, option.size);
    for (size_t i = 0; i < option.size; i++) text[i] = (unsigned char)('a' + i % 26);
}

static void write_hex(unsigned char *to, uint32_t value, int digits) {
    for (; digits--; value >>= 4) to[digits] = (unsigned char)"0123456789abcdef"[value & 15];
}

static void label(uint32_t slot, uint32_t number) {
    write_hex(text, slot, 4);
    write_hex(text + 4, number, 8);
}

void append_message(Connection *c, uint32_t slot, uint32_t number) {
    c->number[slot] = number;
    c->sent_at[slot] = now_ns();
    append_frame(c, TEXT, message_text(slot, number), option.size);
    under_way++;
}

/* Returns option.size characters, until the next call. */
const unsigned char *message_text(uint32_t slot, uint32_t number) {
    label(slot, number);
    return text;
}

/* Returns UINT32_MAX for what is no message. */
uint32_t slot_of(const unsigned char *payload, size_t length) {
    char digits[5] = "", *end;
    memcpy(digits, payload, length < 4 ? length : 4);
    unsigned long slot = strtoul(digits, &end, 16);
    return end == digits + 4 && slot < (unsigned long)option.in_flight ? (uint32_t)slot : UINT32_MAX;
}

bool is_message(const unsigned char *payload, size_t length, uint32_t slot, uint32_t number) {
    return length == option.size && memcmp(payload, message_text(slot, number), length) == 0;
}

/* Counts a message that came to c after so many nanoseconds. */
void take(Connection *c, uint32_t number, uint64_t ns) {
    if ((int32_t)(number - c->next_expected) < 0) measured.overtaken++;
    else c->next_expected = number + 1;
    if (phase == MEASURING) record(&deliveries, ns);
}
