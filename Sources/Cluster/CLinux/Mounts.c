// Builds a container's file system: a copy-on-write view of the host's, with its own /proc, /sys, /dev and mounts.
//
// Sources of binds are opened before the root changes and attached after it, so that symbolic links in a source mean
// the host's files and those in a target the container's. Needs Linux 5.12 (mount_setattr).
#define _GNU_SOURCE
#include "Spec.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// <sys/mount.h> clashes with <linux/mount.h> in older C libraries; these are its two functions.
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);
#ifndef MS_RDONLY
#define MS_RDONLY 1
#define MS_NOSUID 2
#define MS_NODEV 4
#define MS_NOEXEC 8
#define MS_REC 16384
#define MS_PRIVATE (1 << 18)
#endif
#define CLINUX_MNT_DETACH 2
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 4
#endif
#ifndef MOVE_MOUNT_T_SYMLINKS
#define MOVE_MOUNT_T_SYMLINKS 0x10
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

static int open_tree_clone_at(int directory, const char *path, int read_only, int follows_host) {
    int tree = (int)syscall(SYS_open_tree, directory, path,
                            OPEN_TREE_CLONE | AT_RECURSIVE | O_CLOEXEC | (*path ? 0 : AT_EMPTY_PATH));
    if (tree < 0) return tree;
    struct mount_attr attributes = {
        .attr_set = read_only ? MOUNT_ATTR_RDONLY : 0, .propagation = follows_host ? 0 : MS_PRIVATE};
    if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0) {
        int error = errno;
        close(tree);
        errno = error;
        return -1;
    }
    return tree;
}

static int open_tree_clone(const char *path, int read_only) { return open_tree_clone_at(AT_FDCWD, path, read_only, 0); }

static int open_inside(int directory, const char *path) {
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof how);
}

/// What is at a path inside a directory, and cannot be anywhere else; directories that are missing are made.
static int open_below(const char *directory, const char *below) {
    char part[PATH_MAX];
    size_t length = strlen(below);
    if (length >= sizeof part) return -ENAMETOOLONG;
    int top = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (top < 0) return -errno;
    int place = open_inside(top, below);
    if (place < 0 && errno == ENOENT) {
        memcpy(part, below, length + 1);
        int parent = fcntl(top, F_DUPFD_CLOEXEC, 0);
        char *rest = NULL;
        for (char *name = strtok_r(part, "/", &rest); name && parent >= 0; name = strtok_r(NULL, "/", &rest)) {
            // Every step begins where the last one ended, so that no link can lead out meanwhile.
            int made = mkdirat(parent, name, 0777) == 0;
            int next = open_inside(parent, name);
            if (made && next >= 0) (void)!fchmodat(parent, name, 0777, 0);
            int error = errno;
            close(parent);
            parent = next;
            errno = error;
        }
        place = parent;
    }
    int error = errno;
    close(top);
    return place < 0 ? -error : place;
}

static int open_bind(const struct bind *bind) {
    if (!*bind->below) return open_tree_clone_at(AT_FDCWD, bind->source, bind->read_only, bind->follows_host);
    int place = open_below(bind->source, bind->below);
    if (place < 0) {
        errno = -place;
        return -1;
    }
    int tree = open_tree_clone_at(place, "", bind->read_only, bind->follows_host);
    int error = errno;
    close(place);
    errno = error;
    return tree;
}

int clinux_make_directories(const char *path) {
    char part[PATH_MAX];
    size_t length = strlen(path);
    if (length >= sizeof part) return -ENAMETOOLONG;
    memcpy(part, path, length + 1);
    for (size_t i = 1; i <= length; i++) {
        if (part[i] != '/' && part[i] != 0) continue;
        char kept = part[i];
        part[i] = 0;
        if (mkdir(part, 0755) < 0 && errno != EEXIST) return -errno;
        part[i] = kept;
    }
    struct stat status;
    if (stat(path, &status) < 0) return -errno;
    return S_ISDIR(status.st_mode) ? 0 : -ENOTDIR;
}

