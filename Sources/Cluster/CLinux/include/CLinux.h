// What Swift cannot say by itself: fork, namespaces, mounts and Unix sockets of Linux, as plain functions.
//
// Every function that can fail returns -errno. Descriptors are close-on-exec. Strings are copied.
#pragma once
#include <stdint.h>

/// A process to be made: its program, its surroundings and, for a container, its view of the file system.
typedef struct clinux_spec clinux_spec;

clinux_spec *clinux_spec_new(void);
void clinux_spec_free(clinux_spec *spec);
void clinux_spec_argument(clinux_spec *spec, const char *argument);
void clinux_spec_environment(clinux_spec *spec, const char *name_equals_value);
void clinux_spec_directory(clinux_spec *spec, const char *working_directory);
void clinux_spec_user(clinux_spec *spec, uint32_t user, uint32_t group);
void clinux_spec_group(clinux_spec *spec, uint32_t group);
/// What the program may keep of root's capabilities: bit n is capability n.
void clinux_spec_capabilities(clinux_spec *spec, uint64_t kept);
/// The program cannot gain rights that its parent has not (no set-user-id programs).
void clinux_spec_no_new_privileges(clinux_spec *spec);
/// What the container's file system gets by itself (not its binds) cannot be written.
void clinux_spec_read_only(clinux_spec *spec);
/// Whose processes the container sees: its own (-1), those of the namespace that this pidfd's process is in, or the
/// caller's (-2).
void clinux_spec_processes(clinux_spec *spec, int pidfd);
/// The directory that becomes `/`: an overlay of the host's `/` that writes to `upper`.
void clinux_spec_root(clinux_spec *spec, const char *root, const char *upper, const char *work);
/// A mount of the host that gets an overlay of its own; read-only where the file system cannot carry one.
void clinux_spec_overlay(clinux_spec *spec, const char *path, const char *upper, const char *work);
/// A host file or directory shown in the container; with `below` not empty what is at that path inside it, made as a
/// directory where it is missing, and never anything outside it, whatever links are there. Mounts that the host makes in it
/// later are seen where it follows the host (mount propagation HostToContainer).
void clinux_spec_bind(
    clinux_spec *spec, const char *source, const char *below, const char *target, int read_only, int follows_host);
/// A host directory that the container sees empty.
void clinux_spec_hide(clinux_spec *spec, const char *path);
/// The program sees all of the host's devices, not just those that harm nobody.
void clinux_spec_all_devices(clinux_spec *spec);
/// A cgroup.procs file that the process enters before anything else.
void clinux_spec_cgroup(clinux_spec *spec, const char *path);
/// Descriptors of the process: standard input (-1: nothing), output and error, and where it reports `error N STEP` lines;
/// the report ends (end of file) once the program has been executed.
void clinux_spec_descriptors(clinux_spec *spec, int input, int output, int error, int report);
/// The standard descriptors are a terminal that is to be the program's own.
void clinux_spec_terminal(clinux_spec *spec);

/// Starts the spec's program in its own session with `init` as its parent. `socket` becomes descriptor 3, `log` 1 and 2.
/// Returns its pid.
int clinux_spawn_detached(const clinux_spec *spec, int socket, int log);

/// Moves the calling (single-threaded) process into a new mount namespace and, if asked, a new ipc namespace and new
/// network and uts namespaces with `lo` up and this host name. Mounts of the host go on arriving; none go back.
int clinux_enter_sandbox(int private_network, int private_ipc, const char *hostname);

/// Starts a process that is the first of a new pid namespace and does nothing but reap; it dies with the caller.
/// Returns its pid; its pidfd is stored.
int clinux_hold_processes(int *pidfd);

/// Starts a container: an init in new pid and mount namespaces with the spec's program as its child, which dies with
/// the caller. Returns the init's pid; its pidfd is stored.
int clinux_launch(const clinux_spec *spec, int *pidfd);

/// Runs the spec's program in the namespaces of a container's init. Returns the pid of a process that waits for the
/// program and exits as it does, and which kills the program and its session on SIGTERM; its pidfd is stored.
int clinux_execute(const clinux_spec *spec, int init_pidfd, int *pidfd);

int clinux_pidfd_open(int pid);
int clinux_signal(int pidfd, int signal);
/// Reaps a child that has ended: its exit code, or 128 plus the signal that ended it.
int clinux_reap(int pid);

int clinux_mount_tmpfs(const char *path, const char *options);
/// Whether an overlay of `/` can write to this directory: 0 or -errno. Needs a private mount namespace.
int clinux_overlay_works(const char *path);
int clinux_pipe(int *reading, int *writing);
/// A new terminal: the side of whoever shows it, and the side of the program.
int clinux_terminal(int *shown, int *program);
int clinux_resize(int terminal, int columns, int rows);
/// A socket connected to a TCP port of the loopback in the network namespace at this path (NULL: the caller's); waits at
/// most so many milliseconds.
int clinux_connect_inside(const char *namespace_path, int port, int timeout_milliseconds);
int clinux_socket_pair(int *first, int *second);
/// A listening stream socket DIRECTORY/NAME, which may be longer than a socket address.
int clinux_listen(const char *directory, const char *name);
int clinux_connect(const char *directory, const char *name);
int clinux_accept(int listener);
int clinux_set_nonblocking(int descriptor);
/// Sends all bytes with these descriptors; waits if need be.
int clinux_send_descriptors(int socket, const void *bytes, unsigned long count, const int *descriptors, int number);
/// Reads like read(2); descriptors that came along are stored, at most `room` of them, and their number in `number`.
long clinux_receive(int socket, void *bytes, unsigned long count, int *descriptors, int room, int *number);
/// Sends without SIGPIPE and without waiting.
long clinux_send(int socket, const void *bytes, unsigned long count);
/// The process at the other end.
int clinux_peer_pid(int socket);

/// Removes a directory and everything in it, on its file system only.
int clinux_remove_tree(const char *path);
int clinux_unmount(const char *path);

/// How often the rules of this network namespace's nftables were changed, in `generation`. Returns 0 or -errno.
int clinux_rule_generation(uint32_t *generation);

/// Makes a veth pair: `device` here, up and with a route to the address, and `eth0` in the network namespace at this path
/// with this address alone and a default route to the gateway. Addresses are in host order. Returns 0 or -errno; then part
/// of it may be there.
int clinux_link_pod(const char *namespace_path, const char *device, uint32_t address, uint32_t gateway, uint32_t mtu);
/// Takes a device away, and its other end; one that is not there is no error.
int clinux_unlink_pod(const char *device);
