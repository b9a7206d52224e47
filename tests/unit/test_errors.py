"""Problems come together, as sentences, and survive the way from a worker process."""

import pickle

import pytest

from cellsignal.errors import BadInput, raise_all


def test_one_problem_is_its_own_sentence() -> None:
    assert str(BadInput("a.csv line 3: sirna is empty; expected a class")) == (
        "a.csv line 3: sirna is empty; expected a class"
    )


def test_a_subject_heads_even_a_single_problem() -> None:
    assert str(BadInput(["plate 1: no images"], "packing")) == "packing: 1 problem\n  - plate 1: no images"


def test_all_problems_are_listed_in_their_order() -> None:
    error = BadInput(["second is first", "first is second"], "site table")
    assert str(error) == "site table: 2 problems\n  - second is first\n  - first is second"
    assert str(BadInput(["one", "two"])) == "2 problems\n  - one\n  - two"
    assert error.problems == ["second is first", "first is second"]


def test_no_problems_raise_nothing() -> None:
    raised = []
    try:
        raise_all([], "site table")
    except BadInput as error:
        raised.append(error)
    assert raised == []


def test_raise_all_raises_once_with_everything() -> None:
    with pytest.raises(BadInput) as caught:
        raise_all(["one", "two"], "folds")
    assert caught.value.problems == ["one", "two"]
    assert caught.value.subject == "folds"


def test_the_caller_s_list_stays_its_own() -> None:
    problems = ["one"]
    error = BadInput(problems)
    problems.append("two")
    assert error.problems == ["one"]


def test_it_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="wrong"):
        raise_all(["wrong"])


@pytest.mark.parametrize("error", [BadInput("one"), BadInput(["one", "two"], "site table"), BadInput(["one"], "x")])
def test_an_error_of_a_worker_process_arrives_whole(error: BadInput) -> None:
    arrived = pickle.loads(pickle.dumps(error))
    assert (arrived.problems, arrived.subject, str(arrived)) == (error.problems, error.subject, str(error))