static int mount_overlay(const char *lower, const char *upper, const char *work, const char *target) {
    // Neither a colon nor a comma in a path can be told to overlayfs; such a mount is shown read-only instead.
    if (strpbrk(lower, ":,\\") || strpbrk(upper, ":,\\")) return -EINVAL;
    char options[3 * PATH_MAX];
    int length = snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
    if (length >= (int)sizeof options) return -ENAMETOOLONG;
    int made = clinux_make_directories(upper);
    if (made == 0) made = clinux_make_directories(work);
    if (made < 0) return made;
    return mount("overlay", target, "overlay", 0, options) < 0 ? -errno : 0;
}

static int attach(int tree, const char *target) {
    int result = (int)syscall(SYS_move_mount, tree, "", AT_FDCWD, target,
                              MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS);
    int error = errno;
    close(tree);
    return result < 0 ? -error : 0;
}

static int overlay_layers(const clinux_spec *spec) {
    char target[PATH_MAX];
    for (size_t i = 0; i < spec->layer_count; i++) {
        struct layer *layer = &spec->layers[i];
        struct stat status;
        if (snprintf(target, sizeof target, "%s%s", spec->root, layer->path) >= (int)sizeof target) continue;
        // A mount point that another mount hides, or that is gone, is not there for the container either.
        if (stat(layer->path, &status) < 0 || access(target, F_OK) < 0) continue;
        if (S_ISDIR(status.st_mode) && mount_overlay(layer->path, layer->upper, layer->work, target) == 0) continue;
        int tree = open_tree_clone(layer->path, 1);
        if (tree >= 0) attach(tree, target);
    }
    return 0;
}

static int make_file(const char *path) {
    char parent[PATH_MAX];
    if (strlen(path) >= sizeof parent) return -ENAMETOOLONG;
    strcpy(parent, path);
    char *slash = strrchr(parent, '/');
    if (slash && slash != parent) {
        *slash = 0;
        int made = clinux_make_directories(parent);
        if (made < 0) return made;
    }
    struct stat status;
    if (lstat(path, &status) == 0) {
        if (!S_ISLNK(status.st_mode)) return 0;
        // A link (as /etc/resolv.conf often is) would lead the mount elsewhere.
        if (unlink(path) < 0) return -errno;
    }
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (file < 0) return -errno;
    close(file);
    return 0;
}

static int change_root(const char *root) {
    if (chdir(root) < 0) return -errno;
    if (syscall(SYS_pivot_root, ".", ".") < 0) return -errno;
    if (umount2(".", CLINUX_MNT_DETACH) < 0) return -errno;
    return chdir("/") < 0 ? -errno : 0;
}

static int attach_binds(const clinux_spec *spec, const char **step) {
    for (size_t i = 0; i < spec->bind_count; i++) {
        struct bind *bind = &spec->binds[i];
        *step = bind->target;
        int made = bind->is_directory ? clinux_make_directories(bind->target) : make_file(bind->target);
        if (made < 0) return made;
        int attached = attach(bind->tree, bind->target);
        if (attached < 0) return attached;
    }
    return 0;
}

enum { MOST_DEVICES = 256 };

struct device {
    char path[64];
    int tree, is_directory;
};

static void open_device(const char *name, struct device *devices, int *count) {
    if (*count == MOST_DEVICES) return;
    struct device *device = &devices[*count];
    struct stat status;
    if (snprintf(device->path, sizeof device->path, "/dev/%s", name) >= (int)sizeof device->path) return;
    if (lstat(device->path, &status) < 0 || S_ISLNK(status.st_mode)) return;
    if ((device->tree = open_tree_clone(device->path, 0)) < 0) return;
    device->is_directory = S_ISDIR(status.st_mode);
    ++*count;
}

/// Opens those devices of the host that the container is to have: all, or those that harm nobody. Terminals are the host's
/// in any case, since whoever shows one is outside. What the host has not, the container has not.
static int open_devices(int all, struct device *devices) {
    static const char *const harmless[] = {"null", "zero", "full", "random", "urandom", "tty", "pts"};
    int count = 0;
    DIR *directory = all ? opendir("/dev") : NULL;
    if (!directory)
        for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++) open_device(harmless[i], devices, &count);
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, "shm") != 0) open_device(entry->d_name, devices, &count);
    if (directory) closedir(directory);
    return count;
}

