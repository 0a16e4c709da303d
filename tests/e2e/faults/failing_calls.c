/* A library to preload (LD_PRELOAD): counts the system calls that change files below a folder, or those that read them, and
 * makes one of them, or all from one on, fail.
 *
 *   FAIL_BELOW   the folder, absolute and without links in it
 *   FAIL_READS   anything: calls that read are meant, not those that change
 *   FAIL_LOG     a file outside of it: one line per counted call, "number call path", with "!" after those that were made to fail
 *   FAIL_AT      the number of the call that fails, from 1; 0 or nothing: none, they are only counted
 *   FAIL_ERRNO   how it fails; 0: a write writes half of what it should, which is no failure but a short write
 *   FAIL_ON      anything: every counted call from FAIL_AT on fails
 *   FAIL_ROOM    the disk is full once so many bytes have been written; FAIL_AT does not count then
 *
 * Calls are counted over all threads. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char below[PATH_MAX];
static size_t below_length;
static int log_file = -1;
static long fail_at, fail_errno, fail_on, fail_reads;
static atomic_long calls;
static atomic_long room = LONG_MAX;

static long number(const char *name, long otherwise) {
    const char *text = getenv(name);
    return text && *text ? strtol(text, NULL, 10) : otherwise;
}

__attribute__((constructor)) static void start(void) {
    const char *folder = getenv("FAIL_BELOW"), *log = getenv("FAIL_LOG");
    if (!folder || !*folder) return;
    snprintf(below, sizeof below, "%s", folder);
    below_length = strlen(below);
    fail_at = number("FAIL_AT", 0);
    fail_errno = number("FAIL_ERRNO", EIO);
    fail_on = getenv("FAIL_ON") != NULL;
    fail_reads = getenv("FAIL_READS") != NULL;
    room = number("FAIL_ROOM", LONG_MAX);
    if (log) log_file = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

static int is_below(const char *path) {
    return below_length && !strncmp(path, below, below_length) && (path[below_length] == '/' || !path[below_length]);
}

/* The path of an open file; where that is none, an empty text. */
static void path_of(int file, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = 0;
}

static void join(int folder, const char *name, char *path) {
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return;
    }
    char base[PATH_MAX] = "";
    if (folder == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) base[0] = 0;
    } else {
        path_of(folder, base);
    }
    if (snprintf(path, PATH_MAX, "%s/%s", base, name) >= PATH_MAX) path[0] = 0;
}

/* Counts a call. Gives 0 where it is to go through, 1 where it is to fail; errno is set then. */
static int counted_as(long reads, const char *call, const char *path) {
    if (reads != fail_reads || !is_below(path)) return 0;
    long mine = atomic_fetch_add(&calls, 1) + 1;
    int fails = room == LONG_MAX && fail_at && (mine == fail_at || (fail_on && mine > fail_at));
    if (log_file >= 0) {
        char line[PATH_MAX + 64];
        int length = snprintf(line, sizeof line, "%ld %s %s%s\n", mine, call, path + below_length, fails ? " !" : "");
        syscall(SYS_write, log_file, line, (size_t)length);
    }
    if (fails) errno = (int)fail_errno;
    return fails;
}

static int counted(const char *call, const char *path) { return counted_as(0, call, path); }

static int opened(long reads, const char *call, int folder, const char *name) {
    char path[PATH_MAX];
    int before = errno;
    join(folder, name, path);
    errno = before;
    return counted_as(reads, call, path);
}

static int counted_at(const char *call, int folder, const char *name) { return opened(0, call, folder, name); }

static int of_file(long reads, const char *call, int file) {
    if (reads != fail_reads || !below_length) return 0;
    char path[PATH_MAX];
    int before = errno;
    path_of(file, path);
    errno = before;
    return counted_as(reads, call, path);
}

static int counted_file(const char *call, int file) { return of_file(0, call, file); }

