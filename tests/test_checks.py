from itertools import count

import pytest

from upcycle.config import Curation
from upcycle.curation.checks import checks_for
from upcycle.curation.decontamination.demonstrations import demonstration_check
from upcycle.curation.decontamination.tiers import contamination_check
from upcycle.curation.duplicates.conflict import conflict_check, conflicts
from upcycle.curation.duplicates.exact import exact_check
from upcycle.curation.language import language_check, languages_in, languages_of
from upcycle.curation.licence import licence_check
from upcycle.records import Example, Origin
from upcycle.sources.licences import Policy
from upcycle.task import Demonstration, Gold, make_task

LONG = "A train leaves the station at nine in the morning and travels for three hours at sixty miles per hour before it"


IDS = (f"{n:016x}" for n in count(1))


def example(text: str, output: str = "x", choices: tuple[str, ...] | None = None) -> Example:
    return Example(next(IDS), text, output, Origin("test"), choices=choices)


def test_a_copied_demonstration_is_dropped_whatever_its_case_and_spacing():
    check = demonstration_check(["Is this  a Copy?"])
    assert check(example("is this a copy")).other == "demonstration 1"


def test_a_short_input_inside_a_demonstration_is_no_copy():
    assert demonstration_check(["What is two plus two?"])(example("two")).keep


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("A train leaves the station at nine and travels for three hours at 60 miles per hour.", 1.0),
        ("The train is leaving the station at nine, and travelled for three hours at 60 miles per hour!", 0.914),
        ("A train leaves the station at nine and travels for three hours at 70 miles per hour.", None),
        ("A ship leaves the station at nine and travels for three hours at 60 miles per hour.", None),
        ("A train never leaves the station at nine and travels for three hours at 60 miles per hour.", None),
        ("At nine.", None),
    ],
)
def test_a_near_copy_of_a_demonstration_is_dropped_and_another_example_of_its_template_is_not(
    text: str, score: float | None
):
    shown = "A train leaves the station at nine and travels for three hours at 60 miles per hour."
    check = demonstration_check([shown])
    assert check(example(text)).score == score


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        (f"{LONG} stops?", False),
        (f"{LONG.upper()}   STOPS", False),
        (f"Tom says: {LONG} stops in the next town, and then?", False),
        ("A completely different question about apples and pears in a basket on a table near a window today", True),
    ],
)
def test_what_repeats_a_gold_item_is_contaminated(text: str, keep: bool):
    check = contamination_check([(f"{LONG} stops?", None)])
    assert check(example(text)).keep is keep


def test_gold_options_in_another_order_are_still_the_same_item():
    check = contamination_check([("Which?\nchoice: a b\nchoice: c d", ("a b", "c d"))])
    assert not check(example("Which?\nchoice: c d\nchoice: a b", "a b", ("c d", "a b"))).keep
    assert check(example("Which?\nchoice: c d\nchoice: a e", "a e", ("c d", "a e"))).keep


def test_the_tasks_own_wording_is_no_contamination():
    opening = "Which of the following sentences makes more sense as a cause and as its effect in real life"
    items = [(f"{opening}\nchoice: thing {n} because other {n}\nchoice: no", None) for n in range(50)]
    assert contamination_check(items)(example(f"{opening}\nchoice: rain fell\nchoice: dry")).keep


def test_a_repeated_example_is_dropped_once_it_was_kept():
    check = exact_check()
    first = example("A b", "c")
    assert check(first).keep
    verdict = check(example("a  B", "C"))
    assert (verdict.keep, verdict.other) == (False, first.id)
    assert check(example("A b", "d")).keep


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("This review says that the film was slow but the actors were wonderful and the music was even better.", True),
        ("Этот фильм был очень длинным, но актёры играли прекрасно, и музыка мне тоже понравилась.", False),
        (
            "Dieser Film war lang, aber die Schauspieler waren wunderbar, und die Musik hat mir noch mehr gefallen.",
            False,
        ),
        ("def f(x):\n    return [y for y in x if y == 3]", True),
        ("42", True),
    ],
)
def test_rows_surely_in_another_language_are_dropped(text: str, keep: bool):
    assert language_check("en")(example(text)).keep is keep


@pytest.mark.parametrize(
    ("text", "language", "keep"),
    [
        ("Quiero cancelar mi reserva para mañana", "en", False),
        ("No me gusta nada esta película, es muy aburrida", "en", False),
        ("El envío llegó tarde y roto", "en", False),
        ("Je voudrais annuler ma commande", "en", False),
        ("Das Paket ist noch nicht angekommen", "en", False),
        ("The parcel is not here yet and I am sad", "es", False),
        ("What does 'Je ne sais pas' mean?", "en", True),
        ("Los Angeles, Las Vegas and El Paso are warm", "en", True),
        ("Ludwig van Beethoven was born in Bonn.", "en", True),
        ("Which city?\nOptions:\n- Los Angeles\n- Las Vegas\n- El Paso", "en", True),
        ("Madrid 2020", "en", True),
    ],
)
def test_a_sentence_of_another_language_is_dropped_and_a_few_of_its_words_or_names_are_not(
    text: str, language: str, keep: bool
):
    assert language_check(language)(example(text, "1")).keep is keep


