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
enum { REPORT = 3, INIT = 4, FIRST_OTHER = 5 };

static void reset_signals(void) {
    struct sigaction action = {.sa_handler = SIG_DFL};
    for (int number = 1; number < 65; number++) sigaction(number, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static int open_null(void) { return open("/dev/null", O_RDWR | O_CLOEXEC); }

/// The program's own process; never returns. Its parent's memory is its own until it executes.
static void become_detached(const clinux_spec *spec, int socket, int log, int report) {
    int result = (int)getpid();
    reset_signals();
    // The descriptors first move out of the way of 0 to 3.
    int null = fcntl(open_null(), F_DUPFD_CLOEXEC, 10);
    int end = fcntl(report, F_DUPFD_CLOEXEC, 10);
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

/// The process in between, whose end leaves the program to `init`; never returns.
static void become_middle(const clinux_spec *spec, int socket, int log, int report) {
    setsid();
    pid_t child = vfork();
    if (child == 0) become_detached(spec, socket, log, report);
    int result = -errno;
    if (child < 0) (void)!write(report, &result, sizeof result);
    _exit(0);
}

int clinux_spawn_detached(const clinux_spec *spec, int socket, int log) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0) return -errno;
    // The children borrow this process's memory instead of copying it, which would take long and slow down all its
    // threads afterwards; so no signal may find a handler of this process in them.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t middle = vfork();
    if (middle == 0) become_middle(spec, socket, log, ends[1]);
    int failure = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[1]);
    if (middle < 0) {
        close(ends[0]);
        return -failure;
    }
    while (waitpid(middle, NULL, 0) < 0 && errno == EINTR) {}
    // First the pid, then nothing if exec succeeded, or the error.
    int pid = -ECHILD;
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

int clinux_enter_sandbox(int private_network, int private_ipc, const char *hostname) {
    int flags = CLONE_NEWNS | (private_ipc ? CLONE_NEWIPC : 0) | (private_network ? CLONE_NEWNET | CLONE_NEWUTS : 0);
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

/// Arranges descriptors 0 to 3, keeps this one as INIT unless it is -1, and closes all others.
static void arrange_descriptors(const clinux_spec *spec, int kept) {
    // The descriptors first move out of the way of 0 to 3.
    int input = fcntl(spec->input < 0 ? open_null() : spec->input, F_DUPFD_CLOEXEC, 10);
    int output = fcntl(spec->output, F_DUPFD_CLOEXEC, 10), error = fcntl(spec->error, F_DUPFD_CLOEXEC, 10);
    int report = fcntl(spec->report, F_DUPFD_CLOEXEC, 10), other = kept < 0 ? -1 : fcntl(kept, F_DUPFD_CLOEXEC, 10);
    dup2(input, 0);
    dup2(output, 1);
    dup2(error, 2);
    dup3(report, REPORT, O_CLOEXEC);
    if (other >= 0) dup3(other, INIT, O_CLOEXEC);
    syscall(SYS_close_range, kept < 0 ? INIT : FIRST_OTHER, ~0U, 0);
}

/// The program can have no others, whatever it executes.
static void drop_capabilities(uint64_t kept) {
    for (int capability = 0; capability < 64; capability++)
        if (!(kept >> capability & 1)) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

/// Becomes the spec's program; never returns.
static void become_program(const clinux_spec *spec, int dies_with_parent) {
    setsid();
    if (spec->terminal) ioctl(0, TIOCSCTTY, 0);
    if (spec->directory) {
        clinux_make_directories(spec->directory);
        if (chdir(spec->directory) < 0) fail(errno, spec->directory);
    }
    if (spec->terminal) (void)!fchown(0, spec->user, (gid_t)-1);
    drop_capabilities(spec->capabilities);
    if (setgroups(spec->group_count, spec->groups) < 0) fail(errno, "setgroups");
    if (setgid(spec->group) < 0) fail(errno, "setgid");
    if (setuid(spec->user) < 0) fail(errno, "setuid");
    if (dies_with_parent) prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (spec->no_new_privileges) prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    reset_signals();
    environ = spec->environment.items;
    execvp(spec->arguments.items[0], spec->arguments.items);
    fail(errno, "exec");
}

static int code_of(int status) {
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/// In a pid namespace that goes on, the processes that the program leaves are ended one by one: they are ours, since we
/// are their subreaper.
static void end_the_rest(void) {
    char text[4096];
    for (int round = 0; round < 1000; round++) {
        int file = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
        if (file < 0) return;
        ssize_t length = read(file, text, sizeof text - 1);
        close(file);
        if (length <= 0) return;
        text[length] = 0;
        char *rest = text;
        for (long pid; (pid = strtol(rest, &rest, 10)) > 0;) kill((pid_t)pid, SIGKILL);
        waitpid(-1, NULL, 0);
    }
}

/// Waits for the program and exits as it did; reaps whatever else ends here.
///
/// A container's init forwards signals to its program; where it is not the first of its pid namespace (2), it ends what
/// its program leaves. The waiter of a command takes any signal as the word to kill the
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
            if (pid == program) {
                if (forwards == 2) end_the_rest();
                _exit(code_of(status));
            }
    }
}

/// Whoever waits for a program keeps nothing open that the program's end should close.
static void let_go_of_streams(void) {
    int null = open_null();
    for (int number = 0; number < 3; number++)
        if (null < 0) close(number);
        else dup2(null, number);
    close(REPORT);
    if (null > REPORT) close(null);
}

static void enter_cgroups(const clinux_spec *spec) {
    for (size_t i = 0; i < spec->cgroups.count; i++) {
        int file = open(spec->cgroups.items[i], O_WRONLY | O_CLOEXEC);
        if (file < 0 || write(file, "0", 1) < 0) fail(errno, spec->cgroups.items[i]);
        close(file);
    }
}

/// Children are made in the pid namespace of the pidfd's process, or in the caller's own again.
static int children_into(int pidfd) {
    if (pidfd >= 0) return setns(pidfd, CLONE_NEWPID) < 0 ? -errno : 0;
    int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
    int result = own < 0 || setns(own, CLONE_NEWPID) < 0 ? -errno : 0;
    if (own >= 0) close(own);
    return result;
}

static int fork_container(const clinux_spec *spec, int *pidfd) {
    if (spec->processes == -1) return fork_with(CLONE_NEWPID | CLONE_NEWNS, pidfd);
    if (spec->processes < 0) return fork_with(CLONE_NEWNS, pidfd);
    int joined = children_into(spec->processes);
    if (joined < 0) return joined;
    int pid = fork_with(CLONE_NEWNS, pidfd);
    if (pid != 0) children_into(-1);
    return pid;
}

static void become_holder(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "pod-pause");
    syscall(SYS_close_range, 0, ~0U, 0);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    for (;;) {
        siginfo_t info;
        sigwaitinfo(&all, &info);
        while (waitpid(-1, NULL, WNOHANG) > 0) {}
    }
}

int clinux_hold_processes(int *pidfd) {
    int pid = fork_with(CLONE_NEWPID, pidfd);
    if (pid == 0) become_holder();
    return pid;
}

int clinux_launch(const clinux_spec *spec, int *pidfd) {
    int pid = fork_container(spec, pidfd);
    if (pid != 0) return pid;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "pod-init");
    arrange_descriptors(spec, -1);
    setsid();
    enter_cgroups(spec);
    const char *step = "";
    int built = clinux_build_root(spec, &step);
    if (built < 0) fail(-built, step);

    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    pid_t program = fork();
    if (program < 0) fail(errno, "fork");
    // Where the init is not the first of its pid namespace, its end alone does not end the program.
    if (program == 0) become_program(spec, spec->processes != -1);
    let_go_of_streams();
    wait_for(program, &all, spec->processes == -1 ? 1 : 2);
    _exit(255);
}

int clinux_execute(const clinux_spec *spec, int init_pidfd, int *pidfd) {
    int pid = fork_with(0, pidfd);
    if (pid != 0) return pid;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "pod-exec");
    arrange_descriptors(spec, init_pidfd);
    enter_cgroups(spec);
    if (setns(INIT, CLONE_NEWPID | CLONE_NEWNS) < 0) fail(errno, "setns");
    close(INIT);
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    pid_t program = fork();
    if (program < 0) fail(errno, "fork");
    if (program == 0) become_program(spec, 1);
    let_go_of_streams();
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
