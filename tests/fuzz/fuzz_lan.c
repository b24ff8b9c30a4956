// SPDX-License-Identifier: MPL-2.0
/* The decoder of LAN discovery: what it takes, it gives back unchanged. */
#include <stdlib.h>
#include <string.h>

#include "net/lan_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t key[KEY_LEN] = "the key of the fuzz target";
	static struct lan_secret secret;
	static bool ready;
	uint8_t again[LAN_PACKET_LEN];
	struct lan_packet p;

	if (!ready && lan_secret(key, &secret, NULL) < 0)
		abort();
	ready = true;
	if (!lan_packet_decode(data, size, &p))
		return 0;
	if (lan_packet_encode(p.kind, &secret, p.minute, p.nonce, p.port,
	    again, NULL) < 0)
		abort();
	if (lan_packet_proven(&p, &secret)
	    != (memcmp(again, data, sizeof again) == 0))
		abort();
	return 0;
}
