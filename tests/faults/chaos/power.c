/* A disk that can lose its power, for LD_PRELOAD: every write to a database, its WAL or its journal is written down in
 * "<file>.unsynced" with what stood there before, until an fsync of the file. Whoever cuts the power undoes what is
 * written down there, or some of it (power.py). The files themselves are as every process sees them.
 *
 * A record: kind ('W' write, 'T' truncate), offset, new length, old length, old size of the file; old bytes, new bytes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST 4096

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static int logs[MOST]; /* descriptor of a tracked file -> descriptor of its log, 0 if it is none */

static useconds_t pause_micros;
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_truncate)(int, off_t);
static int (*real_open)(const char *, int, ...);
static int (*real_close)(int);
static int (*real_unlink)(const char *);

__attribute__((constructor)) static void find(void) {
    const char *pause = getenv("POWER_SYNC_MICROS");
    pause_micros = pause ? (useconds_t)atoi(pause) : 0;
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_write = dlsym(RTLD_NEXT, "write");
    real_truncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_open = dlsym(RTLD_NEXT, "open64");
    real_close = dlsym(RTLD_NEXT, "close");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
}

static int ends(const char *path, const char *end) {
    size_t whole = strlen(path), part = strlen(end);
    return whole >= part && !strcmp(path + whole - part, end);
}

static int is_tracked(const char *path) {
    return ends(path, ".db") || ends(path, ".db-wal") || ends(path, ".db-journal");
}

static int opened(int fd, const char *path) {
    char name[PATH_MAX];
    if (fd < 0 || fd >= MOST || !is_tracked(path))
        return fd;
    snprintf(name, sizeof name, "%s.unsynced", path);
    pthread_mutex_lock(&gate);
    logs[fd] = real_open(name, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    pthread_mutex_unlock(&gate);
    return fd;
}

/* The log before the file: a process that is killed in between has written nothing. */
static void note(int fd, char kind, off_t offset, const void *bytes, size_t length) {
    struct stat status;
    uint64_t head[5] = {(uint64_t)kind, (uint64_t)offset, length, 0, 0};
    if (fstat(fd, &status))
        abort();
    head[4] = (uint64_t)status.st_size;
    size_t old = status.st_size <= offset ? 0 : (size_t)(status.st_size - offset);
    if (kind == 'W' && old > length)
        old = length;
    head[3] = old;
    char *kept = malloc(old ? old : 1);
    if (!kept || (old && pread(fd, kept, old, offset) != (ssize_t)old))
        abort();
    struct iovec parts[3] = {{head, sizeof head}, {kept, old}, {(void *)bytes, kind == 'W' ? length : 0}};
    if (writev(logs[fd], parts, 3) < 0)
        abort();
    free(kept);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t offset) {
    if (fd < 0 || fd >= MOST || !logs[fd])
        return real_pwrite(fd, bytes, length, offset);
    pthread_mutex_lock(&gate);
    note(fd, 'W', offset, bytes, length);
    ssize_t written = real_pwrite(fd, bytes, length, offset);
    pthread_mutex_unlock(&gate);
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) { return pwrite64(fd, bytes, length, offset); }

ssize_t write(int fd, const void *bytes, size_t length) {
    if (fd < 0 || fd >= MOST || !logs[fd])
        return real_write(fd, bytes, length);
    return pwrite64(fd, bytes, length, lseek(fd, 0, SEEK_CUR)); /* SQLite does not do this; the position stays */
}

int ftruncate64(int fd, off_t size) {
    if (fd < 0 || fd >= MOST || !logs[fd])
        return real_truncate(fd, size);
    pthread_mutex_lock(&gate);
    note(fd, 'T', size, NULL, 0);
    int result = real_truncate(fd, size);
    pthread_mutex_unlock(&gate);
    return result;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

/* When it returns, what was written cannot be lost. Nothing is really synced, because the machine itself keeps its
 * power; but it takes POWER_SYNC_MICROS, so that the power can be cut while it is under way. */
static int sync_(int fd) {
    if (fd < 0 || fd >= MOST || !logs[fd])
        return 0;
    pthread_mutex_lock(&gate);
    usleep(pause_micros);
    int result = real_truncate(logs[fd], 0);
    pthread_mutex_unlock(&gate);
    return result;
}

int fsync(int fd) { return sync_(fd); }
int fdatasync(int fd) { return sync_(fd); }

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    return opened(real_open(path, flags, mode), path);
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, int) : 0;
    va_end(rest);
    return opened(real_open(path, flags, mode), path);
}

int close(int fd) {
    if (fd >= 0 && fd < MOST && logs[fd]) {
        pthread_mutex_lock(&gate);
        real_close(logs[fd]);
        logs[fd] = 0;
        pthread_mutex_unlock(&gate);
    }
    return real_close(fd);
}

/* A file that is gone has nothing to lose. */
int unlink(const char *path) {
    char name[PATH_MAX];
    if (is_tracked(path)) {
        snprintf(name, sizeof name, "%s.unsynced", path);
        real_unlink(name);
    }
    return real_unlink(path);
}
