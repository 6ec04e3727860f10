"""Finds what a text of strangers says to the writer of an answer, instead of to its reader.

Documents and answers of peers are data; a sentence in them that gives the language model something to do is not
needed for any answer, and is left out before the model reads. A list of forms, not an understanding: an order in other
words, or in another language, gets past it.

Source: Yi et al. 2023, "Benchmarking and Defending Against Indirect Prompt Injection Attacks on Large Language
Models" (BIPIA), §3 for the forms of attack; the forms here were made from its training part alone.
"""

import re
import unicodedata

from frag.answers.faithfulness import content_words
from frag.answers.statements import statements

_REPLY = r"(?:answer|response|reply|output|message|completion)s?"
_POLITE = (
    r"(?:please|now|then|also|and|next|finally|kindly|(?:can|could|would|will)\s+you"
    r"|you\s+(?:must|should|need\s+to|have\s+to))"
)
_TO_THE_WRITER = re.compile(
    rf"""
    \byour\s+(?:\w+\s+){{0,2}}{_REPLY}\b
    | \b(?:ignore|disregard|forget|override|bypass|skip)\b .{{0,40}}
      \b(?:instructions?|prompts?|rules|context|above|previous|prior|earlier|text|passages?|question|guidelines)\b
    | \b(?:system|developer)\s+(?:prompt|instructions?|message)\b
    | \b(?:new|real|updated)\s+(?:instructions?|orders?)\s*:
    | \b(?:as|you\s+are|act\s+as|pretend\s+to\s+be|become)\s+(?:now\s+)?(?:an?\s+)?(?:\w+\s+)?
      (?:ai|assistant|chatbot|bot|language\s+model|llm|gpt)\b
    | (?:^\W*|[,;:]\s*|\b(?:please|must|should|and|now|then|instead)\s+)
      (?:answer|respond|reply|output|print|say|write|return|repeat)\s+
      (?:only|just|exactly|nothing|simply|instead|with|in|the\s+(?:word|phrase|following|sentence))\b
    | \binstead\s+of\s+(?:answering|responding|replying)\b
    | \byour\s+(?:\w+\s+)?(?:task|job|goal|role|mission|objective|instructions?)\s+(?:is|are)\b
    | (?:^\W*|[,;:]\s*)(?:(?:please|now|then|instead|simply|just|only)\s+)*
      (?:say|print|output|repeat|echo|reply|respond)\s+(?:["'\u201c\u2018]|(?-i:[A-Z]{{3,}})\b)
    | \b(?:write|compose|draft|create|give|tell|make|sing)\s+(?:\w+\s+){{0,3}}
      (?:poem|haiku|limerick|song|lyrics|story|joke|riddle|rap|slogan|tweet|advert(?:isement)?)s?\b
    """,
    re.IGNORECASE | re.VERBOSE | re.DOTALL,
)
_WORK = "|".join(
    r"""
    write summari[sz]e analy[sz]e translate draft compose paraphrase rephrase rewrite encrypt decrypt encode decode
    explain describe classify recommend suggest elaborate brainstorm calculate compute predict debug misspell jumble
    scramble rearrange anagram capitali[sz]e impersonate
    """.split()  # noqa: SIM905 (a list of words reads better as words)
)
"""What is asked of writers and hardly ever of readers."""
_MAKE = "|".join(
    r"""
    develop create generate provide give list outline name discuss compare determine identify break\s+down convert
    reverse craft introduce substitute replace
    """.split()  # noqa: SIM905
)
"""What is asked of both: only with an object that a text could be."""
_TASK = re.compile(
    rf"""
    ^\W*(?:{_POLITE}\W+)*
    (?: (?:{_WORK})\b
      | (?:{_MAKE})\s+
        (?:me\b|us\b|an?\b|the\b|some\b|insights?\b|every\b|all\b|(?:\w+\s+)?(?:tips|advice|examples?|ideas)\b)
      | (?:tell|show|teach|help|inform|remind|advise)\s+(?:me|us|users?|readers?|everyone|people)\b
      | (?:add|include|insert|integrate|append|mention|incorporate|embed|promote)\s+
        (?:an?\b|the\b|this\b|some\b|\W*["'\u201c\u2018])
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
_ASKS = re.compile(r"\?[\"'”’)\]]*$")


def without_orders(text: str, question: str) -> str:
    """The text without the sentences that are addressed to the writer; the text itself where there are none.

    Left out are sentences on the answer to be written ("add to your reply …", "ignore the above"), and tasks and
    questions ("translate …", "who wrote …?") that share no content word with `question`: such a sentence holds no
    answer to it.

    Args:
        text: A passage or an answer.
        question: The asker's, who may of course give orders.
    """
    wanted = content_words(_as_read(question))
    orders = [sentence for sentence in statements(text) if is_order(sentence, wanted)]
    for sentence in orders:
        text = text.replace(sentence, " ", 1)
    return text.strip() if orders else text


def is_order(sentence: str, wanted: set[str]) -> bool:
    """Whether it is addressed to the writer; `wanted` are the content words of the question."""
    sentence = _as_read(sentence)
    if _TO_THE_WRITER.search(sentence):
        return True
    is_foreign_task = bool(_TASK.search(sentence) or _ASKS.search(sentence))
    return is_foreign_task and not (content_words(sentence) & wanted)


def _as_read(text: str) -> str:
    """What a language model reads in it: full-width letters as letters, without what is invisible or stands above."""
    shown = unicodedata.normalize("NFKD", text)
    return "".join(char for char in shown if unicodedata.category(char) not in {"Cf", "Mn"})
