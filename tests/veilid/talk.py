# SPDX-License-Identifier: MPL-2.0
"""What the network is used for, between two nodes, by nothing but their API.

    talk.py record A B             A makes a record, B reads and watches it; prints
                                   the record and the key pair it belongs to
    talk.py calls A B              by private routes, the largest messages, both ways
    talk.py again A B RECORD PAIR  A, started anew, puts a new route into its record;
                                   B learns of it and calls

A and B are sockets. A record is named by its first 48 characters, which follow from
the public key alone: its values are not encrypted.
"""
import asyncio
import sys

from vapi import PAYLOAD_MAX, Api, Refused, answer_calls, call, data, new_route, patiently, text

SCHEMA = {"kind": "DFLT", "o_cnt": 1}


async def put(context, record, value):
    got = await patiently(lambda: context("SetDhtValue", key=record, subkey=0, data=value,
                                          options=None))
    assert got is None, "the network has a newer value: %s" % got


async def get(context, record):
    return await patiently(lambda: context("GetDhtValue", key=record, subkey=0,
                                           force_refresh=True))


async def watch(context, record):
    assert await context("WatchDhtValues", key=record, subkeys=[[0, 0]], expiration=None,
                         count=None)


async def changed(api, record, value):
    """Until the watch tells of that value."""
    while True:
        update = await api.update("ValueChange")
        if update["key"] == record and update["value"]["data"] == value:
            return


async def record(a, b):
    at_a, at_b = await a.context(), await b.context()
    pair = await a.ask("GenerateKeyPair", kind="VLD0")
    made = await at_a("CreateDhtRecord", kind="VLD0", schema=SCHEMA, owner=pair)
    # opened anew without the encryption key that it was made with
    await at_a("CloseDhtRecord", key=made["key"])
    key = made["key"][:48]
    owner = pair[:48]
    assert key == await a.ask("GetDhtRecordKey", schema=SCHEMA, owner=owner, encryption_key=None)
    await at_a("OpenDhtRecord", key=key, writer=pair)
    await put(at_a, key, text(b"one"))
    await at_b("OpenDhtRecord", key=key, writer=None)
    got = await get(at_b, key)
    assert data(got["data"]) == b"one" and got["writer"] == owner
    await watch(at_b, key)
    await put(at_a, key, text(b"two"))
    await changed(b, key, text(b"two"))
    print(key, pair)


async def calls(a, b):
    for to, by in (a, b), (b, a):
        answer_calls(to)
        context = await by.context()
        ours, route = await new_route(to, by)
        await call(context, route, 10, 10)
        await call(context, route, PAYLOAD_MAX, PAYLOAD_MAX)
        await asyncio.gather(*(call(context, route, 10, PAYLOAD_MAX) for _ in range(8)))
        try:
            await call(context, route, PAYLOAD_MAX + 1, 10)
            raise AssertionError("a message that is too long was taken")
        except Refused as e:
            assert e.kind == "Internal", e
        await to.ask("ReleasePrivateRoute", route_id=ours)


async def again(a, b, record, pair):
    at_a, at_b = await a.context(), await b.context()
    await watch(at_b, record)
    await at_a("OpenDhtRecord", key=record, writer=pair)
    made = await patiently(lambda: a.ask("NewPrivateRoute"))
    answer_calls(a)
    await put(at_a, record, made["blob"])
    await changed(b, record, made["blob"])
    assert (await get(at_b, record))["data"] == made["blob"]
    route = await b.ask("ImportRemotePrivateRoute", blob=made["blob"])
    await call(at_b, route, PAYLOAD_MAX, PAYLOAD_MAX)


async def main(what, a, b, *more):
    a, b = await Api.open(a), await Api.open(b)
    await {"record": record, "calls": calls, "again": again}[what](a, b, *more)
    await a.close()
    await b.close()


asyncio.run(main(*sys.argv[1:]))
