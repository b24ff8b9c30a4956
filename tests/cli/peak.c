// SPDX-License-Identifier: MPL-2.0
/*
 * peak.c - runs a program and writes the most memory that it ever had, in KiB,
 * into a file; ends with its exit code.
 *
 *   peak FILE PROGRAM [ARGUMENTS]
 */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	struct rusage usage;
	int status;
	pid_t pid;
	FILE *f;

	if (argc < 3)
		return 129;
	pid = fork();
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
		return 128;
	f = fopen(argv[1], "w");
	if (f == NULL)
		return 128;
	fprintf(f, "%ld\n", usage.ru_maxrss);
	fclose(f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}
