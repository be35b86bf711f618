import threading

from holdfast.node.loop import Loop, Timebase

WAIT_S = 5.0


def run_until(loop: Loop, done: threading.Event) -> None:
    loop.start()
    assert done.wait(WAIT_S)
    loop.stop()


def test_loop__urgent_things_and_calls_wait_together__urgent_ones_run_first_each_kind_in_order() -> None:
    loop, done = Loop("test", Timebase()), threading.Event()
    seen: list[str] = []
    loop.post(lambda: seen.append("call 1"))
    loop.post_urgent(lambda: seen.append("urgent 1"))
    loop.post(lambda: seen.append("call 2"))
    loop.post_urgent(lambda: seen.append("urgent 2"))
    loop.post(done.set)
    run_until(loop, done)
    assert seen == ["urgent 1", "urgent 2", "call 1", "call 2"]


def test_loop__timers__fire_in_the_order_of_their_times() -> None:
    loop, done = Loop("test", Timebase()), threading.Event()
    seen: list[bytes] = []

    def on_timer(token: bytes) -> None:
        seen.append(token)
        if token == b"last":
            done.set()

    loop.on_timer = on_timer
    loop.post(lambda: loop.set_timer(30, b"last"))
    loop.post(lambda: loop.set_timer(1, b"first"))
    run_until(loop, done)
    assert seen == [b"first", b"last"]


def test_loop__time_jumps_ahead__a_timer_far_away_is_due_at_once() -> None:
    time_base = Timebase()
    loop, done, is_set = Loop("test", time_base), threading.Event(), threading.Event()
    loop.on_timer = lambda _token: done.set()
    loop.post(lambda: loop.set_timer(3_600_000, b""))
    loop.post(is_set.set)
    loop.start()
    assert is_set.wait(WAIT_S)
    time_base.advance(3_600_000)
    loop.wake()
    assert done.wait(WAIT_S)
    loop.stop()


def test_loop__paused__runs_nothing_until_it_is_resumed() -> None:
    loop, done, started = Loop("test", Timebase()), threading.Event(), threading.Event()
    loop.post(started.set)
    loop.start()
    assert started.wait(WAIT_S)
    loop.pause()
    loop.post(done.set)
    assert not done.wait(0.1)
    loop.resume()
    assert done.wait(WAIT_S)
    loop.stop()


def test_loop__a_call_raises__the_failure_is_kept_and_nothing_more_is_taken() -> None:
    loop, error = Loop("test", Timebase()), RuntimeError("planted")

    def fail() -> None:
        raise error

    loop.post(fail)
    loop.start()
    loop._thread.join(WAIT_S)
    assert loop.failure is error
    assert not loop.post(lambda: None)


def test_loop__stopped__drops_what_waits() -> None:
    loop = Loop("test", Timebase())
    seen: list[str] = []
    loop.pause()
    loop.start()
    loop.post(lambda: seen.append("late"))
    loop.stop()
    assert seen == []
    assert not loop.is_alive


def test_loop__clock_offset__moves_its_own_time_only() -> None:
    time_base = Timebase()
    loop = Loop("test", time_base, offset_ms=600_000)
    assert abs(loop.now_ms() - time_base.now_ms() - 600_000) < 1_000
