// Collects what a process is to be; running out of memory ends the program, since nothing sensible is left to do.
#include "Spec.h"
#include <stdlib.h>
#include <string.h>

static void *grown(void *items, size_t count, size_t size) {
    void *fresh = realloc(items, (count + 1) * size);
    if (!fresh) abort();
    return fresh;
}

static char *copied(const char *text) {
    char *copy = strdup(text);
    if (!copy) abort();
    return copy;
}

static void append(struct list *list, const char *text) {
    // One more than needed, so that the list always ends with NULL as exec wants.
    list->items = grown(list->items, list->count + 1, sizeof(char *));
    list->items[list->count++] = copied(text);
    list->items[list->count] = NULL;
}

static void release(struct list *list) {
    for (size_t i = 0; i < list->count; i++) free(list->items[i]);
    free(list->items);
}

clinux_spec *clinux_spec_new(void) {
    clinux_spec *spec = calloc(1, sizeof *spec);
    if (!spec) abort();
    spec->input = spec->output = spec->error = spec->report = spec->processes = -1;
    return spec;
}

void clinux_spec_free(clinux_spec *spec) {
    release(&spec->arguments);
    release(&spec->environment);
    release(&spec->hidden);
    release(&spec->cgroups);
    for (size_t i = 0; i < spec->bind_count; i++) {
        free(spec->binds[i].source);
        free(spec->binds[i].below);
        free(spec->binds[i].target);
    }
    for (size_t i = 0; i < spec->layer_count; i++) {
        free(spec->layers[i].path);
        free(spec->layers[i].upper);
        free(spec->layers[i].work);
    }
    free(spec->binds);
    free(spec->layers);
    free(spec->groups);
    free(spec->directory);
    free(spec->root);
    free(spec->upper);
    free(spec->work);
    free(spec);
}

void clinux_spec_argument(clinux_spec *spec, const char *argument) { append(&spec->arguments, argument); }

void clinux_spec_environment(clinux_spec *spec, const char *entry) { append(&spec->environment, entry); }

void clinux_spec_hide(clinux_spec *spec, const char *path) { append(&spec->hidden, path); }

void clinux_spec_cgroup(clinux_spec *spec, const char *path) { append(&spec->cgroups, path); }

void clinux_spec_capabilities(clinux_spec *spec, uint64_t kept) { spec->capabilities = kept; }

void clinux_spec_no_new_privileges(clinux_spec *spec) { spec->no_new_privileges = 1; }

void clinux_spec_read_only(clinux_spec *spec) { spec->read_only = 1; }

void clinux_spec_processes(clinux_spec *spec, int pidfd) { spec->processes = pidfd; }

void clinux_spec_all_devices(clinux_spec *spec) { spec->all_devices = 1; }

void clinux_spec_terminal(clinux_spec *spec) { spec->terminal = 1; }

void clinux_spec_directory(clinux_spec *spec, const char *directory) {
    free(spec->directory);
    spec->directory = copied(directory);
}

void clinux_spec_user(clinux_spec *spec, uint32_t user, uint32_t group) {
    spec->user = user;
    spec->group = group;
}

void clinux_spec_group(clinux_spec *spec, uint32_t group) {
    spec->groups = grown(spec->groups, spec->group_count, sizeof(gid_t));
    spec->groups[spec->group_count++] = group;
}

void clinux_spec_root(clinux_spec *spec, const char *root, const char *upper, const char *work) {
    spec->root = copied(root);
    spec->upper = copied(upper);
    spec->work = copied(work);
}

void clinux_spec_overlay(clinux_spec *spec, const char *path, const char *upper, const char *work) {
    spec->layers = grown(spec->layers, spec->layer_count, sizeof(struct layer));
    spec->layers[spec->layer_count++] = (struct layer){copied(path), copied(upper), copied(work), -1};
}

void clinux_spec_bind(
    clinux_spec *spec, const char *source, const char *below, const char *target, int read_only, int follows_host) {
    spec->binds = grown(spec->binds, spec->bind_count, sizeof(struct bind));
    spec->binds[spec->bind_count++]
        = (struct bind){copied(source), copied(below), copied(target), read_only, follows_host, -1, 0};
}

void clinux_spec_descriptors(clinux_spec *spec, int input, int output, int error, int report) {
    spec->input = input;
    spec->output = output;
    spec->error = error;
    spec->report = report;
}
