/* Loads a registry, and says how it did, in one line of JSON.
 *
 *   registry fill     HOST PORT SERVICES INSTANCES               registers INSTANCES leased instances in each of SERVICES
 *   registry KIND     HOST PORT SERVICES CONNECTIONS COUNT       COUNT requests of one of these kinds over kept connections
 *   registry grpc     HOST PORT SERVICES CONNECTIONS COUNT       COUNT registrations by gRPC (PORT + 1000)
 *   registry storm    HOST PORT SERVICES SUBSCRIBERS EACH RATE SECONDS
 *   registry nothing  HOST PORT                                  no load, but a server that answers 200 without looking
 *
 * KIND is `register` or `beat`, as Nacos' Java client 1.4 sends them, `full-beat`, as its Python client 1.0 does, or
 * `eureka-register` or `eureka-renew`, as Spring Cloud's client does. One thread asks: each connection has one request under way.
 *
 * `storm` opens SUBSCRIBERS gRPC connections (PORT + 1000), each subscribed to EACH services, then changes RATE instances a
 * second over HTTP for SECONDS. Each change carries its time; a subscriber's latency is counted for every change that a push
 * shows it for the first time, and every push is acknowledged. HTTP/2 is spoken with just the frames that this needs. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HTTP_BUFFER = 1 << 16, READERS = 1, MOST_LATENCIES = 20000000, CHANGERS = 8 };

static const char *host;
static int port, services, instances = 20;
static long count;
static atomic_long next_number, failures, pushes, subscribed, latency_count;
static atomic_int is_over;
static float *latencies;
static const char *mode;

static void die(const char *what) {
    fprintf(stderr, "registry: %s: %s\n", what, errno ? strerror(errno) : "failed");
    exit(1);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static int dial(int to) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)to)};
    int one = 1, socket_ = socket(AF_INET, SOCK_STREAM, 0);
    if (socket_ < 0 || inet_pton(AF_INET, host, &address.sin_addr) != 1) die("socket");
    if (connect(socket_, (struct sockaddr *)&address, sizeof address)) die("connect");
    setsockopt(socket_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return socket_;
}

static void write_all(int socket_, const void *bytes, size_t length) {
    for (const char *at = bytes; length > 0;) {
        ssize_t done = write(socket_, at, length);
        if (done <= 0) die("write");
        at += done, length -= (size_t)done;
    }
}

/* ---- HTTP ---- */

static size_t plain_request(char *out, const char *method, const char *target, const char *fields, const char *body) {
    return (size_t)snprintf(out, HTTP_BUFFER, "%s %s HTTP/1.1\r\nHost: %s:%d\r\n%sConnection: keep-alive\r\nContent-Length: %zu\r\n\r\n%s",
                            method, target, host, port, fields, strlen(body), body);
}

static const char *nacos_fields = "Content-Type: application/x-www-form-urlencoded;charset=UTF-8\r\nAccept-Charset: UTF-8\r\n"
    "Client-Version: Nacos-Java-Client:v1.4.6\r\nUser-Agent: Nacos-Java-Client:v1.4.6\r\nAccept-Encoding: gzip,deflate,sdch\r\n"
    "RequestId: 7f9c24e8-3b12-4f8e-9a5d-1c0e6b7d2f43\r\nRequest-Module: Naming\r\n"
    "Accept: text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2\r\n";
static const char *python_fields = "Accept-Encoding: identity\r\nUser-Agent: Python-urllib/3.11\r\n";
static const char *eureka_fields = "Content-Type: application/json\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\n"
    "DiscoveryIdentity-Name: DefaultClient\r\nDiscoveryIdentity-Version: 1.4\r\nDiscoveryIdentity-Id: 10.0.0.1\r\n"
    "User-Agent: Java-EurekaClient/v1.10.17\r\n";

