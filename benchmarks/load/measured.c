/* What was measured: clocks, a histogram of times, and the line of JSON. */
#include "load.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { STEPS = 64, OCTAVES = 40, BUCKETS = STEPS * OCTAVES };   /* of the histogram; good to 1.6 % */

struct measured measured;
static uint64_t bucket[BUCKETS];

static uint64_t clock_ns(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) die("cannot read a clock");
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t now_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
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

Clocks read_clocks(void) {
    return (Clocks){.wall = now_ns(), .own = clock_ns(CLOCK_PROCESS_CPUTIME_ID), .server = server_cpu_ns()};
}

void count_error(const char *what, const char *detail, size_t length) {         /* the first is shown */
    if (measured.errors++ == 0) fprintf(stderr, "load: %s: %.*s\n", what, (int)length, detail);
}

void record(uint64_t ns) {                      /* a bucket each below 128 ns, then 64 to each doubling */
    int octave = ns < STEPS ? 0 : 58 - __builtin_clzll(ns);
    uint64_t i = ns < STEPS ? ns : (uint64_t)octave * STEPS + (ns >> (octave - 1)) - STEPS;
    bucket[i < BUCKETS ? i : BUCKETS - 1]++;
    if (ns > measured.longest) measured.longest = ns;
    measured.count++;
}

static double percentile_us(double share) {     /* the middle of the bucket that holds it */
    uint64_t wanted = (uint64_t)(share * (double)measured.count), sum = 0;
    for (uint64_t i = 0; i < BUCKETS; i++) {
        uint64_t width = i < 2 * STEPS ? 1 : 1ull << (i / STEPS - 1);
        uint64_t from = i < STEPS ? i : (STEPS + i % STEPS) * width;
        sum += bucket[i];
        if (sum > wanted) return ((double)from + (double)(width - 1) / 2) / 1000;
    }
    return 0;
}

void print_result(Clocks from, Clocks to, int unanswered) {
    double ns = (double)(to.wall - from.wall), count = (double)measured.count;
    double server_ns = (double)(to.server - from.server), own_ns = (double)(to.own - from.own);
    printf("{\"seconds\": %.4f, \"count\": %.0f, \"per_second\": %.1f, ", ns / 1e9, count, count / ns * 1e9);
    printf("\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, ", percentile_us(0.5), percentile_us(0.99),
           (double)measured.longest / 1000);
    printf("\"errors\": %llu, \"unanswered\": %d, \"overtaken\": %llu, ", (unsigned long long)measured.errors,
           unanswered, (unsigned long long)measured.overtaken);
    printf("\"cpu_us\": %.4f, \"server_share\": %.4f, \"load_share\": %.4f}\n",
           measured.count ? server_ns / count / 1000 : 0, server_ns / ns, own_ns / ns);
}
