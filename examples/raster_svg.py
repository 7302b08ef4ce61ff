"""A raster of a few seconds of a sorting, as an SVG picture.

    python raster_svg.py HOST[:PORT]/NAME FIRST_SECOND SECONDS > raster.svg

This made docs/raster.svg: only the window's spikes cross the network.
"""

import sys

import spikewire

WIDTH, ROW, LEFT = 800, 14, 60

target, first, seconds = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
sorting = spikewire.load(f"spikewire://{target}")
rate = sorting.get_sampling_frequency()
start, end = int(first * rate), int((first + seconds) * rate)
height = ROW * (sorting.get_num_units() + 2)

print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH + LEFT} {height}"')
print(' font-family="sans-serif" font-size="10" fill="#555">')
print(f'<rect width="{WIDTH + LEFT}" height="{height}" fill="#fff"/>')
for row, unit_id in enumerate(sorting.unit_ids):
    train = sorting.get_unit_spike_train(unit_id, segment_index=0, start_frame=start, end_frame=end)
    y = ROW * (row + 1)
    columns = (train - start) * (WIDTH - 10) // (end - start) + LEFT
    ticks = "".join(f"M{x} {y}v{ROW - 4}" for x in dict.fromkeys(columns.tolist()))
    color = f"hsl({row * 137 % 360} 55% 40%)"
    print(f'<text x="{LEFT - 8}" y="{y + 9}" text-anchor="end">{unit_id}</text>')
    print(f'<path d="{ticks}" stroke="{color}"/>')
y = height - 4
print(f'<text x="{LEFT}" y="{y}">{first:g} s</text>')
print(f'<text x="{WIDTH + LEFT - 10}" y="{y}" text-anchor="end">{first + seconds:g} s</text>')
print("</svg>")
