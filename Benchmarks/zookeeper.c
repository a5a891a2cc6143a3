/* Loads a ZooKeeper server, and says how it did, in one line of JSON.
 *
 *   zookeeper create HOST PORT CONNECTIONS DEPTH COUNT   creates of 100 bytes, DEPTH outstanding on each connection
 *   zookeeper get    HOST PORT CONNECTIONS DEPTH COUNT   reads of one znode of 100 bytes
 *   zookeeper watch  HOST PORT WATCHERS    0     ROUNDS  each round one znode is set, and every watcher is told and reads
 *                                                        it again with a new watch
 *
 * C, one thread a connection (watchers: two threads) and no parsing beyond what framing needs: the generator must cost less
 * than what it measures. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { DATA = 100, BUFFER = 1 << 16, WATCH_THREADS = 2 };

static const char *mode, *host, *port;
static int connections, depth;
static long count;
static atomic_long next_number, told;
static double *latencies;

static void die(const char *what) {
    fprintf(stderr, "zookeeper: %s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static unsigned char *put32(unsigned char *at, uint32_t number) {
    number = htonl(number);
    memcpy(at, &number, 4);
    return at + 4;
}

static unsigned char *put64(unsigned char *at, uint64_t number) {
    number = htobe64(number);
    memcpy(at, &number, 8);
    return at + 8;
}

static unsigned char *put_text(unsigned char *at, const char *text) {
    size_t length = strlen(text);
    memcpy(put32(at, length), text, length);
    return at + 4 + length;
}

static void send_all(int fd, const unsigned char *bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0) die("send");
        bytes += sent;
        length -= sent;
    }
}

static void receive(int fd, unsigned char *bytes, size_t length) {
    while (length > 0) {
        ssize_t got = recv(fd, bytes, length, 0);
        if (got <= 0) die("recv");
        bytes += got;
        length -= got;
    }
}

/* Frames come one after another through a buffer of the connection's own. */
struct reader {
    int fd;
    size_t start, end;
    unsigned char bytes[BUFFER];
};

/* The next frame, or NULL when only a part of one has come and `waits` is 0. */
static unsigned char *frame(struct reader *reader, uint32_t *length, int waits) {
    for (;;) {
        size_t have = reader->end - reader->start;
        if (have >= 4) {
            memcpy(length, reader->bytes + reader->start, 4);
            *length = ntohl(*length);
            if (*length > BUFFER - 4) die("a frame that is too long");
            if (have >= 4 + *length) {
                unsigned char *found = reader->bytes + reader->start + 4;
                reader->start += 4 + *length;
                return found;
            }
        }
        memmove(reader->bytes, reader->bytes + reader->start, have);
        reader->start = 0;
        reader->end = have;
        ssize_t got = recv(reader->fd, reader->bytes + have, BUFFER - have, waits ? 0 : MSG_DONTWAIT);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return NULL;
        if (got <= 0) die("recv");
        reader->end += got;
    }
}

static int open_session(void) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, port, &hints, &found)) die("getaddrinfo");
    int fd = socket(found->ai_family, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen)) die("connect");
    freeaddrinfo(found);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    unsigned char bytes[64] = {0}, *at = put32(bytes, 45);
    at = put64(put32(at, 0), 0);
    at = put64(put32(at, 40000), 0);
    put32(at, 16);
    send_all(fd, bytes, 49);
    unsigned char answer[64];
    receive(fd, answer, 4);
    uint32_t length;
    memcpy(&length, answer, 4);
    if (ntohl(length) > 60) die("greeting");
    receive(fd, answer, ntohl(length));
    return fd;
}

static size_t create(unsigned char *bytes, int xid, const char *path) {
    static const unsigned char data[DATA] = {'x'};
    unsigned char *at = put32(put32(bytes + 4, xid), 1);
    at = put32(put_text(at, path), DATA);
    memcpy(at, data, DATA);
    at = put32(put32(at + DATA, 1), 31);
    at = put32(put_text(put_text(at, "world"), "anyone"), 0);
    put32(bytes, at - bytes - 4);
    return at - bytes;
}

static size_t get(unsigned char *bytes, int xid, const char *path, int watch) {
    unsigned char *at = put_text(put32(put32(bytes + 4, xid), 4), path);
    *at++ = watch;
    put32(bytes, at - bytes - 4);
    return at - bytes;
}

static size_t set(unsigned char *bytes, int xid, const char *path) {
    unsigned char *at = put32(put_text(put32(put32(bytes + 4, xid), 5), path), DATA);
    memset(at, 'y', DATA);
    at = put32(at + DATA, -1);
    put32(bytes, at - bytes - 4);
    return at - bytes;
}

static int32_t number_at(const unsigned char *bytes) {
    uint32_t number;
    memcpy(&number, bytes, 4);
    return (int32_t)ntohl(number);
}

