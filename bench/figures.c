// SPDX-License-Identifier: MPL-2.0
/* figures.c - how a figure is had: a process for each measurement, and a median. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

bool
apart(void (*f)(void *arg, void *out), void *arg, void *out, size_t len)
{
	int fd[2], status = 0;
	pid_t child;
	bool had;

	if (pipe(fd) != 0 || (child = fork()) < 0) {
		perror("error");
		exit(1);
	}
	if (child == 0) {
		f(arg, out);
		_exit(write(fd[1], out, len) != (ssize_t)len);
	}
	close(fd[1]);
	had = read(fd[0], out, len) == (ssize_t)len;
	close(fd[0]);
	waitpid(child, &status, 0);
	return had;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

double
median(double *v, int n)
{
	qsort(v, (size_t)n, sizeof *v, compare);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}
