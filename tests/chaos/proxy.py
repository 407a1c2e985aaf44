"""A TCP proxy in front of a server, which cuts, refuses, hangs and delays when told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from tests.servers.process import free_port, loopback


class Proxy:
    """Passes connections on to one address. Runs in a thread of its own until `close`."""

    def __init__(self, host: str, port: int) -> None:
        self.host = loopback()
        self.port = free_port(self.host)
        self._target = (host, port)
        self._delay = 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.accept()

    # -- what can be told

    def cut(self) -> None:
        """End every connection; new ones are passed on."""
        self._do(self._cut())

    def refuse(self) -> None:
        """End every connection and listen no more, until `accept`."""
        self._do(self._refuse())

    def accept(self) -> None:
        """Listen again."""
        self._do(self._accept())

    def hang(self) -> None:
        """Accept, and pass nothing on in either direction, until `flow`."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def flow(self) -> None:
        """Pass on again what had to wait."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def delay(self, seconds: float) -> None:
        """Pass each piece on so much later."""
        self._delay = seconds

    def close(self) -> None:
        """End everything."""
        self.refuse()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    # -- within the loop

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await self._cut()

    async def _accept(self) -> None:
        self._server = await asyncio.start_server(self._connected, self.host, self.port)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._flowing.wait()
            with suppress(OSError):
                there, back = await asyncio.open_connection(*self._target)
                self._writers.add(back)
                await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
                self._writers.discard(back)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(65536):
                if self._delay:
                    await asyncio.sleep(self._delay)
                await self._flowing.wait()
                writer.write(piece)
                await writer.drain()
        writer.transport.abort()
