"""The SortingExtractor tutorial of 2021, with the sorting on a server.

Start a server that serves an empty folder, and run this in the same folder:

    spikewire-server tutorial=. --store /tmp/tutorial-store
    python tutorial_remote.py localhost:7745
"""

import os
import sys
import warnings
from pprint import pprint

import numpy as np

import spikewire
import spikewire.extractors as se
from spikewire import UnitsSelectionSorting, load_extractor

# The tutorial is older than these names' successors.
warnings.filterwarnings("ignore", "NumpySorting.from_times_labels", DeprecationWarning)
warnings.filterwarnings("ignore", "load_extractor", DeprecationWarning)

client = spikewire.connect(sys.argv[1] if len(sys.argv) > 1 else "localhost")

# A sorting of random events: four units, two segments.
sampling_frequency = 30000.0
duration = 20.0
num_timepoints = int(sampling_frequency * duration)
num_units = 4
num_spikes = 1000

times0 = np.int_(np.sort(np.random.uniform(0, num_timepoints, num_spikes)))
labels0 = np.random.randint(1, num_units + 1, size=num_spikes)

times1 = np.int_(np.sort(np.random.uniform(0, num_timepoints, num_spikes)))
labels1 = np.random.randint(1, num_units + 1, size=num_spikes)

# To the server: an upload, and everything below is read from there.
sorting = client.upload(
    se.NumpySorting.from_times_labels([times0, times1], [labels0, labels1], sampling_frequency),
    "uploads/my_sorting",
)
print(sorting)

# What it holds.
print("Unit ids = {}".format(sorting.get_unit_ids()))
st = sorting.get_unit_spike_train(unit_id=1, segment_index=0)
print("Num. events for unit 1seg0 = {}".format(len(st)))
st1 = sorting.get_unit_spike_train(unit_id=1, start_frame=0, end_frame=30000, segment_index=1)
print("Num. events for first second of unit 1 seg1 = {}".format(len(st1)))

# To a file below the server's root, and back through the server; "r+" writes
# properties there, for everybody.
file_path = "my_sorting.npz"
se.NpzSortingExtractor.write_sorting(sorting, file_path)

sorting2 = client.open("tutorial/my_sorting.npz", mode="r+")
print(sorting2)

# Properties: a value a unit.
firing_rates = []
for unit_id in sorting2.get_unit_ids():
    st = sorting2.get_unit_spike_train(unit_id=unit_id, segment_index=0)
    firing_rates.append(st.size / duration)
sorting2.set_property("firing_rate", firing_rates)

print(client.open("tutorial/my_sorting.npz").get_property("firing_rate"))

# Some of the units, as a view that the server keeps and evaluates; properties
# come along.
sorting3 = client.register(sorting2.select_units(unit_ids=[1, 4]), "views/units_1_and_4")
print(sorting3)

print(sorting3.get_property("firing_rate"))

# which is equivalent to
sorting3 = client.register(UnitsSelectionSorting(sorting2, unit_ids=[1, 4]), "views/units_1_and_4")

# A dump says where the sorting is and at which revision, without its spikes: a dict ...
d = sorting2.to_dict()
pprint(d)

sorting2_loaded = load_extractor(d)
print(sorting2_loaded)

# ... or a JSON file.
sorting2.dump("my_remote.json")

sorting2_loaded = load_extractor("my_remote.json")
print(sorting2_loaded)

# A save has the spikes too, on this machine.
sorting2.save(folder="./my_remote")

pprint(os.listdir("./my_remote"))

sorting2_cached = load_extractor("./my_remote")
print(sorting2_cached)

client.close()
