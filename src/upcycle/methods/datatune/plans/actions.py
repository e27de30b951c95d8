"""Whether a sentence says what something does: "Return the area", "Finds ...", "Given a list, count ...".

The first sentence of a docstring is often no description ("Internal helper.", "Xs are coefficients.", "Called after
writing."), and a row made of it would be wrong. The list holds verbs that descriptions of code open with; a sentence
with another opening is not judged, it is left out.
"""

from __future__ import annotations

import re

_VERBS = """
accept access accumulate acquire activate add adjust align allocate allow append apply approximate arrange ask assert
assign attach attempt balance begin bind block break build calculate call cancel capitalize capture cast center change
check choose classify clean clear clip clone close collapse collect combine compare compile complete compress compute
concatenate configure connect construct convert copy count crawl create cut decide decode decompress decrease decrement
decrypt deduplicate define delay delegate delete deliver derive deserialize destroy detach detect determine disable
disassemble discard disconnect dispatch display divide download draw drop dump duplicate emit enable encode encrypt end
ensure enter enumerate erase escape estimate evaluate exchange execute exit expand export extend extract factor feed
fetch figure fill filter finalize find finish fit flatten flip flush fold force format forward free gather generate get
give go group guess handle hash hide identify ignore implement import increase increment indent index indicate
initialise initialize inject insert inspect install instantiate interpolate intersect invert invoke issue iterate join
jump keep kill label launch left limit link list load locate lock log look loop lower make map mark mask match maximize
measure merge minimize modify monitor move multiply negate normalize notify obtain open order organize output overwrite
pack pad parse partition pass patch perform permute pick place plot poll pop populate post prepare prepend pretty-print
print process produce project prompt propagate provide prune publish pull push put query quote raise randomize rank read
rearrange re-arrange receive recompute reconstruct record recover redirect reduce refresh register release reload remove
rename render reorder repeat replace report represent request reset reshape resize resolve restart restore resume
retrieve return reverse revert rewrite rotate round run sample save scale scan schedule search seek segment select send
separate serialize serve set shift show shuffle shut shutdown simplify simulate skip slice solve sort spawn specify
split square start stop store strip subtract sum suspend swap switch tell terminate toggle tokenize trace track train
transfer transform translate transmit transpose traverse trigger trim truncate turn unbind undo unescape unfold
uninstall unite unlink unlock unpack unquote unregister unset unwrap unzip update upload use validate verify visit wait
wake walk warn wrap write yield zip
"""
_KNOWN = frozenset(_VERBS.split())
_OPENING = re.compile(r"[\"'`(]*([A-Za-z]+ly )?(?P<first>[A-Za-z-]+)\s+(?P<second>\S+)")
_GIVEN = re.compile(r"(?i)(given|for|from|in|with)\b[^,.]*,\s*(?P<first>[A-Za-z-]+)\s+(?P<second>\S+)")
_NOUN_AFTER = frozenset(("of", "is", "are", "was", "for:", "=", "-", ":", "->"))


def says_action(text: str) -> bool:
    """Whether the sentence opens with a verb that says what is done."""
    for opening in (_OPENING, _GIVEN):
        found = opening.match(text)
        if found and is_verb(found["first"].lower()) and found["second"].lower() not in _NOUN_AFTER:
            return True
    return False


def is_verb(word: str) -> bool:
    """Whether descriptions open with this word, as it is or with an s."""
    forms = [word]
    if word.endswith("s"):
        forms += [word[:-1], word.removesuffix("es"), word[:-3] + "y" if word.endswith("ies") else word]
    return any(form in _KNOWN for form in forms)
