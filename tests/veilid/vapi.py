# SPDX-License-Identifier: MPL-2.0
"""A plain client of a Veilid node's JSON API: a socket and json, nothing else.

Requests run side by side, each is answered when it ends. Updates wait by their
kind until somebody asks for one; AppCalls go to on_call, if that is set. What is
told each second (Network) and logs are dropped.

    vapi.py id SOCKET          the node's id
    vapi.py ready SOCKET...    until each of the nodes can be used; prints how long
                               each one has run then
"""
import asyncio
import base64
import collections
import json
import os
import sys

PATIENCE = int(os.environ.get("WAIT_SECONDS", "60"))
LINE_MAX = 4 << 20
PAYLOAD_MAX = 32768     # of a request, an answer, a value


def text(data):
    """Bytes as the API has them: base64url without its padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def data(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Refused(Exception):
    """The node's answer was an error; kind is what to tell it by."""

    def __init__(self, error):
        super().__init__(json.dumps(error))
        self.kind = error["kind"]


async def patiently(make, times=5):
    """What make() asks for; again where the node says that this may help: calls get
    lost, on a busy machine they are late, and a route may not be found at once."""
    for left in reversed(range(times)):
        try:
            return await make()
        except Refused as e:
            if e.kind not in ("TryAgain", "Timeout") or not left:
                raise
            patiently.count += 1


patiently.count = 0


class Api:
    @classmethod
    async def open(cls, path):
        self = cls()
        self.reader, self.writer = await asyncio.open_unix_connection(path, limit=LINE_MAX)
        self.count = 0
        self.waiting = {}
        self.updates = collections.defaultdict(asyncio.Queue)
        self.on_call = None
        self.task = asyncio.create_task(self._read())
        return self

    async def close(self):
        self.writer.close()
        await self.task

    async def _read(self):
        try:
            while line := await self.reader.readline():
                message = json.loads(line)
                kind = message.get("kind")
                if message["type"] == "Response":
                    self.waiting.pop(message["id"]).set_result(message)
                elif kind == "AppCall" and self.on_call:
                    self.on_call(message)
                elif kind not in ("Network", "Log"):
                    self.updates[kind].put_nowait(message)
        except ConnectionError:
            pass
        for future in self.waiting.values():
            if not future.done():
                future.set_exception(EOFError("the node closed the connection"))

    def send(self, **request):
        """A request; what is returned is to be awaited, and gives the whole answer."""
        self.count += 1
        future = self.waiting[self.count] = asyncio.get_running_loop().create_future()
        line = json.dumps({"id": self.count, **request}, separators=(",", ":"))
        self.writer.write(line.encode() + b"\n")
        return future

    async def ask(self, op, **fields):
        answer = await asyncio.wait_for(self.send(op=op, **fields), PATIENCE)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer.get("value")

    async def update(self, kind):
        """The next update of that kind, perhaps one that came before."""
        return await asyncio.wait_for(self.updates[kind].get(), PATIENCE)

    async def context(self):
        """A function for what is asked of a routing context."""
        number = await self.ask("NewRoutingContext")
        return lambda op, **fields: self.ask("RoutingContext", rc_id=number, rc_op=op, **fields)

    async def ready(self):
        """Until it is attached and the public network usable: seconds since its start."""
        # which is what no condition stands for
        state = await self.ask("WaitForAttachmentCondition", condition=None,
                               timeout_ms=PATIENCE * 1000)
        return int(state["uptime"]) / 1e6

    async def id(self):
        state = await self.ask("GetState")
        return state["network"]["node_ids"][0]


async def new_route(to, by):
    """A private route to a node, as another one knows it: what it is called at each."""
    made = await patiently(lambda: to.ask("NewPrivateRoute"))
    return made["route_id"], await by.ask("ImportRemotePrivateRoute", blob=made["blob"])


def answer_calls(api):
    """Answers each AppCall by as many bytes as its first four say, which come first."""
    def on_call(message):
        question = data(message["message"])
        # calls by others' routes are told too, and are theirs to be answered
        if len(question) < 4 or question[0] != 0:
            return
        size = int.from_bytes(question[:4], "big")
        # nobody waits for what the node says to that
        api.send(op="AppCallReply", call_id=message["call_id"],
                 message=text(question[:4] + b"r" * (size - 4)))
    api.on_call = on_call


async def call(context, route, out, back):
    """An AppCall of out bytes, to be answered by back bytes of answer_calls."""
    message = text(back.to_bytes(4, "big") + b"q" * (out - 4))
    got = data(await patiently(
        lambda: context("AppCall", target={"RouteId": route}, message=message)))
    assert got == back.to_bytes(4, "big") + b"r" * (back - 4), (len(got), back)


async def main(what, *paths):
    apis = [await Api.open(path) for path in paths]
    if what == "id":
        print(*[await api.id() for api in apis])
    else:
        print("ready after", *["%.1f" % s for s in
                               await asyncio.gather(*(api.ready() for api in apis))])
    for api in apis:
        await api.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