static size_t registration(char *out, const char *ip, long service) {
    char target[1024];
    /* Metadata as JSON, percent-encoded: its time, and leases that outlast the measurement. */
    sprintf(target, "/nacos/v1/ns/instance?app=unknown&namespaceId=kube-bench&serviceName=DEFAULT_GROUP%%40%%40bench-%ld&groupName=DEFAULT_GROUP"
            "&clusterName=DEFAULT&ip=%s&port=8080&weight=1.0&enable=true&healthy=true&ephemeral=true&metadata=%%7B%%22t%%22%%3A%%22%.6f%%22%%2C"
            "%%22preserved.heart.beat.timeout%%22%%3A%%22600000%%22%%2C%%22preserved.ip.delete.timeout%%22%%3A%%22600000%%22%%7D", service, ip, now());
    return plain_request(out, "POST", target, nacos_fields, "");
}

static size_t eureka_registration(char *out, const char *ip, long service) {
    char target[256], body[4096];
    sprintf(target, "/eureka/namespaces/kube-bench/apps/BENCH-%ld", service);
    sprintf(body, "{\"instance\":{\"instanceId\":\"%s:bench-%ld:8080\",\"hostName\":\"%s\",\"app\":\"BENCH-%ld\",\"ipAddr\":\"%s\",\"status\":\"UP\","
            "\"overriddenStatus\":\"UNKNOWN\",\"port\":{\"$\":8080,\"@enabled\":\"true\"},\"securePort\":{\"$\":443,\"@enabled\":\"false\"},\"countryId\":1,"
            "\"dataCenterInfo\":{\"@class\":\"com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo\",\"name\":\"MyOwn\"},\"leaseInfo\":{"
            "\"renewalIntervalInSecs\":30,\"durationInSecs\":600,\"registrationTimestamp\":0,\"lastRenewalTimestamp\":0,\"evictionTimestamp\":0,"
            "\"serviceUpTimestamp\":0},\"metadata\":{\"management.port\":\"8080\"},\"homePageUrl\":\"http://%s:8080/\",\"statusPageUrl\":"
            "\"http://%s:8080/actuator/info\",\"healthCheckUrl\":\"http://%s:8080/actuator/health\",\"vipAddress\":\"bench-%ld\",\"secureVipAddress\":"
            "\"bench-%ld\",\"isCoordinatingDiscoveryServer\":\"false\",\"lastUpdatedTimestamp\":\"1700000000000\",\"lastDirtyTimestamp\":"
            "\"1700000000000\"}}", ip, service, ip, service, ip, ip, ip, ip, service, service);
    return plain_request(out, "POST", target, eureka_fields, body);
}

/* The next request of this kind, about the instance with this number. */
static size_t request_of(char *out, const char *kind, long number) {
    long service = number % services, instance = number / services % instances;
    char ip[32], target[1024];
    sprintf(ip, "10.%ld.%ld.%ld", instance % 200, service / 250, service % 250);
    if (!strcmp(kind, "beat")) {
        sprintf(target, "/nacos/v1/ns/instance/beat?app=unknown&namespaceId=kube-bench&serviceName=DEFAULT_GROUP%%40%%40bench-%ld&clusterName=DEFAULT"
                "&ip=%s&port=8080", service, ip);
        return plain_request(out, "PUT", target, nacos_fields, "");
    }
    if (!strcmp(kind, "full-beat")) {
        sprintf(target, "/nacos/v1/ns/instance/beat?serviceName=bench-%ld&beat=%%7B%%22serviceName%%22%%3A+%%22bench-%ld%%22%%2C+%%22ip%%22%%3A+%%22%s"
                "%%22%%2C+%%22port%%22%%3A+8080%%2C+%%22weight%%22%%3A+1.0%%2C+%%22ephemeral%%22%%3A+true%%7D&groupName=DEFAULT_GROUP"
                "&namespaceId=kube-bench", service, service, ip);
        return plain_request(out, "PUT", target, python_fields, "");
    }
    if (!strcmp(kind, "eureka-renew")) {
        sprintf(target, "/eureka/namespaces/kube-bench/apps/BENCH-%ld/%s:bench-%ld:8080?status=UP&lastDirtyTimestamp=1700000000000", service, ip, service);
        return plain_request(out, "PUT", target, eureka_fields, "");
    }
    if (!strcmp(kind, "eureka-register")) return eureka_registration(out, ip, service);
    return registration(out, ip, service);
}

