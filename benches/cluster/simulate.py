"""How long a reproduction takes on 1, 4, 16, ... machines that share a results folder: a simulation of its job graph.

    deepsleep-cli reproduce --seeds 10 --dry-run --json > plan.json
    python simulate.py plan.json --measured results/run.json

Every machine is of the kind that was measured and does one job at a time, the first in the plan that is ready and that no
other machine is working on, as `reproduce` does on a shared folder. A job takes the seconds that `run.json` measured for
the job of this name, else the mean of those of the same name with other seeds, else its estimate, corrected by the median
ratio of measured to estimated seconds of its kind. Needs Python's standard library only.
"""

import argparse
import heapq
import json
import re
import statistics
from collections import defaultdict


def main():
    parser = argparse.ArgumentParser(description="Simulates a reproduction on many machines.")
    parser.add_argument("plan", help="output of `reproduce --dry-run --json`")
    parser.add_argument("--measured", metavar="RUN_JSON", help="run.json of a finished run on one machine")
    parser.add_argument("--machines", type=lambda text: [int(n) for n in text.split(",")], default=[1, 4, 16, 64, 256])
    parser.add_argument("--overhead", type=float, default=0.1, metavar="SECONDS",
                        help="of a job, for claiming it and reading what it needs (default 0.1)")
    options = parser.parse_args()

    with open(options.plan) as file:
        jobs = json.load(file)
    run = []
    if options.measured:
        with open(options.measured) as file:
            run = json.load(file)["jobs"]
    seconds, of_measured = durations(jobs, run)
    seconds = [s + options.overhead for s in seconds]
    places = {job["name"]: i for i, job in enumerate(jobs)}
    inputs = [[places[name] for name in job["inputs"]] for job in jobs]
    chain = longest_chain(seconds, inputs)
    total, longest = sum(seconds), sum(seconds[i] for i in chain)

    print(f"{len(jobs)} jobs, {of_measured} of them timed by measured ones; {minutes(total)} of work; longest chain "
          f"{minutes(longest)}: {', then '.join(jobs[i]['name'] for i in chain)}\n")
    print("| machines | time | speedup | efficiency | at least (work / machines, longest chain) |")
    print("|---:|---:|---:|---:|---:|")
    for machines in options.machines:
        time = makespan(seconds, inputs, machines)
        bound = max(total / machines, longest)
        print(f"| {machines} | {minutes(time)} | {total / time:.1f} | {total / time / machines:.0%} | {minutes(bound)} |")
    print()
    kinds = defaultdict(list)
    for job, s in zip(jobs, seconds):
        kinds[job["kind"]].append(s)
    for kind, times in sorted(kinds.items(), key=lambda item: -sum(item[1])):
        print(f"- {kind}: {len(times)} jobs, {minutes(sum(times))}, {sum(times) / total:.0%} of the work")


def durations(jobs, run):
    """Seconds of every job, and how many of them come from measured ones."""
    exact, any_seed = defaultdict(list), defaultdict(list)
    for job in run:
        exact[job["name"]].append(job["seconds"])
        any_seed[without_seed(job["name"])].append(job["seconds"])
    # Of a job that was done twice, the first time is the computation; later ones may find parts of it in the store.
    exact = {name: max(times) for name, times in exact.items()}
    ratios = defaultdict(list)
    for job in jobs:
        if job["name"] in exact and job["estimated_seconds"] > 0:
            ratios[job["kind"]].append(exact[job["name"]] / job["estimated_seconds"])
    everything = [ratio for of_kind in ratios.values() for ratio in of_kind]
    seconds, of_measured = [], 0
    for job in jobs:
        name = job["name"]
        if name in exact or without_seed(name) in any_seed:
            seconds.append(exact[name] if name in exact else statistics.mean(any_seed[without_seed(name)]))
            of_measured += 1
        else:
            known = ratios.get(job["kind"]) or everything or [1]
            seconds.append(job["estimated_seconds"] * statistics.median(known))
    return seconds, of_measured


def without_seed(name):
    return re.sub(r", seed \d+", "", name)


def longest_chain(seconds, inputs):
    """The jobs of the chain that takes longest, first to last. Inputs come before the jobs that need them."""
    ends, before = [], []
    for own, needs in zip(seconds, inputs):
        last = max(needs, key=lambda i: ends[i], default=None)
        ends.append(own + (0 if last is None else ends[last]))
        before.append(last)
    place = max(range(len(ends)), key=lambda i: ends[i])
    chain = []
    while place is not None:
        chain.append(place)
        place = before[place]
    return chain[::-1]


def makespan(seconds, inputs, machines):
    """When the last job ends, if each idle machine takes the first ready job of the plan."""
    waiting = [len(set(needs)) for needs in inputs]
    readers = [[] for _ in inputs]
    for i, needs in enumerate(inputs):
        for need in set(needs):
            readers[need].append(i)
    ready = [i for i, n in enumerate(waiting) if n == 0]
    heapq.heapify(ready)
    running, now = [], 0.0
    while ready or running:
        while ready and len(running) < machines:
            i = heapq.heappop(ready)
            heapq.heappush(running, (now + seconds[i], i))
        now, done = heapq.heappop(running)
        for i in readers[done]:
            waiting[i] -= 1
            if waiting[i] == 0:
                heapq.heappush(ready, i)
    return now


def minutes(seconds):
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


if __name__ == "__main__":
    main()
