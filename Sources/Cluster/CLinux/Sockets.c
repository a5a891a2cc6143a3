// Unix sockets and pipes; addresses go through /proc/self/fd, since a socket address holds 107 bytes only.
#define _GNU_SOURCE
#include "CLinux.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pty.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
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

int clinux_terminal(int *shown, int *program) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0) return -errno;
    int number = 0, unlock = 0;
    int slave = -1;
    if (ioctl(master, TIOCSPTLCK, &unlock) == 0 && ioctl(master, TIOCGPTN, &number) == 0)
        slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) {
        int error = errno;
        close(master);
        return -error;
    }
    *shown = master;
    *program = slave;
    return 0;
}

int clinux_resize(int terminal, int columns, int rows) {
    struct winsize size = {.ws_row = (unsigned short)rows, .ws_col = (unsigned short)columns};
    return ioctl(terminal, TIOCSWINSZ, &size) < 0 ? -errno : 0;
}

static int connect_loopback(int port, int timeout_milliseconds) {
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    // A send timeout is a connect timeout too (socket(7)).
    struct timeval patience = {timeout_milliseconds / 1000, timeout_milliseconds % 1000 * 1000}, none = {0, 0};
    int failure = ECONNREFUSED;
    for (int version = 4; version <= 6; version += 2) {
        int handle = socket(version == 4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (handle < 0) continue;
        setsockopt(handle, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        int result = version == 4 ? connect(handle, (struct sockaddr *)&four, sizeof four)
                                  : connect(handle, (struct sockaddr *)&six, sizeof six);
        if (result == 0) {
            setsockopt(handle, SOL_SOCKET, SO_SNDTIMEO, &none, sizeof none);
            return handle;
        }
        if (version == 4) failure = errno;
        close(handle);
    }
    return -failure;
}

int clinux_connect_inside(const char *namespace_path, int port, int timeout_milliseconds) {
    if (!namespace_path) return connect_loopback(port, timeout_milliseconds);
    int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    int other = open(namespace_path, O_RDONLY | O_CLOEXEC);
    // A network namespace belongs to a thread, and this thread does nothing else meanwhile.
    int result = own >= 0 && other >= 0 && setns(other, CLONE_NEWNET) == 0 ? 0 : -errno;
    if (result == 0) {
        result = connect_loopback(port, timeout_milliseconds);
        if (setns(own, CLONE_NEWNET) < 0) abort();
    }
    if (own >= 0) close(own);
    if (other >= 0) close(other);
    return result;
}

enum { MOST_DESCRIPTORS = 4 };

int clinux_send_descriptors(int socket, const void *bytes, unsigned long count, const int *descriptors, int number) {
    char room[CMSG_SPACE(sizeof(int) * MOST_DESCRIPTORS)] = {0};
    struct iovec part = {(void *)bytes, count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (number > MOST_DESCRIPTORS) return -EINVAL;
    if (number > 0) {
        message.msg_control = room;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)number);
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)number);
        memcpy(CMSG_DATA(head), descriptors, sizeof(int) * (size_t)number);
    }
    while (part.iov_len > 0) {
        ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0) return -errno;
        part.iov_base = (char *)part.iov_base + sent;
        part.iov_len -= (size_t)sent;
        message.msg_control = NULL;
        message.msg_controllen = 0;
    }
    return 0;
}

long clinux_receive(int socket, void *bytes, unsigned long count, int *descriptors, int room, int *number) {
    char control[CMSG_SPACE(sizeof(int) * MOST_DESCRIPTORS)];
    struct iovec part = {bytes, count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    *number = 0;
    ssize_t got;
    do got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    if (got < 0) return -errno;
    for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        int count_here = (int)((head->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (int i = 0; i < count_here; i++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(head) + sizeof(int) * (size_t)i, sizeof descriptor);
            if (*number < room) descriptors[(*number)++] = descriptor;
            else close(descriptor);
        }
    }
    return got;
}
