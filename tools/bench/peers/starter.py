"""Starts processes and measures each from outside; small itself, started without site-packages.

A child's greatest memory, as the system tells it, is at least that of the process that started it,
so the benchmark's own process must not be that. Orders on stdin: {"argv", "env", "cpu"}; answers:
{"first_s", "wall_s", "cpu_s", "peak_bytes", "status", "words"}.
"""

import json
import os
import sys
import time


def run(argv, env, cpu):
    """Seconds to the first byte of stdout and to the end, CPU seconds, peak memory, exit status.

    The child may use one CPU alone. This process waits on another, else it might see the first byte
    only when the child lets it run.
    """
    if cpu is not None:
        every = os.sched_getaffinity(0) | {cpu}
        os.sched_setaffinity(0, [cpu])
    ours, theirs = os.pipe()
    log = os.memfd_create("stderr")
    moves = [(os.POSIX_SPAWN_DUP2, theirs, 1), (os.POSIX_SPAWN_DUP2, log, 2)]
    moves.append((os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0))
    began = time.perf_counter()
    try:
        pid = os.posix_spawnp(argv[0], argv, env, file_actions=moves)
    except OSError as error:
        return {"status": 127, "first_s": None, "words": f"{argv[0]}: {error}"}
    finally:
        os.close(theirs)
        if cpu is not None:
            os.sched_setaffinity(0, every - {cpu} or every)
    first = None
    while os.read(ours, 65536):
        first = time.perf_counter() - began if first is None else first
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - began
    os.close(ours)
    os.lseek(log, 0, os.SEEK_SET)
    words = os.read(log, 65536).decode("utf-8", "replace").strip().split("\n")[-1]
    os.close(log)
    return {
        "first_s": first,
        "wall_s": wall,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
        "status": os.waitstatus_to_exitcode(status),
        "words": words[:500],
    }


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)