struct asker {
    int socket_;
    size_t have;
    double began;
    char buffer[HTTP_BUFFER];
};

/* Whether an answer is there whole; counts it when it is no good. */
static int is_answered(struct asker *one) {
    ssize_t got = read(one->socket_, one->buffer + one->have, HTTP_BUFFER - 1 - one->have);
    if (got <= 0) die("read");
    one->have += (size_t)got;
    one->buffer[one->have] = 0;
    char *end = strstr(one->buffer, "\r\n\r\n");
    if (!end) return 0;
    char *field = strcasestr(one->buffer, "content-length:");
    size_t body = field && field < end ? (size_t)atol(field + 15) : 0;
    if (one->have < (size_t)(end - one->buffer) + 4 + body) return 0;
    if (one->buffer[9] != '2') {
        if (atomic_fetch_add(&failures, 1) == 0) fprintf(stderr, "registry: refused: %.400s\n", one->buffer);
    }
    one->have = 0;
    return 1;
}

static void note_latency(double seconds) {
    long place = atomic_fetch_add(&latency_count, 1);
    if (place < MOST_LATENCIES) latencies[place] = (float)seconds;
}

static int ask_next(struct asker *one, const char *kind) {
    char out[HTTP_BUFFER];
    long number = atomic_fetch_add(&next_number, 1);
    if (number >= count) return 0;
    one->began = now();
    write_all(one->socket_, out, request_of(out, kind, number));
    return 1;
}

static void http_load(const char *kind, int connections) {
    int poller = epoll_create1(0), open = 0;
    for (int each = 0; each < connections; each++) {
        struct asker *one = calloc(1, sizeof *one);
        one->socket_ = dial(port);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
        epoll_ctl(poller, EPOLL_CTL_ADD, one->socket_, &event);
        open += ask_next(one, kind);
    }
    struct epoll_event ready[64];
    while (open > 0) {
        int found = epoll_wait(poller, ready, 64, 10000);
        if (found <= 0) die("no answer");
        for (int each = 0; each < found; each++) {
            struct asker *one = ready[each].data.ptr;
            if (!is_answered(one)) continue;
            note_latency(now() - one->began);
            open -= !ask_next(one, kind);
        }
    }
}

/* Answers every request with the same words, for comparison. */
static void serve_nothing(void) {
    static const char words[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=UTF-8\r\nContent-Length: 66\r\n\r\n"
                                "{\"clientBeatInterval\":5000,\"code\":10200,\"lightBeatEnabled\":true}   ";
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), poller = epoll_create1(0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 64)) die("listen");
    struct epoll_event ready[64], event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    char buffer[HTTP_BUFFER];
    for (;;) {
        int found = epoll_wait(poller, ready, 64, -1);
        for (int each = 0; each < found; each++) {
            int from = ready[each].data.fd;
            if (from == listener) {
                event.data.fd = accept(listener, NULL, NULL);
                setsockopt(event.data.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                epoll_ctl(poller, EPOLL_CTL_ADD, event.data.fd, &event);
            } else if (read(from, buffer, sizeof buffer) > 0) {
                if (write(from, words, sizeof words - 1) < 0) close(from);
            } else {
                close(from);
            }
        }
    }
}

/* ---- gRPC ---- */

struct subscriber {
    int socket_;
    unsigned char *bytes;
    size_t have, room;
    double newest[64];
    int each, first, is_set_up;
    unsigned char *message;
    size_t message_have, message_room;
    /* What a registering connection has under way. */
    uint32_t stream;
    long number;
    double began;
};

