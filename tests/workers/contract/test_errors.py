"""A user's mistake as a value: readable, several at once, whole after a journey."""

import pickle

from workers.contract.errors import Fault, UserError, did_you_mean, user_error


def test_a_fault_is_three_lines():
    """What, where, how to mend it."""
    assert str(Fault("no such model", "toy.yaml", "mend it")) == (
        "no such model\n  where: toy.yaml\n  mend:  mend it"
    )


def test_all_faults_are_told_at_once():
    """With a blank line between them."""
    first, second = Fault("a", "b", "c"), Fault("d", "e", "f")
    error = UserError([first, second])
    assert error.faults == (first, second)
    assert str(error) == f"{first}\n\n{second}"


def test_an_error_of_one_fault():
    """The shorthand for the common case."""
    assert user_error("a", where="b", mend="c").faults == (Fault("a", "b", "c"),)


def test_an_error_survives_the_way_between_processes():
    """Faults are still faults on the other side."""
    error = UserError([Fault("a", "b", "c")])
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own bytes
    assert copy.faults == error.faults
    assert str(copy) == str(error)


def test_the_nearest_known_word_is_proposed():
    """And all of them are listed, whether one is near or not."""
    known = ["kld", "squared_error"]
    assert did_you_mean("square_error", known) == (
        "did you mean 'squared_error'? Known: kld, squared_error."
    )
    assert did_you_mean("hinge", known) == "Known: kld, squared_error."
