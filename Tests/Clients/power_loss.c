/* Preloaded into a process, keeps a journal of everything that it writes, truncates and syncs of its store, in order.
 *
 * JOURNAL names the journal; an entry is `kind time offset length pathlength` and then the path and the bytes, as
 * test_power_loss.py reads it. Times are CLOCK_MONOTONIC in nanoseconds, taken when the call has returned. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct entry { uint64_t kind, time, offset, length, path_length; };

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

/* The path of a descriptor of the store's database or log; empty for all others. */
static int is_store(int descriptor, char *path, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, size - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    return strstr(path, "/store/store.db") != NULL;
}

static void note(char kind, const char *path, uint64_t offset, const void *bytes, uint64_t length) {
    static ssize_t (*real)(int, const void *, size_t);
    static int journal = -1;
    if (!real) real = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    if (journal < 0) journal = open(getenv("JOURNAL"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    struct entry entry = {(uint64_t)kind, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, offset, length,
                          strlen(path)};
    size_t size = sizeof entry + entry.path_length + (bytes ? length : 0);
    char *whole = malloc(size);
    memcpy(whole, &entry, sizeof entry);
    memcpy(whole + sizeof entry, path, entry.path_length);
    if (bytes) memcpy(whole + sizeof entry + entry.path_length, bytes, length);
    if (real(journal, whole, size) != (ssize_t)size) abort();
    free(whole);
}

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, #name)

#define PWRITE(name, offset_type) \
    ssize_t name(int descriptor, const void *bytes, size_t length, offset_type offset) { \
        REAL(ssize_t, name, int, const void *, size_t, offset_type); \
        char path[4096]; \
        if (!is_store(descriptor, path, sizeof path)) return real(descriptor, bytes, length, offset); \
        pthread_mutex_lock(&order); \
        ssize_t done = real(descriptor, bytes, length, offset); \
        if (done > 0) note('W', path, (uint64_t)offset, bytes, (uint64_t)done); \
        pthread_mutex_unlock(&order); \
        return done; \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

ssize_t write(int descriptor, const void *bytes, size_t length) {
    REAL(ssize_t, write, int, const void *, size_t);
    char path[4096];
    if (!is_store(descriptor, path, sizeof path)) return real(descriptor, bytes, length);
    pthread_mutex_lock(&order);
    off_t offset = lseek(descriptor, 0, SEEK_CUR);
    ssize_t done = real(descriptor, bytes, length);
    if (done > 0) note('W', path, (uint64_t)offset, bytes, (uint64_t)done);
    pthread_mutex_unlock(&order);
    return done;
}

#define TRUNCATE(name, offset_type) \
    int name(int descriptor, offset_type length) { \
        REAL(int, name, int, offset_type); \
        char path[4096]; \
        if (!is_store(descriptor, path, sizeof path)) return real(descriptor, length); \
        pthread_mutex_lock(&order); \
        int outcome = real(descriptor, length); \
        if (outcome == 0) note('T', path, (uint64_t)length, NULL, 0); \
        pthread_mutex_unlock(&order); \
        return outcome; \
    }
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

#define SYNC(name) \
    int name(int descriptor) { \
        REAL(int, name, int); \
        char path[4096]; \
        if (!is_store(descriptor, path, sizeof path)) return real(descriptor); \
        pthread_mutex_lock(&order); \
        int outcome = real(descriptor); \
        if (outcome == 0) note('S', path, 0, NULL, 0); \
        pthread_mutex_unlock(&order); \
        return outcome; \
    }
SYNC(fsync)
SYNC(fdatasync)
