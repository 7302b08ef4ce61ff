"""Today's SortingExtractor API, with the sorting on a server.

Start a server, and run this in an empty folder:

    spikewire-server --store /tmp/today-store
    python today_remote.py localhost:7745

It writes my_remote/ and my_selection.json.
"""

import sys

import numpy as np

import spikewire

client = spikewire.connect(sys.argv[1] if len(sys.argv) > 1 else "localhost")

# A sorting of random events: four units, two segments.
sampling_frequency = 30000.0
duration = 20.0
random = np.random.default_rng(2026)
samples = [np.sort(random.integers(0, int(duration * sampling_frequency), 1000)) for _ in range(2)]
labels = [random.integers(1, 5, 1000) for _ in range(2)]

sorting = spikewire.NumpySorting.from_samples_and_labels(samples, labels, sampling_frequency)
sorting.name = "my sorting"
print(sorting)

# To the server, and back: everything below is read from there. With "r+"
# properties are written there, for everybody.
client.upload(sorting, "today/my_sorting")
sorting = client.open("today/my_sorting", mode="r+")
print("Unit ids =", sorting.unit_ids)

# What it holds: counts first, they are cheap.
counts = sorting.count_num_spikes_per_unit(outputs="array")
print("Spikes a unit =", counts, "in all", sorting.count_total_num_spikes())

train = sorting.get_unit_spike_train(1, segment_index=1, start_frame=0, end_frame=30000)
print("First second of unit 1, segment 1 =", len(train))
times = sorting.get_unit_spike_train(1, segment_index=1, return_times=True)
print("Last spike of unit 1, segment 1 =", round(times[-1], 3), "s")

# Many units in one request.
trains = sorting.get_unit_spike_trains([2, 4], segment_index=0, end_frame=30000)
sizes = {int(unit): len(train) for unit, train in trains.items()}
print("First second of units 2 and 4, segment 0 =", sizes)

# All spikes in time order, one record a spike.
spikes = sorting.to_spike_vector()
print("Spike vector =", len(spikes), spikes.dtype.names)

# Properties: a value a unit.
sorting.set_property("firing_rate", counts / (2 * duration))
sorting.set_property("quality", ["good", "mua", "good", "noise"])

# Views: nothing is copied; properties come along. This one the server keeps and
# evaluates.
good = client.register(sorting.select_units([1, 3]), "today/good")
renamed = good.rename_units(["a", "b"])
print(renamed.unit_ids, renamed.get_property("firing_rate"))

first = spikewire.select_segment_sorting(sorting, [0])
window = first.frame_slice(30000, 60000)
print("Second second of segment 0 =", window.count_total_num_spikes())

# A dump says where the sorting is and at which revision, without its spikes.
renamed.dump("my_selection.json", relative_to=True)
again = spikewire.load("my_selection.json", base_folder=True)
spikewire.check_sortings_equal(again, renamed)
print(again)

# A save has the spikes too, on this machine.
again.save(folder="my_remote")
spikewire.check_sortings_equal(spikewire.load("my_remote"), renamed)

client.close()
