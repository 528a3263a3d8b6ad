"""What the operator hears of its own watches: every part of a stream counts, not only its beginning."""

from __future__ import annotations

import asyncio

from aiohttp import ClientSession, web

from kaos_operator.streams import Streams


async def heard_over_a_stream() -> list[float]:
    """The silence after the answer's head, 80 s later, and after a bookmark that comes then."""
    now, bookmark = 0.0, asyncio.Event()
    streams = Streams(lambda _: None, lambda: now)

    async def watch(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await bookmark.wait()
        await response.write(b'{"type": "BOOKMARK"}\n')
        return response

    app = web.Application()
    app.router.add_get("/api/v1/pods", watch)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with ClientSession(trace_configs=[streams.trace()]) as session:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1/pods?watch=true"
            async with session.get(url) as response:
                silences = [streams.silence()]
                now = 80.0
                silences.append(streams.silence())
                bookmark.set()
                # As kopf reads it.
                async for part in response.content.iter_chunked(1024):
                    assert part == b'{"type": "BOOKMARK"}\n'
                silences.append(streams.silence())
    finally:
        await runner.cleanup()
    return silences


def test_a_bookmark_ends_the_silence_of_a_watch():
    assert asyncio.run(heard_over_a_stream()) == [0.0, 80.0, 0.0]
