/*
 * Makes one read or write of a regular file below a directory come back short, by doing
 * less of it, as a full disk, a signal or a slow filesystem would (LD_PRELOAD).
 *
 * SHORT_ROOT     the directory; "log" in it is the test's own, and left alone
 * SHORT_CONTROL  a file that says which of them: "N". It is read when there is one, and
 *                removed once the N-th call has come; what was met is told in "<it>.log",
 *                a line "name path asked got". N = 0 tells of all and shortens none.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long armed = -1, count;

static ssize_t raw_read(int fd, void *buf, size_t n) { return syscall(SYS_read, fd, buf, n); }
static ssize_t raw_write(int fd, const void *buf, size_t n) { return syscall(SYS_write, fd, buf, n); }

static int is_armed(const char *control)
{
    char text[32] = "";
    int fd;

    if (armed >= 0)
        return 1;
    fd = syscall(SYS_openat, AT_FDCWD, control, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (raw_read(fd, text, sizeof text - 1) > 0) {
        armed = atol(text);
        count = 0;
    }
    syscall(SYS_close, fd);
    return armed >= 0;
}

static void tell(const char *control, const char *name, const char *path, size_t asked, size_t got)
{
    char log[PATH_MAX], line[PATH_MAX + 128];
    int fd, n;

    snprintf(log, sizeof log, "%s.log", control);
    fd = syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0)
        return;
    n = snprintf(line, sizeof line, "%s %s %zu %zu\n", name, path, asked, got);
    raw_write(fd, line, n);
    syscall(SYS_close, fd);
}

/* How much of it is to be done. */
static size_t share(const char *name, int fd, size_t asked, off_t at, int reads)
{
    const char *root = getenv("SHORT_ROOT"), *control = getenv("SHORT_CONTROL");
    char link[64], path[PATH_MAX];
    struct stat found;
    size_t most = asked, got;
    ssize_t length;

    if (!root || !control || fstat(fd, &found) || !S_ISREG(found.st_mode))
        return asked;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return asked;
    path[length] = 0;
    if (strncmp(path, root, strlen(root)) || !strcmp(path + strlen(root), "/log"))
        return asked;
    if (!is_armed(control))
        return asked;
    if (reads) {
        if (at < 0)
            at = lseek(fd, 0, SEEK_CUR);
        most = found.st_size > at ? (size_t)(found.st_size - at) : 0;
        if (most > asked)
            most = asked;
    }
    if (most < 2) /* nothing to be short of */
        return asked;
    got = most / 2;
    if (armed == 0) {
        tell(control, name, path, most, most);
        return asked;
    }
    if (++count != armed)
        return asked;
    armed = -1;
    unlink(control);
    tell(control, name, path, most, got);
    return got;
}

ssize_t read(int fd, void *buf, size_t n) { return raw_read(fd, buf, share("read", fd, n, -1, 1)); }

ssize_t __read_chk(int fd, void *buf, size_t n, size_t size) { (void)size; return read(fd, buf, n); }

ssize_t write(int fd, const void *buf, size_t n)
{
    return raw_write(fd, buf, share("write", fd, n, -1, 0));
}

ssize_t pread64(int fd, void *buf, size_t n, off_t at)
{
    return syscall(SYS_pread64, fd, buf, share("pread64", fd, n, at, 1), at);
}

ssize_t pread(int fd, void *buf, size_t n, off_t at) { return pread64(fd, buf, n, at); }

ssize_t pwrite64(int fd, const void *buf, size_t n, off_t at)
{
    return syscall(SYS_pwrite64, fd, buf, share("pwrite64", fd, n, at, 0), at);
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at) { return pwrite64(fd, buf, n, at); }
