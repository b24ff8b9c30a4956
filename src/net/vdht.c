// SPDX-License-Identifier: MPL-2.0
#include "net/vdht.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static json_t *
schema(void)
{
	return json_pack("{s:s s:i}", "kind", "DFLT", "o_cnt", 1);
}

json_t *
vdht_place(const char *owner)
{
	return json_pack("{s:s s:o s:s s:n}", "op", "GetDhtRecordKey", "schema",
	    schema(), "owner", owner, "encryption_key");
}

int
vdht_place_read(const json_t *answer, char out[static VDHT_PLACE_MAX],
    struct err *err)
{
	const char *place = json_string_value(answer);

	if (place == NULL || *place == '\0' || strlen(place) >= VDHT_PLACE_MAX)
		return err_set(err, E_INTEGRITY, NULL,
		    "the Veilid node does not tell a record's place");
	strcpy(out, place);
	return 0;
}

json_t *
vdht_make(json_t *pair)
{
	return json_pack("{s:s s:s s:o s:O}", "rc_op", "CreateDhtRecord",
	    "kind", "VLD0", "schema", schema(), "owner", pair);
}

json_t *
vdht_close(const char *place)
{
	return json_pack("{s:s s:s}", "rc_op", "CloseDhtRecord", "key", place);
}

json_t *
vdht_open(const char *place, json_t *pair)
{
	return json_pack("{s:s s:s s:O?}", "rc_op", "OpenDhtRecord", "key",
	    place, "writer", pair);
}

json_t *
vdht_watch(const char *place, uint64_t until)
{
	char text[24];

	snprintf(text, sizeof text, "%" PRIu64, until);
	return json_pack("{s:s s:s s:[[i,i]] s:s s:n}", "rc_op",
	    "WatchDhtValues", "key", place, "subkeys", 0, 0, "expiration",
	    text, "count");
}

json_t *
vdht_get(const char *place, bool fresh)
{
	return json_pack("{s:s s:s s:i s:b}", "rc_op", "GetDhtValue", "key",
	    place, "subkey", 0, "force_refresh", fresh);
}

json_t *
vdht_set(const char *place, json_t *data, json_t *pair)
{
	return json_pack("{s:s s:s s:i s:o s:{s:O s:b}}", "rc_op",
	    "SetDhtValue", "key", place, "subkey", 0, "data", data, "options",
	    "writer", pair, "allow_offline", 1);
}

void
vdht_wipe(json_t *text)
{
	/* it is const so that lengths stay right, which they do */
	if (text != NULL)
		explicit_bzero((void *)(uintptr_t)json_string_value(text),
		    json_string_length(text));
	json_decref(text);
}
