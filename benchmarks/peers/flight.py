"""Arrow Flight: samples as int64 and units as int32, or one int64 column unit by unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.flight as fl
from numpy.typing import NDArray

from benchmarks.data import Int64Array, read_columns, sorted_by_unit
from benchmarks.peers.serving import arguments, ready

BATCH = 65_536
"""Rows of a record batch; the fastest size there is."""


class FlightClient:
    """Reads whole tables, in the two ways that are fastest by turns.

    Parameters
    ----------
    address : str
    count : int
        How many rows there are, a gift: preallocating would need another call.
    """

    def __init__(self, address: str, count: int) -> None:
        self._client = fl.connect(f"grpc://{address}")
        self._count = count

    def close(self) -> None:
        self._client.close()

    def vector_at_once(self, codec: str = "") -> tuple[Int64Array, Int64Array]:
        """Read the vector with `read_all`."""
        table = self._get(f"vector+{codec}").read_all()
        samples, units = table.columns
        return samples.to_numpy(), units.to_numpy().astype(np.int64)

    def vector(self, codec: str = "") -> tuple[Int64Array, Int64Array]:
        """Read the vector batch by batch into arrays made beforehand."""
        samples = np.empty(self._count, dtype=np.int64)
        units = np.empty(self._count, dtype=np.int64)
        filled = 0
        for chunk in self._get(f"vector+{codec}"):
            stop = filled + chunk.data.num_rows
            samples[filled:stop] = chunk.data.column(0).to_numpy()
            units[filled:stop] = chunk.data.column(1).to_numpy()
            filled = stop
        return samples, units

    def trains_at_once(self) -> Int64Array:
        """Read the sorted column with `read_all`."""
        return self._get("trains+").read_all().column(0).to_numpy()

    def trains(self) -> Int64Array:
        """Read the sorted column batch by batch into an array made beforehand."""
        samples = np.empty(self._count, dtype=np.int64)
        filled = 0
        for chunk in self._get("trains+"):
            stop = filled + chunk.data.num_rows
            samples[filled:stop] = chunk.data.column(0).to_numpy()
            filled = stop
        return samples

    def _get(self, ticket: str) -> fl.FlightStreamReader:
        return self._client.do_get(fl.Ticket(ticket.encode()))


class FlightServer(fl.FlightServerBase):
    """Streams tables from memory, without Python in the loop."""

    def __init__(self, location: str, folder: Path) -> None:
        super().__init__(location)
        samples, units = read_columns(folder)
        self._tables = {
            "vector": _table(samples=samples, units=units),
            "trains": _table(samples=sorted_by_unit(samples, units)),
        }

    def do_get(self, context: fl.ServerCallContext, ticket: fl.Ticket) -> fl.RecordBatchStream:
        name, _, codec = ticket.ticket.decode().partition("+")
        options = pa.ipc.IpcWriteOptions(compression=codec or None)
        return fl.RecordBatchStream(self._tables[name], options=options)


def _table(**columns: NDArray[np.integer]) -> pa.Table:
    whole = pa.table(columns)
    return pa.Table.from_batches(whole.to_batches(max_chunksize=BATCH))


def main() -> None:
    options = arguments()
    with FlightServer(f"grpc://{options.host}:0", options.folder) as server:
        ready(options.host, server.port)
        server.serve()


if __name__ == "__main__":
    main()
