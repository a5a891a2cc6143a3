/* Loads an HTTPS server over HTTP/1.1 from a number of kept connections, and says how it did, in one line of JSON.
 *
 *   load get    HOST PORT TOKEN PATH CONNECTIONS COUNT
 *   load post   HOST PORT TOKEN PATH CONNECTIONS COUNT BODY
 *   load watch  HOST PORT TOKEN PATH WATCHERS COUNT BODY WATCHPATH
 *
 * In BODY, %N is a number of the request's own and %K the base64 of "bench-" and that number in six digits. `watch` opens
 * WATCHERS watches of WATCHPATH, then posts COUNT bodies from 16 connections, and counts the events that all watches
 * receive until each has them all. C, one thread a connection and no parsing beyond what framing needs: the generator
 * must cost less than what it measures. An empty TOKEN sends none. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { POSTERS = 16, WATCH_THREADS = 2, READ_BYTES = 1 << 16, STALL_SECONDS = 60 };

static const char *host, *port, *token, *path, *body, *watch_path;
static SSL_CTX *context;
static long count;
static atomic_long next_number, failures, events, ready_watches, bytes_read;
static atomic_int is_over;
static double *latencies;

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "failed");
    ERR_print_errors_fp(stderr);
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static SSL *connect_tls(void) {
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, port, &hints, &found)) die("getaddrinfo");
    int socket_ = socket(found->ai_family, found->ai_socktype, 0), one = 1;
    if (socket_ < 0 || connect(socket_, found->ai_addr, found->ai_addrlen)) die("connect");
    freeaddrinfo(found);
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    SSL *tls = SSL_new(context);
    SSL_set_fd(tls, socket_);
    if (SSL_connect(tls) != 1) die("TLS handshake");
    return tls;
}

static void send_all(SSL *tls, const char *bytes, size_t length) {
    if (SSL_write(tls, bytes, (int)length) != (int)length) die("write");
}

static size_t head(char *out, const char *method, const char *target, size_t length) {
    char authorization[4096] = "", content[128] = "";
    if (*token) snprintf(authorization, sizeof authorization, "Authorization: Bearer %s\r\n", token);
    if (length) snprintf(content, sizeof content, "Content-Type: application/json\r\nContent-Length: %zu\r\n", length);
    return (size_t)sprintf(out, "%s %s HTTP/1.1\r\nHost: %s:%s\r\nAccept: application/json\r\n%s%s\r\n", method, target,
                           host, port, authorization, content);
}

/* Reads one answer with a Content-Length; returns its status. */
static int read_answer(SSL *tls, char *buffer) {
    int have = 0;
    char *end = NULL;
    while (!end) {
        int got = SSL_read(tls, buffer + have, READ_BYTES - have - 1);
        if (got <= 0) die("read");
        have += got;
        buffer[have] = 0;
        end = strstr(buffer, "\r\n\r\n");
    }
    char *field = strcasestr(buffer, "\r\ncontent-length:");
    if (!field || field > end) die("no Content-Length in the answer");
    long left = atol(field + 17) - (have - (end + 4 - buffer));
    atomic_fetch_add(&bytes_read, have);
    int status = atoi(buffer + 9);
    while (left > 0) {
        int got = SSL_read(tls, buffer, left < READ_BYTES ? (int)left : READ_BYTES);
        if (got <= 0) die("read");
        left -= got;
        atomic_fetch_add(&bytes_read, got);
    }
    return status;
}

static size_t fill(char *out, const char *template_, long number) {
    char *start = out;
    for (const char *at = template_; *at; at++) {
        if (at[0] == '%' && at[1] == 'N') {
            out += sprintf(out, "%ld", number);
            at++;
        } else if (at[0] == '%' && at[1] == 'K') {
            char key[32];
            int length = sprintf(key, "bench-%06ld", number);
            out += EVP_EncodeBlock((unsigned char *)out, (unsigned char *)key, length);
            at++;
        } else {
            *out++ = *at;
        }
    }
    return (size_t)(out - start);
}

static void *requester(void *argument) {
    (void)argument;
    SSL *tls = connect_tls();
    char *buffer = malloc(READ_BYTES), *request = malloc(1 << 20), *filled = malloc(1 << 20);
    size_t length = head(request, "GET", path, 0);
    long number;
    while ((number = atomic_fetch_add(&next_number, 1)) < count) {
        if (body) {
            size_t size = fill(filled, body, number);
            length = head(request, "POST", path, size);
            memcpy(request + length, filled, size);
            length += size;
        }
        double began = now();
        send_all(tls, request, length);
        int status = read_answer(tls, buffer);
        latencies[number] = now() - began;
        if (status != 200 && status != 201) {
            if (atomic_fetch_add(&failures, 1) == 0) fprintf(stderr, "load: status %d\n", status);
        }
    }
    return NULL;
}