static size_t frame(unsigned char *out, uint32_t length, int type, int flags, uint32_t stream) {
    unsigned char head[9] = {length >> 16, length >> 8, length, type, flags, stream >> 24, stream >> 16, stream >> 8, stream};
    memcpy(out, head, 9);
    return 9;
}

static size_t field(unsigned char *out, const char *name, const char *value) {
    size_t at = 0, n = strlen(name), v = strlen(value);
    out[at++] = 0; /* literal, not indexed, new name; both shorter than 127 */
    out[at++] = (unsigned char)n;
    memcpy(out + at, name, n), at += n;
    out[at++] = (unsigned char)v;
    memcpy(out + at, value, v);
    return at + v;
}

static size_t headers(unsigned char *out, const char *path, uint32_t stream) {
    unsigned char block[512];
    size_t at = 0;
    at += field(block + at, ":method", "POST");
    at += field(block + at, ":scheme", "http");
    at += field(block + at, ":path", path);
    at += field(block + at, ":authority", "bench");
    at += field(block + at, "content-type", "application/grpc");
    at += field(block + at, "te", "trailers");
    size_t head = frame(out, (uint32_t)at, 1, 4, stream);
    memcpy(out + head, block, at);
    return head + at;
}

static size_t varint(unsigned char *out, size_t value) {
    size_t at = 0;
    for (; value >= 128; value >>= 7) out[at++] = (unsigned char)(value | 128);
    out[at++] = (unsigned char)value;
    return at;
}

/* A DATA frame with one gRPC message that is a Nacos payload. */
static size_t payload(unsigned char *out, const char *type, const char *json, int ends, uint32_t stream) {
    unsigned char body[4096];
    size_t at = 5, t = strlen(type), j = strlen(json);
    unsigned char inner[16];
    size_t inner_length = 0;
    inner[inner_length++] = 2 << 3 | 2;
    inner_length += varint(inner + inner_length, j);
    body[at++] = 2 << 3 | 2;
    at += varint(body + at, t + 2);
    body[at++] = 3 << 3 | 2;
    at += varint(body + at, t);
    memcpy(body + at, type, t), at += t;
    body[at++] = 3 << 3 | 2;
    at += varint(body + at, inner_length + j);
    memcpy(body + at, inner, inner_length), at += inner_length;
    memcpy(body + at, json, j), at += j;
    size_t message = at - 5;
    unsigned char head[5] = {0, message >> 24, message >> 16, message >> 8, message};
    memcpy(body, head, 5);
    size_t begin = frame(out, (uint32_t)at, 0, ends, stream);
    memcpy(out + begin, body, at);
    return begin + at;
}

static void read_some(struct subscriber *one);

static void open_subscriber(struct subscriber *one) {
    unsigned char out[65536];
    size_t at = 0;
    one->socket_ = dial(port + 1000);
    memcpy(out, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24), at = 24;
    at += frame(out + at, 6, 4, 0, 0);
    unsigned char settings[6] = {0, 4, 0x7f, 0xff, 0xff, 0xff}; /* a window that never closes */
    memcpy(out + at, settings, 6), at += 6;
    at += frame(out + at, 4, 8, 0, 0);
    unsigned char window[4] = {0x7f, 0xfe, 0, 0};
    memcpy(out + at, window, 4), at += 4;
    at += headers(out + at, "/BiRequestStream/requestBiStream", 1);
    at += payload(out + at, "ConnectionSetupRequest", "{\"clientVersion\":\"bench\",\"labels\":{},\"abilityTable\":{}}", 0, 1);
    write_all(one->socket_, out, at);
    while (!one->is_set_up) read_some(one);
    if (one->stream) return;
    at = 0;
    for (int each = 0; each < one->each; each++) {
        char json[256];
        sprintf(json, "{\"requestId\":\"%d\",\"namespace\":\"kube-bench\",\"serviceName\":\"bench-%d\",\"groupName\":\"DEFAULT_GROUP\",\"subscribe\":true}", each,
                (one->first + each) % services);
        at += headers(out + at, "/Request/request", (uint32_t)(3 + 2 * each));
        at += payload(out + at, "SubscribeServiceRequest", json, 1, (uint32_t)(3 + 2 * each));
    }
    write_all(one->socket_, out, at);
}

