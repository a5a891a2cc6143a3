// Unix sockets and pipes; addresses go through /proc/self/fd, since a socket address holds 107 bytes only.
#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

int clinux_pipe(int *reading, int *writing) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    *reading = ends[0];
    *writing = ends[1];
    return 0;
}

int clinux_socket_pair(int *first, int *second) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return -errno;
    *first = ends[0];
    *second = ends[1];
    return 0;
}

static int at_address(const char *directory, const char *name, int listens) {
    int folder = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return -errno;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", folder, name);
    int handle = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = handle < 0 || length >= (int)sizeof address.sun_path ? -1 : 0;
    if (result == 0 && listens) {
        unlink(address.sun_path);
        mode_t before = umask(0077);
        result = bind(handle, (struct sockaddr *)&address, sizeof address);
        umask(before);
        if (result == 0) result = listen(handle, 16);
    } else if (result == 0) {
        result = connect(handle, (struct sockaddr *)&address, sizeof address);
    }
    int error = errno ? errno : EINVAL;
    close(folder);
    if (result == 0) return handle;
    if (handle >= 0) close(handle);
    return -error;
}

int clinux_listen(const char *directory, const char *name) { return at_address(directory, name, 1); }

int clinux_connect(const char *directory, const char *name) { return at_address(directory, name, 0); }

int clinux_accept(int listener) {
    int handle = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return handle < 0 ? -errno : handle;
}

int clinux_set_nonblocking(int descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    return flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

long clinux_send(int socket, const void *bytes, unsigned long count) {
    ssize_t sent = send(socket, bytes, count, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? -errno : sent;
}

int clinux_peer_pid(int socket) {
    struct ucred peer;
    socklen_t size = sizeof peer;
    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 ? -errno : peer.pid;
}