/* How many of so many bytes are to be written; -1 with errno set where none are. */
static ssize_t to_write(const char *call, int file, size_t bytes) {
    if (!below_length) return (ssize_t)bytes;
    if (room != LONG_MAX) {
        char path[PATH_MAX];
        path_of(file, path);
        if (!is_below(path)) return (ssize_t)bytes;
        long left = atomic_fetch_sub(&room, (long)bytes);
        counted(call, path);
        if (left >= (long)bytes) return (ssize_t)bytes;
        if (left > 0) return left;
        errno = ENOSPC;
        return -1;
    }
    if (!counted_file(call, file)) return (ssize_t)bytes;
    if (fail_errno == 0 && bytes > 1) return (ssize_t)(bytes / 2);
    if (fail_errno == 0) return (ssize_t)bytes;
    return -1;
}

#define NEXT(result, name, ...)                                        \
    static result (*next)(__VA_ARGS__);                                \
    if (!next) *(void **)(&next) = dlsym(RTLD_NEXT, name)

/* A short write is all that can happen without an error. */
#define FAILS(condition) ((condition) && fail_errno != 0)

static int changes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)); }

#define OPENS(name, folder, path, ...)                                          \
    mode_t mode = 0;                                                            \
    if (flags & (O_CREAT | O_TMPFILE)) {                                        \
        va_list rest;                                                           \
        va_start(rest, flags);                                                  \
        mode = va_arg(rest, mode_t);                                            \
        va_end(rest);                                                           \
    }                                                                           \
    if (FAILS(opened(!changes(flags), "open", folder, path))) return -1