static atomic_int registering;

static int register_next(struct subscriber *one) {
    char json[1024];
    unsigned char out[4096];
    if (atomic_fetch_add(&next_number, 1) >= count) return 0;
    /* A client has its few services, and says them again. */
    long service = (one->first + one->number++ % one->each) % services;
    sprintf(json, "{\"headers\":{\"app\":\"unknown\"},\"requestId\":\"%ld\",\"namespace\":\"kube-bench\",\"serviceName\":\"bench-%ld\",\"groupName\":"
            "\"DEFAULT_GROUP\",\"type\":\"registerInstance\",\"instance\":{\"ip\":\"10.201.%d.%d\",\"port\":8080,\"weight\":1.0,\"healthy\":true,"
            "\"enabled\":true,\"ephemeral\":true,\"clusterName\":\"DEFAULT\",\"metadata\":{\"t\":\"%.6f\"},\"instanceHeartBeatInterval\":5000,"
            "\"instanceHeartBeatTimeOut\":15000,\"ipDeleteTimeout\":30000},\"module\":\"naming\"}", one->number, service, one->first / one->each / 250,
            one->first / one->each % 250, now());
    one->stream += 2;
    one->began = now();
    size_t at = headers(out, "/Request/request", one->stream);
    at += payload(out + at, "InstanceRequest", json, 1, one->stream);
    write_all(one->socket_, out, at);
    return 1;
}

static void push_arrived(struct subscriber *one, const char *json, size_t length) {
    if (memmem(json, length, "abilityTable", 12)) one->is_set_up = 1;
    const char *name = memmem(json, length, "\"serviceName\":\"bench-", 21);
    if (!name) return;
    int service = atoi(name + 21), slot = (service - one->first + services) % services;
    if (slot >= one->each || slot >= 64) return;
    double seen = now(), newest = one->newest[slot];
    const char *end = json + length;
    for (const char *at = json; (at = memmem(at, (size_t)(end - at), "\"t\":\"", 5)); at += 5) {
        double t = atof(at + 5);
        if (t <= one->newest[slot]) continue;
        if (t > newest) newest = t;
        long place = atomic_fetch_add(&latency_count, 1);
        if (place < MOST_LATENCIES) latencies[place] = (float)(seen - t);
    }
    one->newest[slot] = newest;
    atomic_fetch_add(&pushes, 1);
    const char *id = memmem(json, length, "\"requestId\":\"", 13);
    if (!id) return;
    char answer[128];
    unsigned char out[512];
    sprintf(answer, "{\"resultCode\":200,\"errorCode\":0,\"requestId\":\"%ld\"}", atol(id + 13));
    write_all(one->socket_, out, payload(out, "NotifySubscriberResponse", answer, 0, 1));
}

static void message_arrived(struct subscriber *one, uint32_t stream, const char *bytes, size_t length) {
    if (stream == 1) return push_arrived(one, bytes, length);
    if (!memmem(bytes, length, "\"resultCode\":200", 16)) fprintf(stderr, "registry: refused: %.200s\n", bytes), exit(1);
    if (one->stream) {
        note_latency(now() - one->began);
        if (!register_next(one)) atomic_fetch_sub(&registering, 1);
        return;
    }
    atomic_fetch_add(&subscribed, 1);
    const char *name = memmem(bytes, length, "\"name\":\"bench-", 14);
    if (!name) return;
    /* What the answer shows is known already. */
    int slot = (atoi(name + 14) - one->first + services) % services;
    const char *end = bytes + length;
    for (const char *at = bytes; (at = memmem(at, (size_t)(end - at), "\"t\":\"", 5)); at += 5)
        if (slot < 64 && atof(at + 5) > one->newest[slot]) one->newest[slot] = atof(at + 5);
}

