"""How texts become tokens, and that ROUGE's own tokenizer says the same where it loses nothing."""

from __future__ import annotations

import random

import pytest

from upcycle.analysis.tokens import intern, words, words_and_marks


def test_words_are_lower_case_without_punctuation():
    assert words("Don't PANIC, it's 3.5_km!") == ["don", "t", "panic", "it", "s", "3", "5", "km"]


def test_marks_are_tokens_of_their_own():
    assert words_and_marks('He said: "no".') == ["he", "said", ":", '"', "no", '"', "."]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("日本語のテスト", ["日", "本", "語", "の", "テ", "ス", "ト"]),
        ("这是 3 个词", ["这", "是", "3", "个", "词"]),
        ("ดีมาก", ["ดี", "ม", "า", "ก"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("Привет, мир", ["привет", "мир"]),
        ("naïve café", ["naïve", "café"]),
        ("👍🏽 ok 👨‍👩‍👧", ["ok"]),
        ("", []),
        ("?!… \n\t", []),
    ],
)
def test_words_of_any_script(text: str, tokens: list[str]):
    assert words(text) == tokens


def test_an_emoji_is_one_mark_with_all_its_parts():
    assert words_and_marks("👍🏽 ok 👨‍👩‍👧 ❤️") == ["👍🏽", "ok", "👨‍👩‍👧", "❤️"]


def test_accents_written_apart_stay_with_their_letter():
    assert words("cafe\u0301 bar") == ["cafe\u0301", "bar"]


def test_no_letter_or_digit_is_lost_in_any_script():
    random_ = random.Random(0)
    alphabet = "ab1 é日のกีहि한م\u0301👍🏽\u200d_.,'-"
    for _ in range(500):
        text = "".join(random_.choices(alphabet, k=30))
        for rule in (words, words_and_marks):
            kept = [char for char in "".join(rule(text)) if char.isalnum()]
            assert kept == [char for char in text.lower() if char.isalnum()], text


def test_english_text_is_cut_as_rouge_score_cuts_it():
    tokenize = pytest.importorskip("rouge_score.tokenize").tokenize
    random_ = random.Random(1)
    alphabet = "abcXYZ0189 \t\n.,;:!?'\"-_()[]{}@#$%^&*+=/\\|<>~`’“”–—…€😀"
    for _ in range(2000):
        text = "".join(random_.choices(alphabet, k=random_.randrange(60)))
        assert words(text) == tokenize(text, None), text


def test_interned_texts_share_numbers():
    interned = intern(["a b a", "", "b c"])
    assert interned.flat.tolist() == [0, 1, 0, 1, 2]
    assert interned.starts.tolist() == [0, 3, 3, 5]
    assert interned.known == 3
