"""Small words of a few languages in Latin letters: they tell a short text's language where a classifier is unsure.

A sentence of six words has two or three of them. What two languages share ("a", "no", "me") tells them apart from
neither, so each list is to be read without the words of the other.
"""

from __future__ import annotations

import re

SMALL_WORDS: dict[str, frozenset[str]] = {
    code: frozenset(words.split())
    for code, words in {
        "en": """the of and to that with this for you have from they his her are which were been their what would will
            when there if has had but not she who him them these your i it is in a on my we me he be as at an or do so
            can how no was all one more did does where why could should our us its by am than then just out up about
            into over any some only""",
        "es": """el la los las un una de del que y en por para con no se su sus lo le les es son fue era está están como
            más pero muy ya sin sobre también cuando donde dónde porque mi tu yo este esta esto hay qué quiero puede me
            a o si te al ha he todo nada cómo""",
        "fr": """le la les un une des de du et en est sont que qui dans pour pas ne ce cette il elle nous vous je sur
            avec par plus au aux mais ou se sa son ses leur était c'est très bien comme tout où mon ma a me y si on
            quand été""",
        "de": """der die das den dem des ein eine einen einem und ist sind nicht mit von zu auf für im in es ich wir
            sie er aber auch war wie bei nach aus nur noch oder wenn sich hat haben kann dass mein meine wurde warum was
            so am an um man""",
        "it": """il lo la i gli le un una di del della che e è sono in per con non si da al come più ma anche questo
            questa ho ha nel alla molto mi ci dove quando perché a no o me se lui lei""",
        "pt": """o a os as um uma de do da dos das que e em no na para com não se por é são foi mais mas como muito
            também eu você meu minha este esta isso ao seu sua quando onde porque me ele ela""",
        "nl": """de het een en van ik is dat niet op te in met voor zijn er aan ook als maar om die bij dan nog wel
            naar heeft hebben wat wij jij je mijn kan dit deze was me we of so nooit""",
    }.items()
}

_WORD = re.compile(r"[^\W\d_]+")
_FEWEST = 2


def languages_read(text: str, wanted: str) -> set[str]:
    """Languages of which a text has several small words, where it has none of language `wanted`.

    Empty where there is no list for the wanted language.
    """
    own = SMALL_WORDS.get(wanted)
    if own is None:
        return set()
    words = set(_WORD.findall(text.lower()))
    mine = words & own
    return {
        code
        for code, theirs in SMALL_WORDS.items()
        if code != wanted and len((words & theirs) - own) >= _FEWEST and mine <= theirs
    }
