from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from contextlib import ExitStack, suppress
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from structlog.testing import capture_logs

from verbatim.domain.errors import UnavailableError
from verbatim.engine.downloads import DownloadProgress
from verbatim.server.drain import Drain
from verbatim.server.listeners import ACCEPTED_AT_ONCE, UNSENT_BYTES, listen
from verbatim.server.serve import DrainingServer, in_daemon_thread, log_progress, uvicorn_config

CROWD = 50


def test_a_free_port_is_taken_on_every_address_of_the_host() -> None:
    listeners = listen("localhost", 0)
    try:
        ports = {listener.getsockname()[1] for listener in listeners}
        assert len(ports) == 1
        with socket.create_connection(("localhost", ports.pop()), timeout=5):
            pass
    finally:
        for listener in listeners:
            listener.close()


def test_small_messages_do_not_wait_for_each_other() -> None:
    (listener,) = listen("127.0.0.1", 0)
    with listener, socket.create_connection(listener.getsockname(), timeout=5):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_the_system_holds_little_for_a_client_that_does_not_read() -> None:
    (listener,) = listen("127.0.0.1", 0)
    with listener, socket.create_connection(listener.getsockname(), timeout=5):
        connection, _ = listener.accept()
        with connection:
            connection.setblocking(False)
            held_bytes = 0
            with suppress(BlockingIOError):
                while held_bytes < 16 * UNSENT_BYTES:
                    held_bytes += connection.send(bytes(UNSENT_BYTES))
    assert held_bytes < 16 * UNSENT_BYTES


async def test_a_crowd_is_let_in_one_by_one() -> None:
    """What is being served already has its turn between any two of them."""
    (listener,) = listen("127.0.0.1", 0)
    server = DrainingServer(uvicorn_config(FastAPI()), Drain(), 10, time.monotonic, lambda: None)
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup(sockets=[listener])
    accepted = server.server_state.connections
    with ExitStack() as crowd:
        for _ in range(CROWD):
            crowd.enter_context(socket.create_connection(listener.getsockname(), timeout=5))
        for _ in range(100 * CROWD):
            before = len(accepted)
            await asyncio.sleep(0)
            assert len(accepted) <= before + ACCEPTED_AT_ONCE
        assert len(accepted) == CROWD
    await server.shutdown(sockets=[listener])


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_of_another_machine(host: str) -> None:
    with pytest.raises(UnavailableError, match=r"--host"):
        listen(host, 0)


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(UnavailableError):
        listen("127.0.0.1", taken.getsockname()[1])


class Ticking:
    """A draining server by hand: its clock, its requests, its forced end."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.drain = Drain()
        self.forced = 0

        async def app(scope: Any, receive: Any, send: Any) -> None:
            return None

        def on_force() -> None:
            self.forced += 1
            raise SystemExit

        config = uvicorn.Config(app, log_config=None)
        self.server = DrainingServer(config, self.drain, 10, lambda: self.now_s, on_force)

    async def tick(self) -> bool:
        return await self.server.on_tick(1)

    def signal(self) -> None:
        self.server.handle_exit(signal.SIGTERM, None)


async def test_it_ends_when_the_last_request_has() -> None:
    ticking = Ticking()
    assert not await ticking.tick()
    with ticking.drain.request():
        ticking.signal()
        assert not await ticking.tick()
        assert ticking.drain.draining
    assert await ticking.tick()
    assert not ticking.drain.aborted


async def test_requests_are_cancelled_when_the_time_is_over() -> None:
    ticking = Ticking()

    async def request() -> None:
        with ticking.drain.request():
            await asyncio.Event().wait()

    task = asyncio.create_task(request())
    await asyncio.sleep(0)
    ticking.signal()
    assert not await ticking.tick()
    ticking.now_s = 9.9
    assert not await ticking.tick()
    ticking.now_s = 10.0
    assert await ticking.tick()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ticking.drain.aborted
    assert await ticking.tick()


async def test_a_second_signal_forces() -> None:
    ticking = Ticking()
    ticking.signal()
    with pytest.raises(SystemExit):
        ticking.signal()
    assert ticking.forced == 1


async def test_a_thread_s_result_and_error_come_back() -> None:
    assert await in_daemon_thread(lambda: threading.current_thread().daemon)

    def fail() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await in_daemon_thread(fail)


async def test_waiting_for_a_thread_can_be_given_up() -> None:
    release = threading.Event()
    task = asyncio.create_task(in_daemon_thread(release.wait))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    await asyncio.sleep(0.05)


def test_a_download_is_logged_in_tens_of_percent() -> None:
    tell = log_progress()
    with capture_logs() as lines:
        for done in range(0, 1001, 5):
            tell(DownloadProgress("small", "download", done, 1000))
        tell(DownloadProgress("small", "download", 0, 0))
    assert [line["percent"] for line in lines] == [*range(0, 101, 10), 0]