def test_the_same_input_with_two_labels_is_kept_once_and_both_labels_are_named():
    check = conflict_check()
    first = example("Where is my parcel?", "delivery")
    assert check(first).keep
    verdict = check(example("where is my  PARCEL?", "billing"))
    assert (verdict.keep, verdict.kind, verdict.other) == (False, "conflict", first.id)
    assert verdict.reason == "conflict: the same input comes with the output 'delivery', too, and only one can be right"
    assert check(example("Where is my parcel?", "delivery")).keep  # the same again is no conflict
    assert check(example("Where is my parcel? (2)", "billing")).keep


def test_of_a_whole_set_no_side_of_a_conflict_stays_unless_most_agree():
    two = [example("Where is it?", "delivery"), example("where is it?", "billing")]
    three = [example("How much?", label) for label in ("billing", "billing", "delivery")]
    found = conflicts([*two, *three, example("Alone?", "billing")])
    assert set(found) == {two[0].id, two[1].id, three[2].id}
    assert (found[two[0].id].other, found[two[1].id].other) == (two[1].id, two[0].id)


def test_while_a_dataset_is_made_conflicts_are_dropped_where_one_output_is_right():
    def fate(instruction: str, pairs: list[tuple[str, str]]) -> list[str]:
        shown = [Demonstration(input=text, output=output) for text, output in pairs]
        check = checks_for(make_task(instruction, demonstrations=shown), Curation(demonstrations=False))
        return [
            check(row).kind
            for row in (example("Is the shop open?", pairs[0][1]), example("Is the shop open?", pairs[1][1]))
        ]

    labels = [(f"Is the {thing} here?", answer) for thing in ("cat", "dog", "cow") for answer in ("yes", "no")]
    assert fate("Say yes or no.", labels) == ["ok", "conflict"]
    written = [("Tell me of the sea.", "It is wide and blue, and it never sleeps."),
               ("Tell me of the moon.", "It is a lamp that nobody lit, far above us.")]  # fmt: skip
    assert fate("Write a sentence.", written) == ["ok", "ok"]


def test_an_output_in_another_language_than_the_input_is_right_where_the_demonstrations_say_so():
    shown = [
        Demonstration(
            input="The old man went over the bridge and met her.", output="Der alte Mann ging über die Brücke."
        ),
        Demonstration(
            input="The children were playing in the garden.", output="Die Kinder spielten mit dem Hund im Garten."
        ),
    ]
    wanted = languages_of("en", shown)
    assert (wanted.input, wanted.output) == ("en", "de")
    german = "Der Zug kam am Abend in die Stadt, und alle Leute warteten schon lange auf dem Bahnhof, um ihn zu sehen."
    english = "The train came into the town in the evening, and all the people had been waiting there to see it arrive."
    check = language_check(wanted)
    assert check(example(english, german)).keep
    assert check(example(english, english)).reason == "the output is in en, not de"


@pytest.mark.parametrize(
    ("language", "text", "keep"),
    [
        ("en", "The film was очень хороший и интересный, see it.", False),
        ("en", "The word Привет is a greeting that everybody in the whole town has used since then.", True),
        ("ru", "The patient has had a strong headache since the morning.", False),
        ("ru", "У пациента с утра сильная головная боль, МРТ и CT в норме.", True),
        ("zh", "今天天气很好，我们去公园散步。", True),
        ("zh", "Сегодня хорошая погода, мы идём гулять в парк.", False),
        ("en", "😀😀😀😀😀😀😀😀", True),
        ("ar", "ذهب الرجل إلى السوق واشترى الخبز", True),
    ],
)
def test_texts_of_other_scripts_are_told_apart(language: str, text: str, keep: bool):
    assert language_check(language)(example(text)).keep is keep


def test_the_language_of_a_set_is_what_nearly_all_of_it_is_in():
    english = [example("The people of the town had been waiting there for a long time when it came.", "x")] * 97
    german = [example("Die Leute der Stadt hatten schon lange dort gewartet, als er endlich am Abend ankam.", "x")]
    assert languages_in(english + german).input == "en"
    assert languages_in(english + german * 40).input is None
    assert languages_in([]).input is None


@pytest.mark.parametrize(
    ("licences", "policy", "keep"),
    [
        (("mit",), "permissive", True),
        (("mit", "cc-by-nc-4.0"), "permissive", False),
        ((), "permissive", False),
        ((), "any", True),
    ],
)
def test_a_licence_that_was_not_asked_for_keeps_an_example_out(licences: tuple[str, ...], policy: Policy, keep: bool):
    one = Example("1", "a", "b", Origin("test", "src", licences=licences))
    assert licence_check(policy)(one).keep is keep
    assert licence_check(policy)(Example("1", "a", "b", Origin("generate"))).keep


def test_the_first_check_that_drops_decides():
    shown = [Demonstration(input="seen", output="1"), Demonstration(input="b", output="2")]
    task = make_task("Do.", demonstrations=shown, gold=[Gold(input=LONG, output="3")])
    check = checks_for(task)
    kinds = [check(example(text, output)).kind for text, output in
             [("new one", "x"), ("seen", "5"), (LONG, "5"), ("fresh", "5"), ("fresh", "5")]]  # fmt: skip
    assert kinds == ["contract", "duplicate", "contaminated", "ok", "duplicate"]
