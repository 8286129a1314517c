/* What was measured: clocks, a histogram of times, and the line of JSON. */
#include "load.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { STEPS = 64, OCTAVES = 40, BUCKETS = STEPS * OCTAVES };   /* of the histogram; good to 1.6 % */

struct histogram {
    const char *prefix;         /* of its names in the JSON */
    uint64_t count, longest, bucket[BUCKETS];
};
struct measured measured;
Histogram deliveries = {.prefix = ""}, own_copies = {.prefix = "own_"}, last_copies = {.prefix = "last_"};

static uint64_t clock_ns(clockid_t clock) {
    struct timespec time;
    if (clock_gettime(clock, &time) != 0) die("cannot read a clock");
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

uint64_t now_ns(void) {
    return clock_ns(CLOCK_MONOTONIC);
}

static uint64_t cpu_ns(const struct processes *of) {    /* all threads, those that have ended included */
    uint64_t sum = 0;
    for (int i = 0; i < of->count; i++) {
        clockid_t clock;
        errno = clock_getcpuclockid(of->pid[i], &clock);
        if (errno) die("cannot read the CPU time of a process");
        sum += clock_ns(clock);
    }
    return sum;
}

static uint64_t machine_ns(void) {              /* all cores; time idle or waiting for disks is not in it */
    unsigned long long ticks, sum = 0;
    FILE *stat = fopen("/proc/stat", "r");
    if (stat == NULL || fscanf(stat, "cpu") != 0) die("cannot read /proc/stat");
    for (int i = 0; i < 8 && fscanf(stat, " %llu", &ticks) == 1; i++)
        if (i != 3 && i != 4) sum += ticks;
    fclose(stat);
    return sum * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

Clocks read_clocks(void) {
    return (Clocks){.wall = now_ns(),
                    .own = clock_ns(CLOCK_PROCESS_CPUTIME_ID),
                    .server = cpu_ns(&option.server),
                    .engine = cpu_ns(&option.engine),
                    .machine = machine_ns()};
}

void count_error(const char *what, const char *detail, size_t length) {         /* the first is shown */
    if (measured.errors++ == 0) fprintf(stderr, "load: %s: %.*s\n", what, (int)length, detail);
}

void record(Histogram *h, uint64_t ns) {                      /* a bucket each below 128 ns, then 64 to each doubling */
    int octave = ns < STEPS ? 0 : 58 - __builtin_clzll(ns);
    uint64_t i = ns < STEPS ? ns : (uint64_t)octave * STEPS + (ns >> (octave - 1)) - STEPS;
    h->bucket[i < BUCKETS ? i : BUCKETS - 1]++;
    if (ns > h->longest) h->longest = ns;
    h->count++;
}

static double percentile_us(const Histogram *h, double share) {         /* the middle of the bucket that holds it */
    uint64_t wanted = (uint64_t)(share * (double)h->count), sum = 0;
    for (uint64_t i = 0; i < BUCKETS; i++) {
        uint64_t width = i < 2 * STEPS ? 1 : 1ull << (i / STEPS - 1);
        uint64_t from = i < STEPS ? i : (STEPS + i % STEPS) * width;
        sum += h->bucket[i];
        if (sum > wanted) return ((double)from + (double)(width - 1) / 2) / 1000;
    }
    return 0;
}

static void print_times(const Histogram *h) {
    printf("\"%sp50_us\": %.1f, ", h->prefix, percentile_us(h, 0.5));
    printf("\"%sp99_us\": %.1f, ", h->prefix, percentile_us(h, 0.99));
    printf("\"%smax_us\": %.1f, ", h->prefix, (double)h->longest / 1000);
}

static void print_fan_out(Clocks from, Clocks to, double count) {
    double ns = (double)(to.wall - from.wall), engine_ns = (double)(to.engine - from.engine);
    uint64_t known = to.own - from.own + to.server - from.server + to.engine - from.engine;
    double others = (double)(to.machine - from.machine) - (double)known;
    print_times(&own_copies);
    print_times(&last_copies);
    printf("\"workers\": %d, \"fewest\": %d, \"most\": %d, ", measured.workers, measured.fewest, measured.most);
    printf("\"engine_us\": %.4f, \"engine_share\": %.4f, ", count ? engine_ns / count / 1000 : 0, engine_ns / ns);
    printf("\"others_share\": %.4f, ", others / ns);
}

void print_result(Clocks from, Clocks to, int unanswered) {
    double ns = (double)(to.wall - from.wall), count = (double)deliveries.count;
    double server_ns = (double)(to.server - from.server), own_ns = (double)(to.own - from.own);
    printf("{\"seconds\": %.4f, \"count\": %.0f, \"per_second\": %.1f, ", ns / 1e9, count, count / ns * 1e9);
    print_times(&deliveries);
    if (option.engine.count) print_fan_out(from, to, count);
    printf("\"errors\": %llu, \"unanswered\": %d, \"overtaken\": %llu, ", (unsigned long long)measured.errors,
           unanswered, (unsigned long long)measured.overtaken);
    printf("\"cpu_us\": %.4f, \"server_share\": %.4f, \"load_share\": %.4f}\n",
           count ? server_ns / count / 1000 : 0, server_ns / ns, own_ns / ns);
}
