"""Whisper's languages: their codes, their English names, and what else people call them."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from verbatim.domain.errors import BadRequestError

_ROWS: Final = """
af afrikaans | afr
am amharic | amh
ar arabic | ara arb
as assamese | asm
az azerbaijani | aze azj azeri
ba bashkir | bak
be belarusian | bel
bg bulgarian | bul
bn bengali | ben bangla
bo tibetan | bod tib
br breton | bre
bs bosnian | bos
ca catalan | cat valencian
cs czech | ces cze
cy welsh | cym wel
da danish | dan
de german | deu ger
el greek | ell gre
en english | eng
es spanish | spa castilian
et estonian | est ekk
eu basque | eus baq
fa persian | fas per pes farsi
fi finnish | fin
fo faroese | fao
fr french | fra fre
gl galician | glg
gu gujarati | guj
ha hausa | hau
haw hawaiian |
he hebrew | heb iw
hi hindi | hin
hr croatian | hrv
ht haitian_creole | hat haitian
hu hungarian | hun
hy armenian | hye arm
id indonesian | ind in
is icelandic | isl ice
it italian | ita
ja japanese | jpn jp
jw javanese | jav jv
ka georgian | kat geo
kk kazakh | kaz
km khmer | khm
kn kannada | kan
ko korean | kor kr
la latin | lat
lb luxembourgish | ltz letzeburgesch
ln lingala | lin
lo lao | lao
lt lithuanian | lit
lv latvian | lav lvs
mg malagasy | mlg plt
mi maori | mri mao
mk macedonian | mkd mac
ml malayalam | mal
mn mongolian | mon khk
mr marathi | mar
ms malay | msa may zsm
mt maltese | mlt
my myanmar | mya bur burmese
ne nepali | nep npi
nl dutch | nld dut flemish
nn nynorsk | nno
no norwegian | nor nb nob bokmål
oc occitan | oci
pa punjabi | pan panjabi
pl polish | pol
ps pashto | pus pbt pushto
pt portuguese | por
ro romanian | ron rum mo moldavian moldovan
ru russian | rus
sa sanskrit | san
sd sindhi | snd
si sinhala | sin sinhalese
sk slovak | slk slo
sl slovenian | slv slovene
sn shona | sna
so somali | som
sq albanian | sqi alb als
sr serbian | srp
su sundanese | sun
sv swedish | swe
sw swahili | swa swh
ta tamil | tam
te telugu | tel
tg tajik | tgk
th thai | tha
tk turkmen | tuk
tl tagalog | tgl fil filipino
tr turkish | tur
tt tatar | tat
uk ukrainian | ukr
ur urdu | urd
uz uzbek | uzb uzn
vi vietnamese | vie
yi yiddish | yid ydd ji
yo yoruba | yor
yue cantonese | zh-yue
zh chinese | zho chi cmn cn mandarin
"""
"""Code and name as openai-whisper has them (`_` for a space), then what else is understood.

That is: ISO 639-2 and 639-3, retired ISO 639-1 codes, other English names, and three codes that
are a country's and that people type (`jp`, `kr`, `cn`); no language of Whisper's has them.
"""


def _parse() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for row in _ROWS.strip().splitlines():
        known, others = row.split("|")
        code, name = known.split()
        yield code, name.replace("_", " "), tuple(others.split())


LANGUAGE_NAMES: Final = MappingProxyType({code: name for code, name, _ in _parse()})
"""Whisper's 100 languages: code to English name, lower case as in verbose_json."""

_CODES: Final = MappingProxyType(
    {alias: code for code, name, others in _parse() for alias in (code, name, *others)}
)

WRITTEN_WITHOUT_SPACES: Final = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages whose words Whisper does not tell apart by spaces.

openai-whisper's list: Khmer and Tibetan, which have none either, are split at spaces there.
"""

_SHOWN_CHARS: Final = 40
"""How much of an unknown name is looked at and repeated in the message."""


def language_name(code: str) -> str:
    """The English name of a language, "english" for "en"; a code that is not Whisper's as it is."""
    return LANGUAGE_NAMES.get(code, code)


def language_code(name: str, *, param: str = "language") -> str:
    """Whisper's code for a language that a request names.

    Understood are codes of two and three letters, English names, and tags with a region or script
    behind them (`zh-TW`, `zh-Hant`, `ko_KR`); case does not matter.

    Raises:
        BadRequestError: Whisper does not know it.
    """
    tag = "-".join(name.strip().lower().replace("_", "-").split())
    spoken = tag.replace("-", " ")
    subtags = tag.split("-")
    for candidate in (tag, spoken, "-".join(subtags[:2]), subtags[0]):
        if candidate in _CODES:
            return _CODES[candidate]
    near = get_close_matches(spoken[:_SHOWN_CHARS], LANGUAGE_NAMES.values())
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    raise BadRequestError(
        f"Whisper knows no language {name[:_SHOWN_CHARS]!r}.{hint} Give an "
        "ISO 639-1 code such as en, zh or ko, or leave it out to have the language detected.",
        param=param,
    )
