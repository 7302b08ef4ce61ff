"""Today's SortingExtractor API, on this machine.

Run it in an empty folder: it writes my_sorting/ and my_selection.json.
"""

import numpy as np

import spikewire

# A sorting of random events: four units, two segments.
sampling_frequency = 30000.0
duration = 20.0
random = np.random.default_rng(2026)
samples = [np.sort(random.integers(0, int(duration * sampling_frequency), 1000)) for _ in range(2)]
labels = [random.integers(1, 5, 1000) for _ in range(2)]

sorting = spikewire.NumpySorting.from_samples_and_labels(samples, labels, sampling_frequency)
sorting.name = "my sorting"
print(sorting)

# To a folder, and back.
sorting.save(folder="my_sorting")
sorting = spikewire.load("my_sorting")
print("Unit ids =", sorting.unit_ids)

# What it holds: counts first, they are cheap.
counts = sorting.count_num_spikes_per_unit(outputs="array")
print("Spikes a unit =", counts, "in all", sorting.count_total_num_spikes())

train = sorting.get_unit_spike_train(1, segment_index=1, start_frame=0, end_frame=30000)
print("First second of unit 1, segment 1 =", len(train))
times = sorting.get_unit_spike_train(1, segment_index=1, return_times=True)
print("Last spike of unit 1, segment 1 =", round(times[-1], 3), "s")

# Many units at once.
trains = sorting.get_unit_spike_trains([2, 4], segment_index=0, end_frame=30000)
sizes = {int(unit): len(train) for unit, train in trains.items()}
print("First second of units 2 and 4, segment 0 =", sizes)

# All spikes in time order, one record a spike.
spikes = sorting.to_spike_vector()
print("Spike vector =", len(spikes), spikes.dtype.names)

# Properties: a value a unit.
sorting.set_property("firing_rate", counts / (2 * duration))
sorting.set_property("quality", ["good", "mua", "good", "noise"])

# Views: nothing is copied; properties come along.
good = sorting.select_units([1, 3])
renamed = good.rename_units(["a", "b"])
print(renamed.unit_ids, renamed.get_property("firing_rate"))

first = spikewire.select_segment_sorting(sorting, [0])
window = first.frame_slice(30000, 60000)
print("Second second of segment 0 =", window.count_total_num_spikes())

# A dump says how to make the view again, without its spikes.
renamed.dump("my_selection.json", relative_to=True)
again = spikewire.load("my_selection.json", base_folder=True)
spikewire.check_sortings_equal(again, renamed)
print(again)
