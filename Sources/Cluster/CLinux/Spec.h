// The inside of a process specification, and what the room's files share.
#pragma once
#include "CLinux.h"
#include <stddef.h>
#include <sys/types.h>

struct list {
    char **items;
    size_t count;
};

struct bind {
    char *source, *below, *target;
    int read_only, follows_host;
    // Filled when the mount is carried out.
    int tree, is_directory;
};

struct layer {
    char *path, *upper, *work;
    int tree;
};

struct clinux_spec {
    struct list arguments, environment, hidden, cgroups;
    char *directory;
    uint32_t user, group;
    gid_t *groups;
    size_t group_count;
    uint64_t capabilities;
    int no_new_privileges, read_only, processes, terminal, all_devices;
    char *root, *upper, *work;
    struct layer *layers;
    size_t layer_count;
    struct bind *binds;
    size_t bind_count;
    int input, output, error, report;
};

/// Builds the container's file system and makes it `/`. Returns 0 or -errno; `step` then says at what.
int clinux_build_root(const clinux_spec *spec, const char **step);
/// mkdir -p. Returns 0 or -errno.
int clinux_make_directories(const char *path);
