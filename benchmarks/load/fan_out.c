/* Fan-out and send-to: as many senders as messages may be in flight, spread over the server's processes; a sender's
 * next message leaves when its last has reached everyone that it is for, exactly once. What is counted is deliveries.
 *
 * Each connection is greeted first, with "hello PROCESS ID". */
#include "load.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_SIZE = 40, MOST_ATTEMPTS = 500 };   /* of a greeting, with its end; at equal shares */

typedef struct {
    char process[WORD_SIZE], id[WORD_SIZE];
    int worker;                                 /* -1 before the greeting */
} Place;

typedef struct {
    Connection *sender, *receiver;              /* no receiver: all */
    uint32_t number;                            /* of the message under way */
    uint64_t sent_at;
    int missing;
} Slot;

static Place *places;                           /* of the connections */
static Slot *slots;
static Connection **turns;                      /* the connections, one of each worker in turn */
static const char *before = "", *after = "";    /* a message, in what carries it */

static Place *place_of(const Connection *c) {
    return &places[c - connections];
}

/* ---- messages ---- */

static void send_next(Slot *s) {
    unsigned char frame[ENVELOPE_SIZE + SMALLEST_LIMIT];
    const char *address = s->receiver ? place_of(s->receiver)->id : "";
    const unsigned char *text = message_text((uint32_t)(s - slots), ++s->number);
    int length = snprintf((char *)frame, sizeof frame, "%s%s%.*s%s", before, address, (int)option.size, text, after);
    s->missing = s->receiver ? 1 : option.connections;
    s->sent_at = now_ns();
    under_way++;
    append_frame(s->sender, TEXT, frame, (size_t)length);
}

static void on_message(Connection *c, const unsigned char *text, size_t length, uint64_t now) {
    uint32_t number = slot_of(text, length);
    Slot *s = number == UINT32_MAX ? NULL : &slots[number];
    bool wrong = s == NULL || s->missing == 0 || c->number[number] == s->number || (s->receiver && s->receiver != c);
    if (wrong || !is_message(text, length, number, s->number)) {
        count_error("not what was sent, or twice", (const char *)text, length < 60 ? length : 60);
        return;
    }
    c->number[number] = s->number;
    uint64_t ns = now - s->sent_at;
    if (phase == MEASURING) record(&deliveries, ns);
    if (phase == MEASURING && c == s->sender) record(&own_copies, ns);
    if (--s->missing > 0) return;
    if (phase == MEASURING) record(&last_copies, ns);
    under_way--;
    if (phase == DRAINING) return;
    send_next(s);
    flush(s->sender);
}

/* ---- greetings ---- */

static void on_greeting(Connection *c, const unsigned char *text, size_t length) {
    Place *place = place_of(c);
    char line[2 * WORD_SIZE + 8];
    snprintf(line, sizeof line, "%.*s", (int)length, text);
    if (place->worker >= 0 || sscanf(line, "hello %39s %39s", place->process, place->id) < 1) {
        count_error("not a greeting", line, strlen(line));
        return;
    }
    place->worker = measured.workers;
    for (int i = 0; i < option.connections; i++)
        if (places[i].worker >= 0 && &places[i] != place && strcmp(places[i].process, place->process) == 0)
            place->worker = places[i].worker;
    if (place->worker == measured.workers) measured.workers++;
    under_way--;
}

static void on_text(Connection *c, const unsigned char *payload, size_t length, uint64_t now) {
    size_t head = strlen(before), tail = strlen(after);
    bool enveloped = length >= head + tail && memcmp(payload, before, head) == 0 &&
                     memcmp(payload + length - tail, after, tail) == 0;
    if (enveloped && phase == GREETING) on_greeting(c, payload + head, length - head - tail);
    else if (enveloped) on_message(c, payload + head, length - head - tail, now);
    else if (payload[0] == '0') append_frame(c, TEXT, (const unsigned char *)"40", 2);  /* open: connect */
    else if (payload[0] == '2') append_frame(c, TEXT, (const unsigned char *)"3", 1);   /* ping: pong */
    else if (length < 2 || memcmp(payload, "40", 2) != 0)                               /* connected */
        count_error("not a packet that was expected", (const char *)payload, length < 60 ? length : 60);
}

static void wait_for_greetings(void) {
    run(HANDSHAKE_SECONDS);
    if (under_way > 0) die("not every connection was greeted");
}

/* Has the connections that are more than a process's share come again, as a balancer would have placed them. */
static void spread_evenly(void) {
    int share = (option.connections + option.workers - 1) / option.workers;
    int *of = allocate((size_t)option.connections, sizeof *of);
    for (int attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
        memset(of, 0, (size_t)option.connections * sizeof *of);
        for (int i = 0; i < option.connections; i++) {
            if (++of[places[i].worker] <= share) continue;
            places[i].worker = -1;
            under_way++;
        }
        if (under_way == 0) break;
        for (int i = 0; i < option.connections; i++)
            if (places[i].worker < 0) open_again(&connections[i]);
        wait_for_greetings();
    }
    free(of);
}

static void take_turns(void) {
    int taken = 0;
    turns = allocate((size_t)option.connections, sizeof *turns);
    int *next = allocate((size_t)measured.workers, sizeof *next), *of = allocate((size_t)measured.workers, sizeof *of);
    for (int i = 0; i < option.connections; i++) of[places[i].worker]++;
    measured.fewest = option.connections;
    for (int worker = 0; worker < measured.workers; worker++) {
        if (of[worker] < measured.fewest) measured.fewest = of[worker];
        if (of[worker] > measured.most) measured.most = of[worker];
    }
    for (int worker = 0; taken < option.connections; worker = (worker + 1) % measured.workers) {
        while (next[worker] < option.connections && places[next[worker]].worker != worker) next[worker]++;
        if (next[worker] < option.connections) turns[taken++] = connections + next[worker]++;
    }
    free(next), free(of);
}

/* ---- the modes ---- */

static void greet_and_measure(bool to_one) {
    if (option.in_flight > option.connections) die("--in-flight must be at most --connections");
    if (option.size > SMALLEST_LIMIT - HEADER_SIZE) die("--size must be smaller");
    if (option.socket_io) before = "42[\"message\",\"", after = "\"]";
    prepare_messages();
    places = allocate((size_t)option.connections, sizeof *places);
    for (int i = 0; i < option.connections; i++) places[i].worker = -1;
    phase = GREETING;
    under_way = option.connections;
    open_all(on_text);
    wait_for_greetings();
    if (option.workers > 0) spread_evenly();
    take_turns();
    slots = allocate((size_t)option.in_flight, sizeof *slots);
    phase = WARMING_UP;
    for (int i = 0; i < option.in_flight; i++) {
        slots[i].sender = turns[i];
        slots[i].receiver = to_one ? turns[(i + 1) % option.connections] : NULL;
        send_next(&slots[i]);
        flush(turns[i]);
    }
    measure(run, &under_way);
    close_all();
}

void fan_out(void) {
    greet_and_measure(false);
}

void send_to(void) {
    greet_and_measure(true);
}
