// Makes processes: a detached one, a container's init with its program, and a command inside a running container.
//
// Between fork and exec only async-signal-safe calls are made where the caller may have threads
// (clinux_spawn_detached); the others are called by single-threaded processes only.
#define _GNU_SOURCE
#include "Spec.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int unshare(int flags);
int setns(int descriptor, int flags);
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
#define CLINUX_MS_REC 16384
#define CLINUX_MS_SLAVE (1 << 19)
enum { REPORT = 3, FIRST_OTHER = 4 };

static void reset_signals(void) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < 65; number++) sigaction(number, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int open_null(void) { return open("/dev/null", O_RDWR | O_CLOEXEC); }

int clinux_spawn_detached(const clinux_spec *spec, int socket, int log) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    pid_t middle = fork();
    if (middle < 0) return -errno;
    if (middle == 0) {
        setsid();
        pid_t child = fork();
        if (child != 0) {
            int result = child < 0 ? -errno : child;
            if (child < 0) (void)!write(ends[1], &result, sizeof result);
            _exit(0);
        }
        int result = (int)getpid();
        reset_signals();
        // The descriptors first move out of the way of 0 to 3.
        int null = fcntl(open_null(), F_DUPFD_CLOEXEC, 10);
        int end = fcntl(ends[1], F_DUPFD_CLOEXEC, 10);
        int other = fcntl(socket, F_DUPFD_CLOEXEC, 10);
        int out = fcntl(log, F_DUPFD_CLOEXEC, 10);
        if (null >= 0 && end >= 0 && other >= 0 && out >= 0 && dup2(null, 0) == 0 && dup2(out, 1) == 1
            && dup2(out, 2) == 2 && dup2(other, 3) == 3 && dup3(end, 4, O_CLOEXEC) == 4) {
            syscall(SYS_close_range, 5, ~0U, 0);
            (void)!chdir("/");
            (void)!write(4, &result, sizeof result);
            execve(spec->arguments.items[0], spec->arguments.items, spec->environment.items);
            result = -errno;
            (void)!write(4, &result, sizeof result);
        }
        _exit(127);
    }
    close(ends[1]);
    while (waitpid(middle, NULL, 0) < 0 && errno == EINTR) {}
    // First the pid, then nothing if exec succeeded, or the error.
    int pid = -ECHILD, failure = 0;
    (void)!read(ends[0], &pid, sizeof pid);
    if (read(ends[0], &failure, sizeof failure) == (ssize_t)sizeof failure) pid = failure;
    close(ends[0]);
    return pid;
}

static int raise_loopback(void) {
    int handle = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (handle < 0) return -errno;
    struct ifreq request = {.ifr_name = "lo"};
    int result = ioctl(handle, SIOCGIFFLAGS, &request);
    if (result == 0) {
        request.ifr_flags |= IFF_UP;
        result = ioctl(handle, SIOCSIFFLAGS, &request);
    }
    result = result < 0 ? -errno : 0;
    close(handle);
    return result;
}

int clinux_enter_sandbox(int private_network, const char *hostname) {
    int flags = CLONE_NEWNS | CLONE_NEWIPC | (private_network ? CLONE_NEWNET | CLONE_NEWUTS : 0);
    if (unshare(flags) < 0) return -errno;
    if (mount(NULL, "/", NULL, CLINUX_MS_REC | CLINUX_MS_SLAVE, NULL) < 0) return -errno;
    if (!private_network) return 0;
    if (sethostname(hostname, strlen(hostname)) < 0) return -errno;
    return raise_loopback();
}

static int fork_with(uint64_t flags, int *pidfd) {
    struct clone_args arguments = {.flags = flags | CLONE_PIDFD, .exit_signal = SIGCHLD};
    arguments.pidfd = (uint64_t)(uintptr_t)pidfd;
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    return pid < 0 ? -errno : (int)pid;
}

static void fail(int error, const char *step) {
    char line[512];
    int length = snprintf(line, sizeof line, "error %d %s\n", error, step);
    if (length > 0) (void)!write(REPORT, line, length < (int)sizeof line ? (size_t)length : sizeof line);
    _exit(128);
}

/// Arranges descriptors 0 to 3 and closes all others.
static void arrange_descriptors(const clinux_spec *spec) {
    int null = open_null();
    dup2(null, 0);
    dup2(spec->output, 1);
    dup2(spec->error, 2);
    if (spec->report == REPORT) fcntl(REPORT, F_SETFD, FD_CLOEXEC);
    else dup3(spec->report, REPORT, O_CLOEXEC);
    syscall(SYS_close_range, FIRST_OTHER, ~0U, 0);
}

