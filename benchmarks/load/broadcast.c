/* Broadcast: the first connection sends, all receive, itself included, but for the slow, who never read. A slot
 * sends its next message as soon as all have its last. What is counted is deliveries. */
#include "load.h"

static int *missing;                            /* per slot: how many have yet to receive its message */

static void send_next(Connection *sender, uint32_t slot) {
    missing[slot] = option.connections - option.slow;
    append_message(sender, slot, sender->next_number++);
}

static void on_delivery(Connection *c, const unsigned char *payload, size_t length, uint64_t now) {
    Connection *sender = connections;
    uint32_t slot = slot_of(payload, length), number = slot == UINT32_MAX ? 0 : sender->number[slot];
    bool twice = slot != UINT32_MAX && c != sender && c->number[slot] == number;
    if (slot == UINT32_MAX || twice || !is_message(payload, length, slot, number)) {
        count_error("not what was sent, or twice", (const char *)payload, length < 60 ? length : 60);
        return;
    }
    if (c != sender) c->number[slot] = number;  /* The sender's is that of the message under way. */
    take(c, number, now - sender->sent_at[slot]);
    if (--missing[slot] > 0) return;
    under_way--;
    if (phase == DRAINING) return;
    send_next(sender, slot);
    flush(sender);
}

void broadcast(void) {
    prepare_messages();
    missing = allocate((size_t)option.in_flight, sizeof *missing);
    open_all(on_delivery);
    for (Connection *c = connections; c < connections + option.connections; c++)
        for (int slot = 0; slot < option.in_flight; slot++) c->number[slot] = UINT32_MAX;
    for (int slot = 0; slot < option.in_flight; slot++) send_next(connections, (uint32_t)slot);
    flush(connections);
    measure(run, &under_way);
    close_all();
}
