"""A call that is cancelled does not stop the thread that begins its upload."""

from __future__ import annotations

import asyncio
import threading

import pytest

from spikewire.v1 import sorting_service_pb2 as pb
from spikewire_server.services.uploads import receive_upload
from spikewire_server.workers import Workers


def test_a_client_that_leaves_while_its_upload_begins_leaves_nothing(library, monkeypatch):
    begin, begun, go_on = library.begin_upload, threading.Event(), threading.Event()

    def begin_slowly(*args):
        begun.set()
        assert go_on.wait(10)
        return begin(*args)

    monkeypatch.setattr(library, "begin_upload", begin_slowly)
    header = pb.UploadHeader(name="cut", sampling_frequency_hz=1.0)
    header.unit_ids.signed_ids.values.append(1)

    async def requests():
        yield pb.UploadSortingRequest(header=header)

    async def upload(workers):
        call = asyncio.create_task(receive_upload(requests(), library, workers, library._settings))
        await asyncio.to_thread(begun.wait, 10)
        call.cancel()
        await asyncio.sleep(0)
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await call

    workers = Workers(2)
    try:
        asyncio.run(upload(workers))
    finally:
        workers.close()
    assert list((library._settings.store / "uploads").iterdir()) == []