int open(const char *path, int flags, ...) {
    NEXT(int, "open", const char *, int, ...);
    OPENS("open", AT_FDCWD, path);
    return next(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    NEXT(int, "open64", const char *, int, ...);
    OPENS("open64", AT_FDCWD, path);
    return next(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    NEXT(int, "openat", int, const char *, int, ...);
    OPENS("openat", folder, path);
    return next(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    NEXT(int, "openat64", int, const char *, int, ...);
    OPENS("openat64", folder, path);
    return next(folder, path, flags, mode);
}

DIR *opendir(const char *path) {
    NEXT(DIR *, "opendir", const char *);
    return FAILS(opened(1, "opendir", AT_FDCWD, path)) ? NULL : next(path);
}

ssize_t read(int file, void *bytes, size_t length) {
    NEXT(ssize_t, "read", int, void *, size_t);
    return FAILS(of_file(1, "read", file)) ? -1 : next(file, bytes, length);
}

ssize_t pread(int file, void *bytes, size_t length, off_t at) {
    NEXT(ssize_t, "pread", int, void *, size_t, off_t);
    return FAILS(of_file(1, "pread", file)) ? -1 : next(file, bytes, length, at);
}

ssize_t pread64(int file, void *bytes, size_t length, off64_t at) {
    NEXT(ssize_t, "pread64", int, void *, size_t, off64_t);
    return FAILS(of_file(1, "pread", file)) ? -1 : next(file, bytes, length, at);
}

ssize_t write(int file, const void *bytes, size_t length) {
    NEXT(ssize_t, "write", int, const void *, size_t);
    ssize_t some = to_write("write", file, length);
    return some < 0 ? -1 : next(file, bytes, (size_t)some);
}

ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) {
    NEXT(ssize_t, "pwrite", int, const void *, size_t, off_t);
    ssize_t some = to_write("pwrite", file, length);
    return some < 0 ? -1 : next(file, bytes, (size_t)some, at);
}

ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    NEXT(ssize_t, "pwrite64", int, const void *, size_t, off64_t);
    ssize_t some = to_write("pwrite", file, length);
    return some < 0 ? -1 : next(file, bytes, (size_t)some, at);
}

ssize_t writev(int file, const struct iovec *pieces, int count) {
    NEXT(ssize_t, "writev", int, const struct iovec *, int);
    size_t length = 0;
    for (int at = 0; at < count; at++) length += pieces[at].iov_len;
    ssize_t some = to_write("writev", file, length);
    if (some < 0) return -1;
    if ((size_t)some == length) return next(file, pieces, count);
    size_t first = pieces[0].iov_len;
    return write(file, pieces[0].iov_base, first < (size_t)some ? first : (size_t)some);
}

ssize_t copy_file_range(int from, off64_t *from_at, int to, off64_t *to_at, size_t length, unsigned flags) {
    NEXT(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned);
    struct stat source;
    size_t most = length;
    if (room != LONG_MAX && !fstat(from, &source) && (size_t)source.st_size < most) most = (size_t)source.st_size;
    ssize_t some = to_write("copy_file_range", to, most);
    return some < 0 ? -1 : next(from, from_at, to, to_at, room == LONG_MAX && (size_t)some == most ? length : (size_t)some, flags);
}

ssize_t sendfile64(int to, int from, off64_t *at, size_t length) {
    NEXT(ssize_t, "sendfile64", int, int, off64_t *, size_t);
    ssize_t some = to_write("sendfile", to, length);
    return some < 0 ? -1 : next(to, from, at, (size_t)some);
}

int fsync(int file) {
    NEXT(int, "fsync", int);
    return FAILS(counted_file("fsync", file)) ? -1 : next(file);
}

int fdatasync(int file) {
    NEXT(int, "fdatasync", int);
    return FAILS(counted_file("fdatasync", file)) ? -1 : next(file);
}

int ftruncate(int file, off_t length) {
    NEXT(int, "ftruncate", int, off_t);
    return FAILS(counted_file("ftruncate", file)) ? -1 : next(file, length);
}

int ftruncate64(int file, off64_t length) {
    NEXT(int, "ftruncate64", int, off64_t);
    return FAILS(counted_file("ftruncate", file)) ? -1 : next(file, length);
}

int fallocate64(int file, int mode, off64_t from, off64_t length) {
    NEXT(int, "fallocate64", int, int, off64_t, off64_t);
    return FAILS(counted_file("fallocate", file)) ? -1 : next(file, mode, from, length);
}

int rename(const char *from, const char *to) {
    NEXT(int, "rename", const char *, const char *);
    return FAILS(counted_at("rename", AT_FDCWD, to)) ? -1 : next(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    NEXT(int, "renameat", int, const char *, int, const char *);
    return FAILS(counted_at("rename", to_folder, to)) ? -1 : next(from_folder, from, to_folder, to);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    NEXT(int, "renameat2", int, const char *, int, const char *, unsigned);
    return FAILS(counted_at("rename", to_folder, to)) ? -1 : next(from_folder, from, to_folder, to, flags);
}

int link(const char *from, const char *to) {
    NEXT(int, "link", const char *, const char *);
    return FAILS(counted_at("link", AT_FDCWD, to)) ? -1 : next(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    NEXT(int, "linkat", int, const char *, int, const char *, int);
    return FAILS(counted_at("link", to_folder, to)) ? -1 : next(from_folder, from, to_folder, to, flags);
}

int symlink(const char *target, const char *path) {
    NEXT(int, "symlink", const char *, const char *);
    return FAILS(counted_at("symlink", AT_FDCWD, path)) ? -1 : next(target, path);
}

int symlinkat(const char *target, int folder, const char *path) {
    NEXT(int, "symlinkat", const char *, int, const char *);
    return FAILS(counted_at("symlink", folder, path)) ? -1 : next(target, folder, path);
}

int unlink(const char *path) {
    NEXT(int, "unlink", const char *);
    return FAILS(counted_at("unlink", AT_FDCWD, path)) ? -1 : next(path);
}

int unlinkat(int folder, const char *path, int flags) {
    NEXT(int, "unlinkat", int, const char *, int);
    return FAILS(counted_at("unlink", folder, path)) ? -1 : next(folder, path, flags);
}

int rmdir(const char *path) {
    NEXT(int, "rmdir", const char *);
    return FAILS(counted_at("rmdir", AT_FDCWD, path)) ? -1 : next(path);
}

int mkdir(const char *path, mode_t mode) {
    NEXT(int, "mkdir", const char *, mode_t);
    return FAILS(counted_at("mkdir", AT_FDCWD, path)) ? -1 : next(path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode) {
    NEXT(int, "mkdirat", int, const char *, mode_t);
    return FAILS(counted_at("mkdir", folder, path)) ? -1 : next(folder, path, mode);
}