static void frames_arrived(struct subscriber *one) {
    size_t at = 0;
    while (one->have - at >= 9) {
        unsigned char *head = one->bytes + at;
        size_t length = (size_t)head[0] << 16 | head[1] << 8 | head[2];
        if (one->have - at < 9 + length) break;
        uint32_t stream = (uint32_t)(head[5] & 127) << 24 | head[6] << 16 | head[7] << 8 | head[8];
        unsigned char *body = head + 9, out[32];
        if (head[3] == 4 && !(head[4] & 1)) {
            write_all(one->socket_, out, frame(out, 0, 4, 1, 0));
        } else if (head[3] == 6 && !(head[4] & 1)) {
            size_t begin = frame(out, 8, 6, 1, 0);
            memcpy(out + begin, body, 8);
            write_all(one->socket_, out, begin + 8);
        } else if (head[3] == 7 || (head[3] == 3 && stream == 1)) {
            fprintf(stderr, "registry: the server ended a connection\n");
            exit(1);
        } else if (head[3] == 0 && length) {
            /* Messages may span frames; only one stream's message is under way at a time here. */
            if (one->message_room < one->message_have + length)
                one->message = realloc(one->message, one->message_room = (one->message_have + length) * 2);
            memcpy(one->message + one->message_have, body, length);
            one->message_have += length;
            while (one->message_have >= 5) {
                size_t size = (size_t)one->message[1] << 24 | one->message[2] << 16 | one->message[3] << 8 | one->message[4];
                if (one->message_have < 5 + size) break;
                message_arrived(one, stream, (char *)one->message + 5, size);
                one->message_have -= 5 + size;
                memmove(one->message, one->message + 5 + size, one->message_have);
            }
        }
        at += 9 + length;
    }
    one->have -= at;
    memmove(one->bytes, one->bytes + at, one->have);
}

static void read_some(struct subscriber *one) {
    if (one->room - one->have < 65536) one->bytes = realloc(one->bytes, one->room = one->room * 2 + 65536);
    ssize_t got = read(one->socket_, one->bytes + one->have, one->room - one->have);
    if (got <= 0) die("a subscriber's connection");
    one->have += (size_t)got;
    frames_arrived(one);
}

static int poller;

static void *read_loop(void *ignored) {
    (void)ignored;
    struct epoll_event ready[64];
    while (!atomic_load(&is_over)) {
        int found = epoll_wait(poller, ready, 64, 100);
        for (int each = 0; each < found; each++) read_some(ready[each].data.ptr);
    }
    return NULL;
}

static double storm_began, storm_rate, storm_seconds;

static void grpc_load(int connections) {
    poller = epoll_create1(0);
    struct subscriber *all = calloc((size_t)connections, sizeof *all);
    for (int each = 0; each < connections; each++) {
        all[each].each = 10, all[each].first = each * 10 % services, all[each].stream = 1;
        open_subscriber(&all[each]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &all[each]};
        epoll_ctl(poller, EPOLL_CTL_ADD, all[each].socket_, &event);
    }
    atomic_store(&registering, connections);
    storm_began = now();
    for (int each = 0; each < connections; each++) register_next(&all[each]);
    struct epoll_event ready[64];
    while (atomic_load(&registering) > 0) {
        int found = epoll_wait(poller, ready, 64, 10000);
        if (found <= 0) die("no answer");
        for (int each = 0; each < found; each++) read_some(ready[each].data.ptr);
    }
}