/* Watches: each thread has its share in one epoll set and counts lines that end in "}\n", which chunk headers do not. */
struct watch { SSL *tls; char last; int has_head; };

static void take(struct watch *watch, const char *buffer, int got) {
    const char *at = buffer, *end = buffer + got;
    if (!watch->has_head) {
        if (got < 12 || strncmp(buffer + 9, "200", 3)) die("a watch was refused");
        char *blank = memmem(buffer, (size_t)got, "\r\n\r\n", 4);
        if (!blank) die("the head of a watch came in pieces");
        watch->has_head = 1;
        atomic_fetch_add(&ready_watches, 1);
        at = blank + 4;
        watch->last = '\n';
    }
    long found = 0;
    const char *start = at;
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at)))) {
        if ((at == start ? watch->last : at[-1]) == '}') found++;
        at++;
    }
    if (end > start) watch->last = end[-1];
    if (found) atomic_fetch_add(&events, found);
    atomic_fetch_add(&bytes_read, got);
}

static void *watcher(void *argument) {
    long share = (long)argument;
    int set = epoll_create1(0);
    char *buffer = malloc(READ_BYTES), request[8192];
    size_t length = head(request, "GET", watch_path, 0);
    struct watch *watches = calloc((size_t)share, sizeof *watches);
    for (long each = 0; each < share; each++) {
        watches[each].tls = connect_tls();
        send_all(watches[each].tls, request, length);
        int socket_ = SSL_get_fd(watches[each].tls);
        fcntl(socket_, F_SETFL, fcntl(socket_, F_GETFL) | O_NONBLOCK);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &watches[each]};
        epoll_ctl(set, EPOLL_CTL_ADD, socket_, &event);
    }
    struct epoll_event found[256];
    while (!is_over) {
        int many = epoll_wait(set, found, 256, 100);
        for (int each = 0; each < many; each++) {
            struct watch *watch = found[each].data.ptr;
            int got;
            while ((got = SSL_read(watch->tls, buffer, READ_BYTES)) > 0) take(watch, buffer, got);
            if (SSL_get_error(watch->tls, got) != SSL_ERROR_WANT_READ) die("a watch ended");
        }
    }
    return NULL;
}

static int ascending(const void *one, const void *other) {
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

/* Processor time of this program so far, in seconds: what the generator takes away from what it measures. */
static double burnt(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double run(long threads) {
    pthread_t thread[4096];
    double began = now();
    for (long each = 0; each < threads; each++) pthread_create(&thread[each], NULL, requester, NULL);
    for (long each = 0; each < threads; each++) pthread_join(thread[each], NULL);
    return now() - began;
}

int main(int arguments, char **words) {
    if (arguments < 8) return fprintf(stderr, "usage: see the head of load.c\n"), 64;
    signal(SIGPIPE, SIG_IGN);
    host = words[2], port = words[3], token = words[4], path = words[5];
    long connections = atol(words[6]);
    count = atol(words[7]);
    body = arguments > 8 ? words[8] : NULL;
    watch_path = arguments > 9 ? words[9] : NULL;
    struct rlimit files = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &files);
    context = SSL_CTX_new(TLS_client_method());
    latencies = calloc((size_t)count + 1, sizeof *latencies);
    if (strcmp(words[1], "watch")) {
        double took = run(connections);
        qsort(latencies, (size_t)count, sizeof *latencies, ascending);
        printf("{\"per_second\": %.1f, \"seconds\": %.4f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"failures\": %ld, "
               "\"bytes\": %ld, \"cpu_us\": %.1f}\n", count / took, took, latencies[count / 2] * 1e3,
               latencies[count * 99 / 100] * 1e3, (long)failures, (long)bytes_read, burnt() / count * 1e6);
        return failures > 0;
    }
    pthread_t thread[WATCH_THREADS];
    for (long each = 0; each < WATCH_THREADS; each++)
        pthread_create(&thread[each], NULL, watcher, (void *)(connections / WATCH_THREADS));
    long watches = connections / WATCH_THREADS * WATCH_THREADS, last = -1;
    while (ready_watches < watches) poll(NULL, 0, 5);
    atomic_store(&bytes_read, 0);
    double began = now(), moved = began;
    double posting = run(POSTERS);
    while (events < watches * count && now() - moved < STALL_SECONDS) {
        if (events != last) last = events, moved = now();
        poll(NULL, 0, 1);
    }
    double took = now() - began;
    is_over = 1;
    printf("{\"per_second\": %.1f, \"seconds\": %.4f, \"posts_per_second\": %.1f, \"missing\": %ld, \"failures\": %ld, "
           "\"bytes\": %ld, \"cpu_us\": %.2f}\n", events / took, took, count / posting, watches * count - events,
           (long)failures, (long)bytes_read, burnt() / events * 1e6);
    return events < watches * count;
}
