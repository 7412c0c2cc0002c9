// The plain limit of benches/spawn.rs: one command after the other by posix_spawn, both outputs piped and read to their end.
// Usage: spawn_loop COUNT PROGRAM
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static void read_to_end(int fd) {
    static char buffer[65536];
    while (read(fd, buffer, sizeof buffer) > 0) {
    }
    close(fd);
}

int main(int argc, char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: spawn_loop COUNT PROGRAM\n");
        return 2;
    }
    char *command[] = {argv[2], NULL};
    for (int count = atoi(argv[1]); count > 0; count--) {
        int out[2], err[2];
        if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) fail("pipe2");
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, out[1], 1);
        posix_spawn_file_actions_adddup2(&actions, err[1], 2);
        pid_t pid;
        if (posix_spawn(&pid, argv[2], &actions, NULL, command, environ)) fail("posix_spawn");
        posix_spawn_file_actions_destroy(&actions);
        close(out[1]);
        close(err[1]);
        read_to_end(out[0]);
        read_to_end(err[0]);
        int status;
        if (waitpid(pid, &status, 0) != pid || status != 0) fail("waitpid");
    }
    return 0;
}
