/* The limit: the least a program can do to repair resolv.conf.
 *
 * One inotify watch on the directory; on any event about the file it is read, and if it
 * names the poisoned address a temporary file is written and renamed over it. No probing,
 * no log, no state, no fsync, nothing else on the machine looked at.
 *
 * usage: restore_floor DIRECTORY POISONED REAL
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static const char *poisoned;
static char repaired[256];

static int is_poisoned(void)
{
    char text[4096];
    int fd = open("resolv.conf", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    text[size > 0 ? size : 0] = '\0';
    return strstr(text, poisoned) != NULL;
}

static void repair(void)
{
    size_t size = strlen(repaired);
    int fd = open(".resolv.conf.floor", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, repaired, size) != (ssize_t)size || close(fd) < 0)
        err(1, "write");
    if (rename(".resolv.conf.floor", "resolv.conf") < 0)
        err(1, "rename");
}

int main(int argc, char **argv)
{
    if (argc != 4 || chdir(argv[1]) < 0)
        errx(1, "usage: restore_floor DIRECTORY POISONED REAL");
    poisoned = argv[2];
    snprintf(repaired, sizeof repaired,
             "domain cluster.local\n"
             "search cluster.local default.svc.cluster.local. svc.cluster.local.\n"
             "nameserver %s\n", argv[3]);

    int watch = inotify_init1(IN_CLOEXEC);
    if (watch < 0 || inotify_add_watch(watch, ".", IN_CLOSE_WRITE | IN_MODIFY | IN_MOVED_TO) < 0)
        err(1, "inotify");
    for (;;) {
        if (is_poisoned())
            repair();
        _Alignas(struct inotify_event) char events[64 * (sizeof(struct inotify_event) + NAME_MAX)];
        ssize_t size = read(watch, events, sizeof events);
        if (size < 0)
            err(1, "read");
    }
}
