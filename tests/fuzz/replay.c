// SPDX-License-Identifier: MPL-2.0
/*
 * replay.c - runs a fuzz target on the files of its corpus, in builds that
 * have no libFuzzer.  One TAP line a file; a directory gives its files.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int ntests;

static int
replay(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data;
	size_t len;
	long size;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0) {
		printf("not ok %d - %s\n", ++ntests, path);
		return 1;
	}
	rewind(f);
	data = malloc((size_t)size + 1);
	len = data ? fread(data, 1, (size_t)size, f) : 0;
	fclose(f);
	LLVMFuzzerTestOneInput(data, len);
	free(data);
	printf("ok %d - %s\n", ++ntests, path);
	return 0;
}

int
main(int argc, char **argv)
{
	struct dirent **names;
	char path[4096];
	int i, j, n, rc = 0;

	for (i = 1; i < argc; i++) {
		n = scandir(argv[i], &names, NULL, alphasort);
		if (n < 0) {
			rc |= replay(argv[i]);
			continue;
		}
		for (j = 0; j < n; j++) {
			snprintf(path, sizeof path, "%s/%s", argv[i],
			    names[j]->d_name);
			if (names[j]->d_name[0] != '.')
				rc |= replay(path);
			free(names[j]);
		}
		free(names);
	}
	printf("1..%d\n", ntests);
	return rc || ntests == 0;
}
