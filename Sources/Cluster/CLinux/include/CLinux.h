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
void clinux_spec_privileged(clinux_spec *spec);
/// The directory that becomes `/`: an overlay of the host's `/` that writes to `upper`.
void clinux_spec_root(clinux_spec *spec, const char *root, const char *upper, const char *work);
/// A mount of the host that gets an overlay of its own; read-only where the file system cannot carry one.
void clinux_spec_overlay(clinux_spec *spec, const char *path, const char *upper, const char *work);
/// A host file or directory shown in the container.
void clinux_spec_bind(clinux_spec *spec, const char *source, const char *target, int read_only);
/// A host directory that the container sees empty.
void clinux_spec_hide(clinux_spec *spec, const char *path);
/// A cgroup.procs file that the process enters before anything else.
void clinux_spec_cgroup(clinux_spec *spec, const char *path);
/// Descriptors of the process: standard output, standard error, and where it reports `error N STEP` lines;
/// the report ends (end of file) once the program has been executed.
void clinux_spec_descriptors(clinux_spec *spec, int output, int error, int report);

/// Starts the spec's program in its own session with `init` as its parent. `socket` becomes descriptor 3, `log` 1 and 2.
/// Returns its pid.
int clinux_spawn_detached(const clinux_spec *spec, int socket, int log);

/// Moves the calling (single-threaded) process into a new mount and ipc namespace and, if asked, new network and uts
/// namespaces with `lo` up and this host name. Mounts of the host go on arriving; none go back.
int clinux_enter_sandbox(int private_network, const char *hostname);

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
int clinux_socket_pair(int *first, int *second);
/// A listening stream socket DIRECTORY/NAME, which may be longer than a socket address.
int clinux_listen(const char *directory, const char *name);
int clinux_connect(const char *directory, const char *name);
int clinux_accept(int listener);
int clinux_set_nonblocking(int descriptor);
/// Sends without SIGPIPE and without waiting.
long clinux_send(int socket, const void *bytes, unsigned long count);
/// The process at the other end.
int clinux_peer_pid(int socket);

/// Removes a directory and everything in it, on its file system only.
int clinux_remove_tree(const char *path);
