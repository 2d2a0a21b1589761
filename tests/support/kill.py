"""Runs of the program that are killed again and again; shared by the tests of short and of long runs."""
import time


def run_killed(test, job, events, *, rate, kills, seconds):
    """Produces the events paced, with kill -9 `kills` times meanwhile, and waits until all of them are done.

    A kill counts only if committed offsets moved since the last one and there was lag; offset, lag and time of each
    are printed. Returns the program, still running.
    """
    producer = job.produce_paced(events, rate)
    program, began, counted, offset_before = job.run(), time.monotonic(), 0, 0
    pause = 0.75 * len(events) / rate / (kills + 1)
    next_kill = began + pause
    while producer.is_alive() or counted < kills:
        test.assertLess(time.monotonic() - began, seconds, f"only {counted} kills counted:\n{program.log_tail()}")
        program.check_alive()
        progress = job.progress() if time.monotonic() >= next_kill and counted < kills else None
        if progress and progress[0] > offset_before and progress[1] > 0:
            program.kill()
            counted, offset_before = counted + 1, progress[0]
            print(f"kill {counted}: committed {progress[0]}, lag {progress[1]}, {time.monotonic() - began:.1f} s",
                  flush=True)
            program, next_kill = job.run(), time.monotonic() + pause
        time.sleep(0.05)
    producer.join()
    if producer.failure:
        raise producer.failure
    job.wait_done(program, seconds)
    return program
