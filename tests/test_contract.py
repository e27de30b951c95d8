import pytest

from upcycle.contract import Contract, Kind, infer_contract, is_number, listed_options, with_options, without_options

CHOICE = "Which one?\nchoice: red\nchoice: blue"


@pytest.mark.parametrize(
    ("pairs", "kind"),
    [
        ([("a good film", "positive"), ("a bad film", "negative"), ("a great film", "positive")], Kind.LABEL),
        ([(CHOICE, "red"), (CHOICE, "blue")], Kind.CHOICE),
        ([("2 and 2?", "4"), ("price?", "1,250.50")], Kind.NUMBER),
        ([("add numbers", "def add(a, b):\n    return a + b"), ("sub", "def sub(a, b):\n    return a - b")], Kind.CODE),
        ([("Paris is in France, in Europe.", "France"), ("The Nile is in Africa, they say.", "Africa")], Kind.SPAN),
        ([("def f(): ...", "Returns nothing at all."), ("x = 1", "Sets a variable.")], Kind.TEXT),
        ([("one", "uno"), ("two", "dos")], Kind.TEXT),
        ([], Kind.TEXT),
    ],
)
def test_the_kind_of_output_is_read_off_the_demonstrations(pairs, kind):
    assert infer_contract(pairs).kind == kind


def test_a_label_set_is_closed_only_where_outputs_repeat():
    assert infer_contract([("a", "x"), ("b", "y")]).labels is None
    assert infer_contract([("a", "x"), ("b", "y"), ("c", "x")]).labels == ("x", "y")


def test_an_inferred_length_warns_but_never_drops():
    contract = infer_contract([("a", "short"), ("b", "brief")])
    assert contract.violation("q", "x" * 5000) is None
    assert (
        contract.model_copy(update={"max_chars": 10}).violation("q", "x" * 11)
        == "the output has 11 characters, more than 10"
    )


@pytest.mark.parametrize(
    ("contract", "input", "output", "reason"),
    [
        (Contract(kind=Kind.LABEL, labels=("yes", "no")), "q", "maybe", "not in the label set"),
        (Contract(kind=Kind.CHOICE), CHOICE, "green", "not one of the options"),
        (Contract(kind=Kind.CHOICE), "q\nchoice: a\nchoice: a", "a", "two options are the same"),
        (Contract(kind=Kind.CHOICE, options=(3, 4)), CHOICE, "red", "2 options, not 3 to 4"),
        (Contract(kind=Kind.NUMBER), "q", "about 5", "not a number"),
        (Contract(kind=Kind.SPAN), "abc", "abd", "not copied"),
        (Contract(), " ", "x", "input is empty"),
        (Contract(), "x", "", "output is empty"),
        (Contract(kind=Kind.CODE), "x", "plain prose", "not code"),
    ],
)
def test_a_violation_says_what_is_wrong(contract, input, output, reason):  # noqa: A002
    assert reason in contract.violation(input, output)


def test_options_round_trip_through_the_input():
    text = with_options("Which\nof these?", ["one  two", "three"])
    assert text == "Which\nof these?\nchoice: one two\nchoice: three"
    assert listed_options(text) == ["one two", "three"]
    assert without_options(text) == "Which\nof these?"


@pytest.mark.parametrize("text", ["4", "-4.5", "1,000", "3e8", "50%", "+7", ".5"])
def test_numbers_are_numbers(text):
    assert is_number(text)


@pytest.mark.parametrize("text", ["", "four", "4 apples", "1,00", "-", ".", "1.2.3"])
def test_other_texts_are_not(text):
    assert not is_number(text)
