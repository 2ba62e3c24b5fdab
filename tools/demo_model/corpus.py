"""Parallel English / Mandarin / Korean sentences for the demo model.

Every sentence is drawn from a frame that is written in all three languages, so that
the same draw gives the transcript in the spoken language and its English translation.
The vocabulary is closed: about 160 English words and their counterparts.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable
from typing import Final

LANGUAGES: Final = ("en", "zh", "ko")
Row = tuple[str, str, str]
"""The same words in English, Mandarin and Korean."""

UNITS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS: Final = (
    *("ten", "eleven", "twelve", "thirteen", "fourteen"),
    *("fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
)
_TENS: Final = (
    *("_", "_", "twenty", "thirty", "forty"),
    *("fifty", "sixty", "seventy", "eighty", "ninety"),
)
_ZH: Final = "零一二三四五六七八九"
_KO: Final = "영일이삼사오육칠팔구"
_KO_NATIVE: Final = (
    *("_", "한", "두", "세", "네", "다섯", "여섯"),
    *("일곱", "여덟", "아홉", "열", "열한", "열두"),
)

HELD_OUT_ONE_IN: Final = 10
"""One in so many sentences of the frames with many combinations is never trained on."""
_MANY_COMBINATIONS: Final = re.compile(
    rf"(It is |I will meet |The number is |The \w+ starts at |({'|'.join(UNITS)}) )", re.IGNORECASE
)


def _en_number(n: int) -> str:
    if n < 10:
        return UNITS[n]
    if n < 20:
        return _TEENS[n - 10]
    if n < 100:
        return _TENS[n // 10] + (" " + UNITS[n % 10] if n % 10 else "")
    rest = n % 100
    return UNITS[n // 100] + " hundred" + (" and " + _en_number(rest) if rest else "")


def _zh_number(n: int) -> str:
    if n < 10:
        return _ZH[n]
    if n < 20:
        return "十" + (_ZH[n % 10] if n % 10 else "")
    if n < 100:
        return _ZH[n // 10] + "十" + (_ZH[n % 10] if n % 10 else "")
    rest = n % 100
    if not rest:
        tail = ""
    elif rest < 10:
        tail = "零" + _ZH[rest]
    else:
        tail = ("一" if rest < 20 else "") + _zh_number(rest)
    return _ZH[n // 100] + "百" + tail


def _ko_number(n: int) -> str:
    if n < 10:
        return _KO[n]
    if n < 100:
        return ("" if n < 20 else _KO[n // 10]) + "십" + (_KO[n % 10] if n % 10 else "")
    rest = n % 100
    return ("" if n < 200 else _KO[n // 100]) + "백" + (_ko_number(rest) if rest else "")


def _rows(table: str) -> list[Row]:
    """Rows of a `English|Mandarin|Korean` table."""
    parts = (line.split("|") for line in table.strip().splitlines())
    return [
        (english.strip(), mandarin.strip(), korean.strip()) for english, mandarin, korean in parts
    ]


_NAMES: Final = _rows("""Anna|安娜|안나
David|大卫|데이비드
Maria|玛丽|마리아
Peter|彼得|피터
Susan|苏珊|수잔
Tom|汤姆|톰
Linda|琳达|린다
James|詹姆斯|제임스""")
_PLACES: Final = _rows("""Paris|巴黎|파리
London|伦敦|런던
Tokyo|东京|도쿄
Seoul|首尔|서울
Beijing|北京|베이징
Berlin|柏林|베를린
New York|纽约|뉴욕
Taipei|台北|타이베이""")
_BUILDINGS: Final = _rows("""the train station|火车站|기차역
the library|图书馆|도서관
the hospital|医院|병원
the school|学校|학교
the airport|机场|공항
the hotel|酒店|호텔
the bank|银行|은행
the office|办公室|사무실
the museum|博物馆|박물관
the market|市场|시장""")
_WEATHER: Final = _rows("""sunny|晴天|맑습니다
rainy|下雨|비가 옵니다
cloudy|多云|흐립니다
windy|刮风|바람이 붑니다
snowy|下雪|눈이 옵니다
very cold|很冷|아주 춥습니다
very hot|很热|아주 덥습니다""")
_DAYS: Final = _rows("""Monday|星期一|월요일
Tuesday|星期二|화요일
Wednesday|星期三|수요일
Thursday|星期四|목요일
Friday|星期五|금요일
Saturday|星期六|토요일
Sunday|星期日|일요일""")
_WHEN: Final = _rows("""today|今天|오늘
tomorrow|明天|내일
yesterday|昨天|어제
this morning|今天早上|오늘 아침
this evening|今天晚上|오늘 저녁""")
_EVENTS: Final = _rows("""the meeting|会议|회의
the concert|音乐会|음악회
the lesson|课程|수업
the movie|电影|영화
the party|聚会|파티
the interview|面试|면접""")
_THINGS: Final = _rows("""the house|房子|집
the car|汽车|자동차
the door|门|문
the book|书|책
the table|桌子|책상
the flower|花|꽃
the bag|包|가방
the window|窗户|창문
the phone|手机|전화기
the computer|电脑|컴퓨터""")
_COLOURS: Final = _rows("""red|红色|빨간색
blue|蓝色|파란색
green|绿色|초록색
yellow|黄色|노란색
white|白色|하얀색
black|黑色|검은색""")
_FOOD: Final = _rows("""apples|苹果|사과
bananas|香蕉|바나나
eggs|鸡蛋|계란
oranges|橙子|오렌지
cookies|饼干|쿠키
tomatoes|番茄|토마토""")
_STATES: Final = _rows("""ready|准备好了|준비되었습니다
finished|完成了|끝났습니다
broken|坏了|고장 났습니다
open|打开了|열렸습니다
closed|关闭了|닫혔습니다""")
_SYSTEMS: Final = _rows("""the server|服务器|서버
the microphone|麦克风|마이크
the camera|相机|카메라
the printer|打印机|프린터
the network|网络|네트워크
the report|报告|보고서""")
_PHRASES: Final = _rows("""Hello.|你好。|안녕하세요.
Good morning.|早上好。|좋은 아침입니다.
Good night.|晚安。|안녕히 주무세요.
Thank you very much.|非常感谢。|대단히 감사합니다.
See you tomorrow.|明天见。|내일 만나요.
How are you?|你好吗？|어떻게 지내세요?
I am sorry.|对不起。|미안합니다.
Please speak slowly.|请慢慢说。|천천히 말해 주세요.
I do not understand.|我不明白。|이해하지 못합니다.
Can you help me?|你能帮我吗？|도와주실 수 있나요?
Welcome to the demo.|欢迎观看演示。|데모에 오신 것을 환영합니다.
Please wait a moment.|请等一下。|잠시만 기다려 주세요.""")


def _josa(word: str, with_final: str, without_final: str) -> str:
    """The word with the Korean particle that its last syllable asks for."""
    code = (ord(word[-1]) - 0xAC00) % 28
    has_final = code != 0 and not (with_final == "으로" and code == 8)
    return word + (with_final if has_final else without_final)


def _cap(text: str) -> str:
    return text[0].upper() + text[1:]


def _clock(hour: int, minute: int) -> Row:
    """A time of day in words."""
    english = _en_number(hour) + (" " + _en_number(minute) if minute else " o'clock")
    mandarin = ("两" if hour == 2 else _zh_number(hour)) + "点"
    korean = _KO_NATIVE[hour] + " 시"
    if minute:
        mandarin += _zh_number(minute) + "分"
        korean += " " + _ko_number(minute) + " 분"
    return english, mandarin, korean


def draw(rng: random.Random) -> dict[str, str]:
    """One sentence in every language: {"en": ..., "zh": ..., "ko": ...}."""
    pick = rng.choice
    name, place, building = pick(_NAMES), pick(_PLACES), pick(_BUILDINGS)
    weather, day, when = pick(_WEATHER), pick(_DAYS), pick(_WHEN)
    event, thing, colour = pick(_EVENTS), pick(_THINGS), pick(_COLOURS)
    food, state, system = pick(_FOOD), pick(_STATES), pick(_SYSTEMS)
    hour, minute = rng.randint(1, 12), pick((0, 10, 15, 20, 30, 40, 45, 50))
    number = pick((rng.randint(0, 99), rng.randint(100, 999)))
    digits = [rng.randint(0, 9) for _ in range(rng.randint(3, 6))]
    count = rng.randint(2, 12)
    time = _clock(hour, minute)
    zh_count = "两" if count == 2 else _zh_number(count)
    frames: tuple[Callable[[], Row], ...] = (
        lambda: pick(_PHRASES),
        lambda: (f"My name is {name[0]}.", f"我的名字是{name[1]}。", f"제 이름은 {name[2]}입니다."),
        lambda: (
            f"{_cap(event[0])} starts at {time[0]} on {day[0]}.",
            f"{event[1]}{day[1]}{time[1]}开始。",
            f"{_josa(event[2], '은', '는')} {day[2]} {time[2]}에 시작합니다.",
        ),
        lambda: (
            f"It is {weather[0]} in {place[0]} {when[0]}.",
            f"{when[1]}{place[1]}{weather[1]}。",
            f"{when[2]} {_josa(place[2], '은', '는')} {weather[2]}.",
        ),
        lambda: (
            f"Where is {building[0]}?",
            f"{building[1]}在哪里？",
            f"{_josa(building[2], '은', '는')} 어디에 있습니까?",
        ),
        lambda: (
            f"Please go to {building[0]}.",
            f"请去{building[1]}。",
            f"{_josa(building[2], '으로', '로')} 가 주세요.",
        ),
        lambda: (
            f"{_cap(thing[0])} is {colour[0]}.",
            f"{thing[1]}是{colour[1]}的。",
            f"{_josa(thing[2], '은', '는')} {colour[2]}입니다.",
        ),
        lambda: (
            f"I would like {_en_number(count)} {food[0]}.",
            f"我想要{zh_count}个{food[1]}。",
            f"{food[2]} {_KO_NATIVE[count]} 개 주세요.",
        ),
        lambda: (
            f"{_cap(system[0])} is {state[0]}.",
            f"{system[1]}{state[1]}。",
            f"{_josa(system[2], '이', '가')} {state[2]}.",
        ),
        lambda: (
            f"The number is {_en_number(number)}.",
            f"号码是{_zh_number(number)}。",
            f"번호는 {_ko_number(number)}입니다.",
        ),
        lambda: (
            " ".join(UNITS[d] for d in digits).capitalize() + ".",
            "".join(_ZH[d] for d in digits) + "。",
            " ".join(_KO[d] for d in digits) + ".",
        ),
        lambda: (
            f"{name[0]} lives in {place[0]}.",
            f"{name[1]}住在{place[1]}。",
            f"{_josa(name[2], '은', '는')} {place[2]}에 삽니다.",
        ),
        lambda: (
            f"I will meet {name[0]} at {building[0]} on {day[0]}.",
            f"{day[1]}我在{building[1]}见{name[1]}。",
            f"{day[2]}에 {building[2]}에서 {_josa(name[2], '을', '를')} 만납니다.",
        ),
    )
    return dict(zip(LANGUAGES, rng.choice(frames)(), strict=True))


def is_held_out(english: str) -> bool:
    """Whether a sentence, named by its English text, is kept out of training."""
    return (
        _MANY_COMBINATIONS.match(english) is not None
        and zlib.crc32(english.encode()) % HELD_OUT_ONE_IN == 0
    )


def draw_for(rng: random.Random, held_out: bool) -> dict[str, str]:
    """One sentence for training, or for tests: then a held-out one where its frame has any.

    The frames keep the shares that `draw` gives them.
    """
    sentence = draw(rng)
    if held_out and _MANY_COMBINATIONS.match(sentence["en"]):
        while not is_held_out(sentence["en"]):
            sentence = draw(rng)
    while not held_out and is_held_out(sentence["en"]):
        sentence = draw(rng)
    return sentence