static void *work(void *argument) {
    (void)argument;
    struct reader *reader = calloc(1, sizeof *reader);
    reader->fd = open_session();
    double *sent = calloc(depth, sizeof *sent);
    unsigned char bytes[512];
    char path[64];
    int issued = 0, answered = 0, is_over = 0;
    while (!is_over || answered < issued) {
        while (!is_over && issued - answered < depth) {
            long number = atomic_fetch_add(&next_number, 1);
            if (number >= count) {
                is_over = 1;
                break;
            }
            snprintf(path, sizeof path, "/bench/%d-%ld", getpid(), number);
            sent[issued % depth] = now();
            size_t length = *mode == 'c' ? create(bytes, issued + 1, path) : get(bytes, issued + 1, "/bench/read", 0);
            send_all(reader->fd, bytes, length);
            issued++;
        }
        if (answered == issued) break;
        uint32_t length;
        do {
            unsigned char *answer = frame(reader, &length, 1);
            if (number_at(answer) != answered + 1 || number_at(answer + 12) != 0) die("an answer");
            long place = atomic_fetch_add(&told, 1);
            latencies[place] = now() - sent[answered % depth];
            answered++;
        } while (answered < issued && reader->end - reader->start >= 4 &&
                 reader->end - reader->start >= 4 + (size_t)number_at(reader->bytes + reader->start));
    }
    close(reader->fd);
    return NULL;
}

static void *watch(void *argument) {
    int first = (int)(long)argument, own = 0;
    struct reader **readers = calloc(connections, sizeof *readers);
    struct pollfd *polls = calloc(connections, sizeof *polls);
    unsigned char bytes[128];
    for (int each = first; each < connections; each += WATCH_THREADS) {
        readers[own] = calloc(1, sizeof **readers);
        readers[own]->fd = polls[own].fd = open_session();
        polls[own].events = POLLIN;
        send_all(polls[own].fd, bytes, get(bytes, 1, "/bench/watched", 1));
        own++;
    }
    for (;;) {
        if (poll(polls, own, 1000) < 0) die("poll");
        for (int each = 0; each < own; each++) {
            if (!(polls[each].revents & POLLIN)) continue;
            uint32_t length;
            unsigned char *answer;
            while ((answer = frame(readers[each], &length, 0))) {
                if (number_at(answer) == -1) {
                    send_all(polls[each].fd, bytes, get(bytes, 1, "/bench/watched", 1));
                } else {
                    atomic_fetch_add(&told, 1);
                }
            }
        }
    }
    return NULL;
}

static int by_value(const void *left, const void *right) {
    double difference = *(const double *)left - *(const double *)right;
    return difference < 0 ? -1 : difference > 0;
}

static void set_up(void) {
    int fd = open_session();
    unsigned char bytes[512], answer[256];
    const char *paths[] = {"/bench", "/bench/read", "/bench/watched"};
    for (int each = 0; each < 3; each++) {
        send_all(fd, bytes, create(bytes, each + 1, paths[each]));
        receive(fd, answer, 4);
        receive(fd, answer + 4, number_at(answer));
    }
    close(fd);
}

static void run_watch(void) {
    pthread_t thread;
    for (long each = 0; each < WATCH_THREADS; each++) pthread_create(&thread, NULL, watch, (void *)each);
    struct reader *reader = calloc(1, sizeof *reader);
    reader->fd = open_session();
    unsigned char bytes[512];
    while (atomic_load(&told) < connections) usleep(1000);
    double began = now();
    for (long round = 1; round <= count; round++) {
        uint32_t length;
        double start = now();
        send_all(reader->fd, bytes, set(bytes, round, "/bench/watched"));
        if (number_at(frame(reader, &length, 1) + 12) != 0) die("a set");
        while (atomic_load(&told) < connections * (round + 1)) {
            if (now() - start > 30) die("watchers were not told");
            usleep(20);
        }
        latencies[round - 1] = now() - start;
    }
    double took = now() - began;
    qsort(latencies, count, sizeof *latencies, by_value);
    printf("{\"per_second\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n", count * connections / took,
           latencies[count / 2] * 1e3, latencies[count * 99 / 100] * 1e3);
}

int main(int argc, char **argv) {
    if (argc != 7) return fprintf(stderr, "zookeeper create|get|watch HOST PORT CONNECTIONS DEPTH COUNT\n"), 2;
    mode = argv[1], host = argv[2], port = argv[3];
    connections = atoi(argv[4]), depth = atoi(argv[5]), count = atol(argv[6]);
    struct rlimit files = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &files);
    latencies = calloc(count, sizeof *latencies);
    set_up();
    if (*mode == 'w') return run_watch(), 0;
    pthread_t *threads = calloc(connections, sizeof *threads);
    double began = now();
    for (int each = 0; each < connections; each++) pthread_create(&threads[each], NULL, work, NULL);
    for (int each = 0; each < connections; each++) pthread_join(threads[each], NULL);
    double took = now() - began;
    qsort(latencies, count, sizeof *latencies, by_value);
    printf("{\"per_second\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f}\n", count / took, latencies[count / 2] * 1e3,
           latencies[count * 99 / 100] * 1e3);
    return 0;
}
