"""What was measured, as tables."""
import math
import statistics

from pages.served import percentile

# What the page promises: ms of a page of the sample, ms for 95 of 100 pages with people reading, ms of a preview, MiB.
SAMPLE_MS, READING_MS, PREVIEW_MS, MEMORY_MIB = 50, 300, 2_000, 500 * 10**6 / 2**20


def number(value):
    return "-" if math.isnan(value) else f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell if isinstance(cell, str) else number(cell) for cell in line) + " |" for line in lines)


def shares(waits):
    return [percentile(waits, share) for share in (0.5, 0.95, 0.99)]


def once(found, name):
    """Of one page: cold, warm, slowest, CPU, size."""
    page = found["alone"][name]
    cold, warm = statistics.median(found["cold"][name]), statistics.median(page["ms"])
    return cold, warm, max(page["ms"]), page["cpu_ms"], page["bytes"] / 1000


ONCE = ["cold, ms", "warm, ms", "slowest, ms", "CPU, ms", "kB"]


def table_of_sample(found):
    rows = [(name, *once(found, name)) for name in found["alone"]]
    over = [name for name, _, warm, *_ in rows if warm > SAMPLE_MS]
    return (f"{table(['page of the sample', *ONCE], rows)}\n\nOver {SAMPLE_MS} ms: {', '.join(over) or 'none'}. "
            f"Most memory: {found['memory']:.0f} MiB.")


def table_of_large(found):
    crowds = found["crowds"]
    head = ["page", *ONCE, *(f"{words}: {share}" for words in crowds for share in ("p50", "p95", "p99"))]
    rows = []
    for name in found["alone"]:
        read = (share for crowd in crowds.values() for share in shares(crowd["ms"].get(name, [])))
        rows.append((name, *once(found, name), *read))
    said = [table(head, rows)]
    for words, crowd in crowds.items():
        waits = [wait for waits in crowd["ms"].values() for wait in waits]
        p50, p95, p99 = map(number, shares(waits))
        cpu, refused = crowd["cpu"] * 1000 / max(1, len(waits)), sum(crowd["refused"].values())
        said.append(f"{words}: {len(waits)} pages in {crowd['seconds']:.0f} s, {refused} refused; p50 {p50}, p95 {p95} (target "
                    f"{READING_MS}), p99 {p99} ms; {cpu:.0f} ms of CPU a page; load of the machine {crowd['load'][0]:.1f}")
    previews = ((what, statistics.median(of["ms"]), max(of["ms"]), of["cpu_ms"]) for what, of in found["previews"].items())
    said.append(table([f"preview (target {PREVIEW_MS} ms)", "warm, ms", "slowest, ms", "CPU, ms"], previews))
    said.append(table(["memory", f"MiB (target {MEMORY_MIB:.0f})"], found["memory"].items()))
    return "\n\n".join(said)


def table_of_peers(found):
    """Each figure with how many times ours it is."""
    def figures(of, work):
        alone = of["alone"][work]
        return statistics.median(alone["ms"]), alone["cpu_ms"], percentile(of["crowd"]["ms"][work], 0.95)

    ours = found["finops-credits"]
    rows = []
    for work in ours["alone"]:
        for name, of in found.items():
            beside = (f"{number(theirs)} ({theirs / own:.2f})" for theirs, own in zip(figures(of, work), figures(ours, work)))
            rows.append((work, name, *beside))
    about = ((name, of["starts"], sum(map(len, of["crowd"]["ms"].values())), of["memory"]) for name, of in found.items())
    return (f"{table(['the same work', '', 'alone, ms', 'CPU, ms', 'at once: p95, ms'], rows)}\n\n"
            f"{table(['', 'starts in, s', 'pages in the time', 'most memory, MiB'], about)}")
