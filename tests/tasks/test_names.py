"""The sentence under a figure says which task it was."""

from lab.tasks import digits, pairs, separable


def test_default_names_carry_what_was_chosen():
    assert "0.4" in separable(4, 0, separation=0.4).name
    assert "0.2" in pairs(4, 0.2).name
    assert digits((1, 7), 4, 0).name == "digits 1/7"