/// A /dev of the container's own, so that nothing it makes there is seen outside.
static int make_devices(struct device *devices, int count) {
    static const char *const links[][2] = {{"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"},
        {"/proc/self/fd/1", "/dev/stdout"}, {"/proc/self/fd/2", "/dev/stderr"}, {"pts/ptmx", "/dev/ptmx"}};
    int made = clinux_make_directories("/dev");
    if (made < 0) return made;
    if (mount("devices", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k") < 0) return -errno;
    for (int i = 0; i < count; i++) {
        made = devices[i].is_directory ? clinux_make_directories(devices[i].path) : make_file(devices[i].path);
        if (made < 0 || (made = attach(devices[i].tree, devices[i].path)) < 0) return made;
    }
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        if (symlink(links[i][0], links[i][1]) < 0 && errno != EEXIST) return -errno;
    if (mkdir("/dev/mqueue", 0755) == 0)
        mount("mqueue", "/dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
    return 0;
}

/// The container's own file systems; what was bound into them keeps its rights.
static int make_read_only(const clinux_spec *spec) {
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    if (syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attributes, sizeof attributes) < 0) return -errno;
    for (size_t i = 0; i < spec->layer_count; i++) {
        int bound = 0;
        for (size_t b = 0; b < spec->bind_count; b++) bound |= strcmp(spec->binds[b].target, spec->layers[i].path) == 0;
        // A layer that is not there for the container has nothing to be protected.
        if (!bound) syscall(SYS_mount_setattr, AT_FDCWD, spec->layers[i].path, 0, &attributes, sizeof attributes);
    }
    return 0;
}

int clinux_build_root(const clinux_spec *spec, const char **step) {
    int result;
    // Before the propagation is cut: what is opened here may go on following the host.
    for (size_t i = 0; i < spec->bind_count; i++) {
        struct bind *bind = &spec->binds[i];
        struct stat status;
        *step = bind->source;
        bind->tree = open_bind(bind);
        if (bind->tree < 0 || fstat(bind->tree, &status) < 0) return -errno;
        bind->is_directory = S_ISDIR(status.st_mode);
    }
    *step = "mount propagation";
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return -errno;
    struct device devices[MOST_DEVICES];
    int device_count = open_devices(spec->all_devices, devices);

    *step = "overlay of /";
    if ((result = clinux_make_directories(spec->root)) < 0) return result;
    if ((result = mount_overlay("/", spec->upper, spec->work, spec->root)) < 0) return result;
    overlay_layers(spec);
    *step = "pivot_root";
    if ((result = change_root(spec->root)) < 0) return result;

    *step = "/proc";
    if ((result = clinux_make_directories("/proc")) < 0) return result;
    if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) return -errno;
    *step = "/sys";
    if ((result = clinux_make_directories("/sys")) < 0) return result;
    if (mount("sysfs", "/sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0) return -errno;
    *step = "/dev";
    if ((result = make_devices(devices, device_count)) < 0) return result;
    for (size_t i = 0; i < spec->hidden.count; i++) {
        *step = spec->hidden.items[i];
        if (access(*step, F_OK) < 0) continue;
        if (mount("hidden", *step, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=755") < 0)
            return -errno;
    }
    if ((result = attach_binds(spec, step)) < 0 || !spec->read_only) return result;
    *step = "read-only /";
    return make_read_only(spec);
}

int clinux_mount_tmpfs(const char *path, const char *options) {
    return mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0 ? -errno : 0;
}

int clinux_overlay_works(const char *path) {
    char root[PATH_MAX], upper[PATH_MAX], work[PATH_MAX];
    if (snprintf(root, sizeof root, "%s/.probe/root", path) >= (int)sizeof root) return -ENAMETOOLONG;
    snprintf(upper, sizeof upper, "%s/.probe/upper", path);
    snprintf(work, sizeof work, "%s/.probe/work", path);
    int result = clinux_make_directories(root);
    if (result == 0) result = mount_overlay("/", upper, work, root);
    if (result == 0) umount2(root, CLINUX_MNT_DETACH);
    *strrchr(root, '/') = 0;
    clinux_remove_tree(root);
    return result;
}

int clinux_unmount(const char *path) { return umount2(path, CLINUX_MNT_DETACH) < 0 ? -errno : 0; }

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *where) {
    (void)status;
    (void)type;
    (void)where;
    remove(path);
    return 0;
}

int clinux_remove_tree(const char *path) {
    nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    struct stat status;
    if (lstat(path, &status) == 0) return -EBUSY;
    return errno == ENOENT ? 0 : -errno;
}
