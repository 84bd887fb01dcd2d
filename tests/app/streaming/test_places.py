"""How many streams there may be."""

from pygents_app.streaming.places import Places


def test_of_all_and_of_each() -> None:
    places = Places(most=3, each=2)
    for caller in ("a", "a"):
        assert places.is_free(caller)
        places.enter(caller)
    assert not places.is_free("a")
    assert places.is_free("b")
    places.enter("b")
    assert not places.is_free("c")
    places.leave("a")
    assert [places.is_free(caller) for caller in "abc"] == [True, True, True]


def test_some_have_a_bound_of_their_own() -> None:
    places = Places(most=4, each=1, own={"two": 2, "any": 0}.get)
    for caller in ("two", "one", "any"):
        places.enter(caller)
    assert [places.is_free(caller) for caller in ("two", "one", "any")] == [True, False, True]
    places.enter("two")
    assert [places.is_free(caller) for caller in ("two", "one", "any")] == [False, False, False], "of all there are 4"


def test_nothing_is_kept_of_those_who_have_left() -> None:
    places = Places(each=1)
    for caller in map(str, range(100)):
        places.enter(caller)
        places.leave(caller)
        assert places.is_free(caller)
    assert not places._taken


def test_without_a_bound_there_may_be_any_number() -> None:
    places = Places()
    for _ in range(10_000):
        places.enter("a")
    assert places.is_free("a")
