/* Echo: every connection has its own messages under way, and each echo is answered with the next message. */
#include "load.h"

static void on_echo(Connection *c, const unsigned char *payload, size_t length, uint64_t now) {
    uint32_t slot = slot_of(payload, length);
    if (slot == UINT32_MAX || !is_message(payload, length, slot, c->number[slot])) {
        count_error("not the echo of a message under way", (const char *)payload, length < 60 ? length : 60);
        return;
    }
    under_way--;
    take(c, c->number[slot], now - c->sent_at[slot]);
    if (phase != DRAINING) append_message(c, slot, c->next_number++);
    else c->number[slot] = UINT32_MAX;          /* so that a second copy of this echo is an error */
}

void echo(void) {
    prepare_messages();
    open_all(on_echo);
    for (Connection *c = connections; c < connections + option.connections; c++) {
        for (int slot = 0; slot < option.in_flight; slot++) append_message(c, (uint32_t)slot, c->next_number++);
        flush(c);
    }
    measure(run, &under_way);
    close_all();
}
