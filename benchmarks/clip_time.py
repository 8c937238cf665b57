"""Time one clip from case to stored video, each repetition apart, and the peak memory of the process.

    python -m benchmarks.clip_time                         # tora, 128 frames at 512x512, median of 5
    python -m benchmarks.clip_time --model static --frames 16

Loading weights is timed once and printed apart: a run pays it once for all clips.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.machine import describe, parser_of, peak_memory_gib, use_threads
from toraeval import registry
from toraeval.types import Case
from toraeval.video import write_lossless


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--model", default="tora", help="registry name (default: tora)")
    parser.add_argument("--suite", default="shapes", help="registry name (default: shapes)")
    parser.add_argument("--frames", type=int, default=128)
    parser.add_argument("--size", type=int, default=512, help="height and width in pixels (default: 512)")
    parser.add_argument("--repeat", type=int, default=5, help="clips to time, each another case (default: 5)")
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: torch's own choice)")
    args = parser.parse_args()
    use_threads(args.threads)

    print(describe())
    suite = registry.build("suite", {"name": args.suite})
    cases = suite.cases(args.frames, args.size, args.size, args.repeat)
    begin = time.perf_counter()
    model = registry.build("model", {"name": args.model})
    if hasattr(model, "prepare"):
        model.prepare()
    load_s = time.perf_counter() - begin

    with tempfile.TemporaryDirectory() as folder:
        seconds = [time_clip(model, case, Path(folder) / f"{case.id}.mkv") for case in cases]
    generate_s, store_s = zip(*seconds, strict=True)
    total_s = [sum(pair) for pair in seconds]
    size = f"{args.frames} frames at {args.size}x{args.size}"
    print(f"{args.model}: {len(cases)} clips of {size}; loading {load_s:.2f} s")
    for name, values in (("generate", generate_s), ("store", store_s), ("total", total_s)):
        median = statistics.median(values)
        print(f"{name:9} median {median:6.2f} s   min {min(values):6.2f}   max {max(values):6.2f}")
    print(f"peak memory of the process {peak_memory_gib():.2f} GiB")


def time_clip(model: object, case: Case, path: Path) -> tuple[float, float]:
    """Return the seconds of generating the case's clip and of writing it losslessly."""
    begin = time.perf_counter()
    video = model.generate(case, 0)  # type: ignore[attr-defined]
    generated = time.perf_counter()
    write_lossless(video, path)
    return generated - begin, time.perf_counter() - generated


if __name__ == "__main__":
    main()
