"""What streams may take of the event loop: per turn, per exchange and all together; on clocks that tests move."""

import pytest

from hoopguard.pace import DetectionGaveUp, Load, Pace, WorkClock


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def take(pace: Pace, cpu: Clock, seconds: float, chars: int = 4) -> None:
    with pace.turn(chars):
        cpu.now += seconds


def take_again_and_again(pace: Pace, cpu: Clock, seconds: float) -> None:
    for _ in range(1_000):
        take(pace, cpu, seconds)


def test_a_turn_has_one_budget_however_many_turns_are_in_it() -> None:
    cpu = Clock()
    pace = Pace(cpu=cpu)
    with pace.turn(4) as whole, pace.turn(1_000_000) as part:
        assert part is whole
        cpu.now += 1
        with pytest.raises(DetectionGaveUp):
            whole.left_s()


def test_who_takes_more_than_the_share_runs_up_a_debt_and_is_ended() -> None:
    cpu = Clock()
    pace = Pace(Load(Clock()), cpu=cpu)
    with pytest.raises(DetectionGaveUp, match="too long"):
        take_again_and_again(pace, cpu, 0.005)
    assert cpu.now < 1.5


def test_time_redeems_a_debt() -> None:
    cpu, clock = Clock(), Clock()
    pace = Pace(Load(clock), cpu=cpu)
    for _ in range(20):
        take(pace, cpu, 0.4)
        clock.now += 2


def test_who_takes_no_more_than_the_share_is_never_ended_whatever_others_do() -> None:
    cpu = Clock()
    load = Load(Clock())
    dear, cheap = Pace(load, cpu=cpu), Pace(load, cpu=cpu)
    with pytest.raises(DetectionGaveUp):
        take_again_and_again(dear, cpu, 0.1)
    assert load.crowded
    for _ in range(50_000):
        take(cheap, cpu, 0.00008)


def test_many_dear_streams_together_make_room_sooner_than_one() -> None:
    cpu = Clock()
    load = Load(Clock())
    ended = 0
    for pace in [Pace(load, cpu=cpu) for _ in range(20)]:
        try:
            take_again_and_again(pace, cpu, 0.02)
        except DetectionGaveUp:
            ended += 1
    assert ended == 20
    assert cpu.now < 1.5 + 20 * 0.2


def test_the_load_has_a_limit_so_that_it_is_over_soon() -> None:
    clock = Clock()
    load = Load(clock)
    load.add(1_000)
    assert load.crowded
    clock.now += 60
    assert not load.busy


def test_what_a_refused_turn_took_counts_as_well() -> None:
    cpu = Clock()
    load = Load(Clock())

    def fail() -> None:
        with Pace(load, cpu=cpu).turn(4) as budget:
            cpu.now += 5
            budget.left_s()

    with pytest.raises(DetectionGaveUp):
        fail()
    assert load.crowded


def test_a_short_turn_asks_the_processor_nothing() -> None:
    wall = iter([0.0, 1.0, 1.0001, 1.0002])
    clock = WorkClock(lambda: next(wall), cpu=lambda: pytest.fail("it was asked"))
    clock.start()
    assert [clock(), clock()] == pytest.approx([0.0001, 0.0002])


def test_a_long_turn_is_not_charged_for_waiting() -> None:
    wall, cpu = iter([0.0, 0.0, 0.01]), iter([5.0, 5.25, 5.5])
    clock = WorkClock(lambda: next(wall), lambda: next(cpu))
    clock.start()
    assert [clock(), clock(), clock()] == pytest.approx([0.01, 0.26, 0.51])


def test_every_turn_begins_anew() -> None:
    wall, cpu = iter([0.0, 0.0, 0.01, 9.0, 9.0001]), iter([5.0])
    clock = WorkClock(lambda: next(wall), lambda: next(cpu))
    clock.start()
    clock()
    clock.start()
    assert clock() == pytest.approx(0.0001)
