"""How messages are shared out over requests, and answers over calls."""

from __future__ import annotations

from itertools import chain

from linkbus.transports.sqs._parts import lanes_of, parts_of, shared_out


def test_ten_in_a_request():
    """In order, and the last one has the rest."""
    sizes = dict.fromkeys(range(25), 1)
    parts = parts_of(range(25), sizes, 1000)
    assert [len(part) for part in parts] == [10, 10, 5]
    assert list(chain(*parts)) == list(range(25))


def test_bytes_of_a_request():
    """A request is full when the next message would be too much; a large one is alone."""
    sizes = {0: 40, 1: 60, 2: 1, 3: 200, 4: 99, 5: 1, 6: 1}
    assert parts_of(sizes, sizes, 100) == [[0, 1], [2], [3], [4, 5], [6]]


def test_messages_without_bytes():
    """What SQS does not count costs nothing but its place."""
    assert parts_of([0, 1], {0: 0, 1: 0}, 10) == [[0, 1]]
    assert parts_of([], {}, 10) == []


def test_a_group_has_one_lane():
    """Lanes go side by side, so what is in order is in one of them."""
    groups = {number: f"g{number % 7}" for number in range(100)}
    lanes = lanes_of(groups, 4)
    assert 1 < len(lanes) <= 4
    assert sorted(chain(*lanes)) == list(range(100))
    for lane in lanes:
        others = {groups[n] for other in lanes if other is not lane for n in other}
        assert not others & {groups[number] for number in lane}
        assert lane == sorted(lane)


def test_few_messages_go_in_one_request():
    """However many groups there are."""
    assert lanes_of({number: str(number) for number in range(10)}, 8) == [list(range(10))]
    assert lanes_of({}, 8) == []


def test_each_part_gets_its_own_refusals():
    """By the places in it; those that lost nothing get none."""
    refusals = {0: "a", 3: "b", 5: "c"}
    assert shared_out(refusals, [1, 2, 3, 4]) == [{0: "a"}, {}, {0: "b", 2: "c"}, {}]
    assert shared_out({1: "a"}, [3]) == [{1: "a"}]