/// Without `privileged` a root program keeps what container engines grant by default.
static void drop_capabilities(void) {
    // chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service, net_raw, sys_chroot, mknod,
    // audit_write, setfcap
    const uint64_t kept = 1ULL << 0 | 1ULL << 1 | 1ULL << 3 | 1ULL << 4 | 1ULL << 5 | 1ULL << 6 | 1ULL << 7 | 1ULL << 8
        | 1ULL << 10 | 1ULL << 13 | 1ULL << 18 | 1ULL << 27 | 1ULL << 29 | 1ULL << 31;
    for (int capability = 0; capability < 64; capability++)
        if (!(kept >> capability & 1)) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

/// Becomes the spec's program; never returns.
static void become_program(const clinux_spec *spec, int dies_with_parent) {
    setsid();
    if (spec->directory) {
        clinux_make_directories(spec->directory);
        if (chdir(spec->directory) < 0) fail(errno, spec->directory);
    }
    if (!spec->privileged) drop_capabilities();
    if (setgroups(spec->group_count, spec->groups) < 0) fail(errno, "setgroups");
    if (setgid(spec->group) < 0) fail(errno, "setgid");
    if (setuid(spec->user) < 0) fail(errno, "setuid");
    if (dies_with_parent) prctl(PR_SET_PDEATHSIG, SIGKILL);
    reset_signals();
    environ = spec->environment.items;
    execvp(spec->arguments.items[0], spec->arguments.items);
    fail(errno, "exec");
}

static int code_of(int status) {
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/// Waits for the program and exits as it did; reaps whatever else ends here.
///
/// A container's init forwards signals to its program. The waiter of a command takes any signal as the word to kill the
/// command with its whole session.
static void wait_for(pid_t program, const sigset_t *all, int forwards) {
    for (;;) {
        siginfo_t info;
        int number = sigwaitinfo(all, &info);
        if (number < 0) continue;
        if (number != SIGCHLD) {
            if (!forwards) kill(-program, SIGKILL);
            kill(program, forwards ? number : SIGKILL);
            continue;
        }
        int status;
        pid_t pid;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
            if (pid == program) _exit(code_of(status));
    }
}

static void enter_cgroups(const clinux_spec *spec) {
    for (size_t i = 0; i < spec->cgroups.count; i++) {
        int file = open(spec->cgroups.items[i], O_WRONLY | O_CLOEXEC);
        if (file < 0 || write(file, "0", 1) < 0) fail(errno, spec->cgroups.items[i]);
        close(file);
    }
}

int clinux_launch(const clinux_spec *spec, int *pidfd) {
    int pid = fork_with(CLONE_NEWPID | CLONE_NEWNS, pidfd);
    if (pid != 0) return pid;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "pod-init");
    arrange_descriptors(spec);
    setsid();
    enter_cgroups(spec);
    const char *step = "";
    int built = clinux_build_root(spec, &step);
    if (built < 0) fail(-built, step);

    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    pid_t program = fork();
    if (program < 0) fail(errno, "fork");
    if (program == 0) become_program(spec, 0);
    // The init keeps nothing open that the program's end should close.
    dup2(0, 1);
    dup2(0, 2);
    close(REPORT);
    wait_for(program, &all, 1);
    _exit(255);
}

int clinux_execute(const clinux_spec *spec, int init_pidfd, int *pidfd) {
    int pid = fork_with(0, pidfd);
    if (pid != 0) return pid;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "pod-exec");
    int joined = setns(init_pidfd, CLONE_NEWPID | CLONE_NEWNS);
    int error = errno;
    arrange_descriptors(spec);
    if (joined < 0) fail(error, "setns");
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    pid_t program = fork();
    if (program < 0) fail(errno, "fork");
    if (program == 0) become_program(spec, 1);
    dup2(0, 1);
    dup2(0, 2);
    close(REPORT);
    wait_for(program, &all, 0);
    _exit(255);
}

int clinux_pidfd_open(int pid) {
    long descriptor = syscall(SYS_pidfd_open, pid, 0);
    return descriptor < 0 ? -errno : (int)descriptor;
}

int clinux_signal(int pidfd, int number) {
    return syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0) < 0 ? -errno : 0;
}

int clinux_reap(int pid) {
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR) return -errno;
    return code_of(status);
}
