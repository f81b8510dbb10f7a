/* The foreign writer and the reader that sees the repair, in one process.
 *
 * In C, because Python's own 5-20 us a system call and its garbage collector would be part
 * of every figure; in one process, so that both ends are one clock on one CPU; spinning,
 * because any way to be told of the repair (inotify, poll) would add a wake-up of its own.
 * One look (open, read, close) takes about 2 us, which is the resolution. It keeps one CPU
 * busy, for every tool alike, and leaves the others to the tool.
 *
 * The clock starts when the call returns that made the poison readable (rename, or write):
 * the kernel tells the watchers within that call, so nobody can begin earlier, and what the
 * foreign writer itself takes (300 us for a rename on ext4, which allocates the blocks then)
 * is in nobody's figure.
 *
 * usage: restore_probe POISONED REAL [varied], then commands on standard input, each answered by
 * one line on standard output:
 *   poison KIND ROOT TIMEOUT_MS   KIND rename, truncate or move-out -> NANOSECONDS, or "never",
 *                                 or "unsafe" when the file wasn't safe before
 *   await ROOT PID TIMEOUT_MS     -> CLOCK_MONOTONIC_NS PROCESS_CPU_NS of PID when safe, or "never"
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static const char *poisoned_address, *real_address;
static char poison[320];
static int is_varied;
static char live[PATH_MAX], temporary[PATH_MAX], decoy[PATH_MAX], outside[PATH_MAX];

static long long now(clockid_t clock)
{
    struct timespec t;
    if (clock_gettime(clock, &t) < 0)
        return -1;
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Safe: whole lines only, the real nameserver is one of them, the poisoned one isn't.
 * An empty or half-written file is not safe; a comment doesn't count. */
static int is_safe(void)
{
    char text[8192];
    int fd = open(live, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    if (size <= 0 || text[size - 1] != '\n')
        return 0;
    text[size] = '\0';  /* the loop below leans on the newline before it */

    int real = 0;
    for (char *line = text; *line; line = strchr(line, '\n') + 1) {
        char address[64];
        if (sscanf(line, "nameserver%*[ \t]%63[^ \t\n]", address) != 1)
            continue;
        if (strcmp(address, poisoned_address) == 0)
            return 0;
        real |= strcmp(address, real_address) == 0;
    }
    return real;
}

/* Returns the moment when the text was readable. */
static long long write_file(const char *path, const char *text)
{
    size_t size = strlen(text);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, text, size) != (ssize_t)size)
        err(1, "%s", path);
    long long readable = now(CLOCK_MONOTONIC);
    close(fd);
    return readable;
}

static void settle(const char *root)
{
    snprintf(live, sizeof live, "%s/etc/resolv.conf", root);
    snprintf(temporary, sizeof temporary, "%s/etc/.foreign.tmp", root);
    snprintf(decoy, sizeof decoy, "%s/etc/decoy.conf", root);
    snprintf(outside, sizeof outside, "%s/outside.conf", root);
}

/* What Kubespray leaves; with a number in a comment, nobody can have seen it before. */
static void compose(void)
{
    static int number;
    int size = snprintf(poison, sizeof poison,
                        "domain cluster.local\n"
                        "search cluster.local default.svc.cluster.local. svc.cluster.local.\n"
                        "nameserver %s\n", poisoned_address);
    if (is_varied)
        snprintf(poison + size, sizeof poison - size, "# %d\n", number++);
}

/* Returns the moment when the poison was readable. */
static long long foreign_write(const char *kind)
{
    if (strcmp(kind, "truncate") == 0)
        return write_file(live, poison);
    /* As Ansible, sed -i and dpkg do: a temporary file beside the live one. */
    write_file(temporary, poison);
    if (strcmp(kind, "move-out") == 0 && rename(decoy, outside) < 0)
        err(1, "%s", decoy);
    if (rename(temporary, live) < 0)
        err(1, "%s", live);
    return now(CLOCK_MONOTONIC);
}

static int spin(long long deadline)
{
    while (!is_safe())
        if (now(CLOCK_MONOTONIC) > deadline)
            return 0;
    return 1;
}

static void run_poison(const char *kind, long timeout_ms)
{
    if (strcmp(kind, "move-out") == 0) {
        /* Its creation must be history when the clock starts: 10 ms. */
        write_file(decoy, "decoy\n");
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    if (!is_safe()) {
        puts("unsafe");
        return;
    }
    compose();
    long long start = foreign_write(kind);
    if (spin(start + timeout_ms * 1000000LL))
        printf("%lld\n", now(CLOCK_MONOTONIC) - start);
    else
        puts("never");
}

static void run_await(pid_t pid, long timeout_ms)
{
    clockid_t cpu;
    int error = clock_getcpuclockid(pid, &cpu);
    if (error)
        errx(1, "CPU clock of %d: %s", pid, strerror(error));
    if (spin(now(CLOCK_MONOTONIC) + timeout_ms * 1000000LL)) {
        long long used = now(cpu);
        printf("%lld %lld\n", now(CLOCK_MONOTONIC), used);
    } else {
        puts("never");
    }
}

int main(int argc, char **argv)
{
    if (argc < 3)
        errx(1, "usage: restore_probe POISONED REAL [varied]");
    poisoned_address = argv[1];
    real_address = argv[2];
    is_varied = argc > 3;
    setlinebuf(stdout);

    char line[2 * PATH_MAX], kind[16], root[PATH_MAX - 64];
    while (fgets(line, sizeof line, stdin)) {
        long timeout_ms;
        pid_t pid;
        if (sscanf(line, "poison %15s %4000s %ld", kind, root, &timeout_ms) == 3) {
            settle(root);
            run_poison(kind, timeout_ms);
        } else if (sscanf(line, "await %4000s %d %ld", root, &pid, &timeout_ms) == 3) {
            settle(root);
            run_await(pid, timeout_ms);
        } else {
            errx(1, "unknown command: %s", line);
        }
    }
}
