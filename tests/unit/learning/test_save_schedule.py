"""When a checkpoint is due."""

from amp_train.learning.training_loop import SaveSchedule


class Clock:
    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        return self.now_s


def saves(every_iterations, every_s, iteration_s, cost_s, iterations, max_share=0.01):
    """Return after which iterations a training saves whose iterations and saves take so long."""
    clock = Clock()
    schedule, saved = SaveSchedule(every_iterations, every_s, max_share, clock), []
    for iteration in range(1, iterations + 1):
        clock.now_s += iteration_s
        if schedule.is_due(iteration):
            clock.now_s += cost_s
            schedule.saved(cost_s)
            saved.append(iteration)
    return saved


def test_cheap_saves_come_every_so_many_iterations():
    assert saves(5, 0, iteration_s=0.1, cost_s=0.05, iterations=20) == [5, 10, 15, 20]


def test_or_every_so_many_seconds():
    assert saves(0, 120, iteration_s=50.0, cost_s=0.05, iterations=8) == [3, 6]


def test_nothing_is_due_where_both_are_off():
    assert saves(0, 0, iteration_s=50.0, cost_s=0.05, iterations=100) == []


def test_expensive_saves_are_put_off_until_they_are_a_hundredth_of_the_time():
    # Due after every 50 iterations of 0.2 s, but 1 s each: at most one in 100 s, which is 500 iterations.
    saved = saves(50, 0, iteration_s=0.2, cost_s=1.0, iterations=3000)
    gaps = [after - before for before, after in zip(saved, saved[1:])]
    assert saved[0] == 50 and set(gaps) <= {500, 501}  # the clock adds up fifths of a second


def test_nothing_is_put_off_where_saving_may_take_all_the_time():
    assert saves(1, 0, iteration_s=0.1, cost_s=9.0, iterations=4, max_share=1.0) == [1, 2, 3, 4]


def test_the_clock_of_the_interval_starts_again_with_every_save():
    # By count at 4 (40 s), then 100 s after that by time at 14, unless the count comes first: 8, 12, ...
    assert saves(4, 100, iteration_s=10.0, cost_s=0.0, iterations=12) == [4, 8, 12]