static void *change_loop(void *ignored) {
    (void)ignored;
    struct asker *one = calloc(1, sizeof *one);
    one->socket_ = dial(port);
    char out[HTTP_BUFFER], ip[32];
    for (;;) {
        long number = atomic_fetch_add(&next_number, 1);
        double due = storm_began + (double)number / storm_rate, wait = due - now();
        if (due > storm_began + storm_seconds) break;
        if (wait > 0) usleep((useconds_t)(wait * 1e6));
        long service = number * 7919 % services;
        sprintf(ip, "10.%ld.%ld.%ld", number % instances % 200, service / 250, service % 250);
        write_all(one->socket_, out, registration(out, ip, service));
        while (!is_answered(one)) {}
    }
    return NULL;
}

static int by_size(const void *left, const void *right) {
    float a = *(const float *)left, b = *(const float *)right;
    return (a > b) - (a < b);
}

static void report(double seconds, long done) {
    long known = atomic_load(&latency_count);
    if (known > MOST_LATENCIES) known = MOST_LATENCIES;
    qsort(latencies, (size_t)known, sizeof *latencies, by_size);
    float p50 = known ? latencies[known / 2] : 0, p99 = known ? latencies[known * 99 / 100] : 0;
    printf("{\"per_second\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"failures\": %ld, \"pushes_per_second\": %.1f, \"seen\": %ld}\n",
           done / seconds, p50 * 1e3, p99 * 1e3, atomic_load(&failures), atomic_load(&pushes) / seconds, known);
}

static void in_threads(int threads, void *(*loop)(void *)) {
    pthread_t all[threads];
    for (int each = 0; each < threads; each++) pthread_create(&all[each], NULL, loop, NULL);
    for (int each = 0; each < threads; each++) pthread_join(all[each], NULL);
}

static void storm(int subscribers, int each, double rate, double seconds) {
    struct rlimit files = {.rlim_cur = 65536, .rlim_max = 65536};
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(0);
    pthread_t readers[READERS];
    for (int number = 0; number < READERS; number++) pthread_create(&readers[number], NULL, read_loop, NULL);
    for (int number = 0; number < subscribers; number++) {
        struct subscriber *one = calloc(1, sizeof *one);
        one->each = each;
        one->first = (int)((long)number * each % services);
        open_subscriber(one);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = one};
        epoll_ctl(poller, EPOLL_CTL_ADD, one->socket_, &event);
    }
    for (double began = now(); atomic_load(&subscribed) < (long)subscribers * each; usleep(10000))
        if (now() - began > 60) die("not every subscription was answered");
    atomic_store(&latency_count, 0), atomic_store(&pushes, 0);
    storm_began = now(), storm_rate = rate, storm_seconds = seconds;
    in_threads(CHANGERS, change_loop);
    double ended = now();
    long changes = (long)(rate * seconds);
    sleep(2); /* the last pushes */
    atomic_store(&is_over, 1);
    for (int number = 0; number < READERS; number++) pthread_join(readers[number], NULL);
    report(ended - storm_began, changes);
}

int main(int argc, char **argv) {
    if (argc < 4) return fprintf(stderr, "usage: see registry.c\n"), 2;
    mode = argv[1], host = argv[2], port = atoi(argv[3]);
    if (!strcmp(mode, "nothing")) serve_nothing();
    if (argc < 6) return fprintf(stderr, "usage: see registry.c\n"), 2;
    services = atoi(argv[4]);
    latencies = malloc(sizeof *latencies * MOST_LATENCIES);
    if (!strcmp(mode, "storm") && argc == 9) {
        storm(atoi(argv[5]), atoi(argv[6]), atof(argv[7]), atof(argv[8]));
        return atomic_load(&failures) != 0;
    }
    int connections = !strcmp(mode, "fill") ? 8 : atoi(argv[5]);
    if (!strcmp(mode, "fill")) instances = atoi(argv[5]), count = (long)services * instances;
    else count = argc > 6 ? atol(argv[6]) : 0;
    double began = now();
    if (!strcmp(mode, "grpc")) {
        grpc_load(connections);
        began = storm_began; /* What it takes to connect is no part of it. */
    } else {
        http_load(mode, connections);
    }
    report(now() - began, count);
    return atomic_load(&failures) != 0;
}
