"""How good a place is to end a line or a caption: grammar as far as the words show it.

The rules are those of subtitlers (Karamitroglou 1998, "A proposed set of subtitling standards in
Europe"; BBC Subtitle Guidelines, "Line breaks"): end at a sentence, else at a phrase; a
conjunction or preposition begins a line; article and noun, pronoun and verb, first name and
surname stay together.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final, NamedTuple

from verbatim.stages.caption_text import SENTENCE_ENDS, Unit, Writing, writing_of

SENTENCE: Final = 0.0
"""Costs of ending after a unit, from the best place to the worst."""
CLAUSE: Final = 12.0
SUBCLAUSE: Final = 30.0
PHRASE: Final = 45.0
PLAIN: Final = 75.0
TIGHT: Final = 110.0
POOR: Final = 150.0
BAD: Final = 260.0
TORN: Final = 1000.0


class _Lexicon(NamedTuple):
    """Small words of a language.

    Attributes:
        openers: conjunctions and prepositions, which begin a line rather than end one.
        binders: articles, pronouns, auxiliaries: what belongs to the word after it.
    """

    openers: frozenset[str]
    binders: frozenset[str]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _lexicon(openers: str, binders: str) -> _Lexicon:
    return _Lexicon(_words(openers), _words(binders))


_LEXICONS: Final = MappingProxyType(
    {
        "en": _lexicon(
            "and but or nor so because although though while when where which who whom whose that"
            " if unless until since as than whether before after in on at by for from with without"
            " to of into onto over under about through between during against among within across"
            " behind beyond near toward towards upon via per like despite except",
            "a an the my your his her its our their this these those every each some any no is are"
            " was were be been am has have had do does did will would can could should may might"
            " must shall i you he she we they it not very more most too there i'm you're he's"
            " she's it's we're they're that's there's i've you've we've they've i'll you'll we'll"
            " i'd don't doesn't didn't can't won't isn't aren't wasn't weren't couldn't wouldn't"
            " mr mr. mrs mrs. ms ms. dr dr. st. let's",
        ),
        "de": _lexicon(
            "und oder aber denn sondern weil dass wenn als ob obwohl während bevor nachdem damit"
            " sodass wie in im an am auf aus bei beim mit nach seit von vom zu zum zur durch für"
            " gegen ohne um über unter vor vorm zwischen hinter neben bis wegen trotz statt wo"
            " warum sowie",
            "der die das den dem des ein eine einen einem einer eines kein keine keinen mein meine"
            " dein sein seine ihr ihre unser unsere ich du er sie es wir man ist sind war waren"
            " hat haben wird werden kann nicht sehr so dieser diese dieses diesem jeder jede jedes"
            " herr frau dr. prof.",
        ),
        "fr": _lexicon(
            "et ou mais donc car ni que qui dont où quand si comme parce puisque lorsque à au aux"
            " de du des en dans sur sous par pour avec sans chez vers entre depuis pendant contre",
            "le la les un une mon ma mes ton ta tes son sa ses notre nos votre vos leur leurs ce"
            " cet cette ces je tu il elle on nous vous ils elles ne se me te y est sont a ont"
            " était sera très plus pas qu' m. mme",
        ),
        "es": _lexicon(
            "y e o u pero sino porque que cuando donde si como aunque mientras a al de del en con"
            " sin por para sobre entre hasta desde hacia según ni pues",
            "el la los las un una unos unas mi tu su sus nuestro nuestra este esta estos estas ese"
            " esa yo tú él ella nosotros ellos no muy más es son era ha han he se me te le lo les"
            " nos sr. sra.",
        ),
        "it": _lexicon(
            "e ed o ma perché che quando dove se come mentre anche quindi a al alla ai di del della"
            " dei delle da dal dalla in nel nella con su sul sulla per tra fra senza verso",
            "il lo la i gli le un uno una mio mia tuo suo sua nostro questo questa quel quella io"
            " tu lui lei noi voi loro non molto più è sono era ha hanno ho si mi ti ci vi",
        ),
        "pt": _lexicon(
            "e ou mas porque que quando onde se como embora enquanto a ao à de do da dos das em no"
            " na nos nas com sem por pelo pela para sobre entre até desde",
            "o a os as um uma uns umas meu minha teu seu sua nosso este esta esse essa eu tu ele"
            " ela nós eles não muito mais é são era foi há tem têm se me te lhe",
        ),
        "nl": _lexicon(
            "en of maar want dat die omdat als toen terwijl hoewel voordat nadat waar in op aan bij"
            " met naar van voor door over onder tussen tegen zonder uit om te tot sinds",
            "de het een mijn jouw zijn haar ons onze hun deze dit ik jij je hij zij ze wij we is"
            " was waren heeft hebben wordt kan niet zeer heel geen",
        ),
        "ru": _lexicon(
            "и а но или что чтобы если когда как который которая которые потому где пока хотя в во"
            " на с со к ко у о об от до из за под над по для без при через между перед",
            "не ни я ты он она мы вы они это этот эта эти мой твой свой наш ваш его её их бы очень"
            " более самый",
        ),
    }
)
_KOREAN: Final = _lexicon(
    "그리고 하지만 그러나 그런데 그래서 그러므로 따라서 또한 또는 혹은 즉 만약 만일 왜냐하면",
    "그 이 저 한 두 세 네 몇 각 모든 어떤 무슨 새 안 못 더 덜 잘 가장 매우 아주 정말 너무 및",
)
_CHINESE: Final = _lexicon(
    "因为 因為 所以 但是 但 如果 虽然 雖然 而且 而 或者 或 以及 和 与 與 跟 及 然后 然後 不过"
    " 不過 并 並 并且 並且 可是 就是 还有 還有 那么 那麼 由于 由於 为了 為了 对 對 对于 對於"
    " 从 從 向 往 在 把 将 將 被 让 讓 给 給 用 以 按照 根据 根據 通过 通過 关于 關於",
    "我 你 您 他 她 它 这 這 那 这个 這個 那个 那個 一 一个 一個 两 兩 几 幾 每 各 很 太 更 最 也"
    " 都 就 才 又 再 还 還 不 没 沒 没有 沒有 是 会 會 要 能 可以 可 应该 應該 想 请 請 第 此 该 該"
    " 有 做 到 去 来 來 说 說 个 個 种 種 些 位 次 条 條",
)

_ENGLISH: Final = _LEXICONS["en"]
_NO_WORDS: Final = _Lexicon(frozenset(), frozenset())
_OTHER_SCRIPTS: Final = frozenset({"zh", "yue", "ja", "ko", "th"})
"""Languages among whose words Latin ones are most likely English."""

_KO_SENTENCE: Final = re.compile(r".(니다|니까|어요|아요|에요|예요|세요|네요|군요|죠)$")
_KO_CLAUSE: Final = re.compile(
    r".(고|며|면|면서|지만|는데|은데|인데|서|니까|려고|도록|다가|거나|므로)$"
)
_KO_DEPENDENT: Final = re.compile(
    r"(수|것|거|게|때|뿐|줄|리|지|데|만큼|때문)([은는이가을를도에의로만]|까지|부터|입니다|이다)?$"
    r"|있|없|않|못|싶"
)
"""Nouns that need the word before them, and auxiliary verbs."""

_KO_AUXILIARY: Final = re.compile("[되됩된될돼하합했할한해보봅봤주줍줘]")
_KO_BEFORE_AUXILIARY: Final = frozenset("게지려아어")
_KO_PARTICLES: Final = frozenset("은는이가을를에로와과도만서게고며면")
"""A word that ends in none of these is most likely a noun that goes on."""

_JA_SENTENCE: Final = re.compile(r"(です|ます|した|ません|でしょう|だ)[ねよか]?$")
_JA_CLAUSE: Final = re.compile(
    r"(ので|から|けど|けれど|けれども|ますが|ですが|たら|ながら|て|は|」と)$"
)
_JA_DEPENDENT: Final = re.compile(
    r"こと|もの|とき|ため|よう|ところ|という|と[言思考]|について|い[るまた]|あ[るり]|な[いるり]|でき|くだ|みた|おり"
)
"""Nouns that need what is before them, and auxiliary verbs."""
_JA_PARTICLES: Final = frozenset("とはがをにのもでへやかねよ")
_HIRAGANA: Final = re.compile("[\u3041-\u309f]")

_ZH_ENCLITICS: Final = _words(
    "的 地 得 了 着 著 过 過 们 們 吗 嗎 呢 吧 啊 呀 嘛 么 麼 里 裡 上 下 中"
    " 内 內 后 後 前 时 時 等 个 個 一下 一点 一點 一些 起来 起來 下来 下來 出来 出來 下去 过来"
    " 過來 左右 之后 之後 之前 之间 之間"
)
"""What no line begins with, standing alone: particles and complements of the word before."""

_CLAUSE_ENDS: Final = frozenset(",;:—–，；：、､،؛၊፣")
_QUOTES: Final = "\"'”’»›」』）)]】》〉｣"
_AROUND: Final = _QUOTES + "“‘«‹「『（([【《〈｢¿¡.,!?;:…—–-，。！？；：、"
_TITLES: Final = _words("mr mrs ms dr prof st hr fr sr sra m nr no vs bzw")
"""Abbreviations that another word always follows."""
_DOTTED: Final = re.compile(
    r"([^\W\d_]\.)+([^\W\d_]\.)|etc\.|inc\.|ltd\.|co\.|jr\.|usw\.", re.IGNORECASE
)
"""Abbreviations that a sentence may end with: U.S., a.m., etc."""
_INITIAL: Final = re.compile(r"[^\W\d_]\.")
_ORDINAL: Final = re.compile(r"\d{1,2}\.")
_ORDINAL_LANGUAGES: Final = frozenset({"de", "cs", "da", "fi", "hu", "no", "nn", "pl", "sk", "tr"})
"""Where a number with a dot is "third", not the end of a sentence."""
_NUMBER: Final = re.compile(r"[+−-]?[$€£¥]?\d[\d.,:/]*")


def break_cost(before: Unit, after: Unit, language: str | None) -> float:
    """What it costs to end a line or a caption between two units, from SENTENCE up to TORN.

    Args:
        before: the last unit of the line.
        after: the first of the next.
        language: Whisper's code; what the characters do not show is decided by it. None is taken
            for English.
    """
    if after.torn:
        return TORN
    ending = before.text.rstrip(_QUOTES) or before.text
    if ending[-1] in SENTENCE_ENDS:
        return _stop_cost(ending, after.text, language)
    if ending[-1] in _CLAUSE_ENDS:
        return CLAUSE
    return _joint_cost(before, after, language)


def _joint_cost(before: Unit, after: Unit, language: str | None) -> float:
    """The cost where no punctuation shows it."""
    left, right = before.text.strip(_AROUND), after.text.strip(_AROUND)
    if not left or not right:
        return PLAIN
    scripts = {writing_of(left[-1]), writing_of(right[0])}
    if Writing.HANGUL in scripts:
        cost = _korean_cost(left, right)
    elif after.spaced and not scripts & {Writing.OTHER}:
        cost = CLAUSE  # a space where there are none between words stands for punctuation
    elif Writing.KANA in scripts or (Writing.HAN in scripts and language == "ja"):
        cost = _japanese_cost(left, right)
    elif Writing.HAN in scripts:
        cost = _chinese_cost(left, right)
    elif Writing.THAI in scripts:
        cost = PLAIN
    else:
        cost = _spaced_cost(left, right, language)
    return cost


def _stop_cost(ending: str, after: str, language: str | None) -> float:
    """After a full stop, a question or exclamation mark, an ellipsis."""
    word = ending.rsplit(maxsplit=1)[-1].lstrip(_AROUND)
    goes_on = after.strip(_AROUND)[:1].islower()
    if word.endswith("...") or not word.endswith("."):
        return CLAUSE if goes_on else SENTENCE
    if word[:-1].lower() in _TITLES:
        return POOR
    if _ORDINAL.fullmatch(word) and language in _ORDINAL_LANGUAGES:
        return POOR
    if _INITIAL.fullmatch(word):
        return SENTENCE if word == "I." else POOR
    if _DOTTED.fullmatch(word):
        return PLAIN if goes_on else CLAUSE
    return CLAUSE if goes_on else SENTENCE


def _small_words_cost(left: str, right: str, lexicon: _Lexicon) -> float | None:
    """By conjunctions, prepositions and what binds to the next word; None where there are none."""
    if left in lexicon.openers or left in lexicon.binders:
        return POOR
    return PHRASE if right in lexicon.openers else None


def _spaced_cost(left: str, right: str, language: str | None) -> float:
    foreign = language is None or language in _OTHER_SCRIPTS
    lexicon = _ENGLISH if foreign else _LEXICONS.get(language or "", _NO_WORDS)
    cost = _small_words_cost(left.lower(), right.lower(), lexicon)
    if cost is not None:
        return cost
    if _NUMBER.fullmatch(left):
        return POOR
    named = right.istitle() or _NUMBER.match(right)
    return POOR if named and left.istitle() and language != "de" else PLAIN


def _korean_cost(left: str, right: str) -> float:
    cost = _small_words_cost(left, right, _KOREAN)
    if cost is not None:
        return cost
    if _KO_DEPENDENT.match(right) or _NUMBER.fullmatch(left):
        return POOR
    if _KO_AUXILIARY.match(right) and left[-1] in _KO_BEFORE_AUXILIARY:
        return POOR
    if _KO_SENTENCE.search(left):
        return CLAUSE
    if _KO_CLAUSE.search(left):
        return SUBCLAUSE
    return PHRASE if left[-1] in _KO_PARTICLES else TIGHT


def _japanese_cost(left: str, right: str) -> float:
    if right in _JA_PARTICLES:
        return BAD
    if _JA_DEPENDENT.match(right) or (left[-1] == "と" and right[0] in "言思考"):
        return POOR
    if _JA_SENTENCE.search(left):
        return CLAUSE
    if _JA_CLAUSE.search(left):
        return SUBCLAUSE
    return TIGHT if left[-1] == "の" or not _HIRAGANA.match(left[-1]) else PHRASE


def _chinese_cost(left: str, right: str) -> float:
    if right in _ZH_ENCLITICS:
        return BAD
    cost = _small_words_cost(left, right, _CHINESE)
    if cost is not None:
        return cost
    if left[-1].isdecimal():
        return POOR
    # One character is often half a word, and 的 binds a noun to what describes it.
    return TIGHT if left[-1] in "的之" or min(len(left), len(right)) == 1 else PLAIN
