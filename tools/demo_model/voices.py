"""The two synthesizers: espeak-ng, driven in process through its C library, and the program flite.

Both say when each word begins. espeak-ng reports it while it synthesizes; for flite it follows
from the end times of the phones and the number of phones of each word.
espeak-ng's library keeps global state: one `Espeak` per process, never shared between threads.
"""

from __future__ import annotations

import ctypes
import random
import re
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import soxr
from numpy.typing import NDArray
from speech import RATE_HZ, Samples, Utterance, Word, split_words, to_pcm, trim

_SYNCHRONOUS, _UTF8, _WORD, _LIST_END = 2, 1, 1, 0
_RATE_PARAMETER, _PITCH_PARAMETER, _RANGE_PARAMETER = 1, 3, 4

ESPEAK_ACCENTS: Final = {
    "en": (  # plain "en" is British
        ("en-us", 5),
        ("en", 3),
        ("en-gb-scotland", 1),
        ("en-gb-x-rp", 1),
        ("en-gb-x-gbclan", 1),
        ("en-us-nyc", 1),
    ),
    # cmn reads Mandarin through pinyin and, as Debian ships it, partly as if it were English.
    "zh": (("cmn-latn-pinyin", 3), ("cmn", 2)),
    "ko": (("ko", 1),),
}
TRAINING_VARIANTS: Final = (
    *("", "", "m1", "m2", "m3", "m4", "m6", "m7", "f1", "f2", "f3", "f4", "f5"),
    *("Alex", "Alicia", "Andrea", "Andy", "antonio", "aunty", "belinda", "benjamin", "boris"),
    *("caleb", "david", "Denis", "Diogo", "ed", "edward", "Gene", "Henrique", "Hugo", "iven"),
    *("iven2", "Jacky", "Lee", "marcelo", "Marco", "Mario", "max", "Michael", "michel", "Miguel"),
    *("Mike", "norbert", "pablo", "paul", "pedro", "quincy", "rob", "robert", "sandro", "shelby"),
    *("steph", "steph2", "travis", "victor", "Zac", "anika", "grandpa"),
)
HELD_OUT_VARIANTS: Final = (
    *("m5", "m8", "Annie", "linda", "john", "adam", "steph3", "Gene2", "iven3"),
)
FLITE_VOICES: Final = ("slt", "rms", "awb", "kal16")
HELD_OUT_FLITE_VOICES: Final = ("kal", "slt", "rms", "awb")
_TRAINING_STRETCH, _HELD_OUT_STRETCH = ((0.8, 0.98), (1.06, 1.25)), ((0.99, 1.05),)
FLITE_SHARE: Final = 0.4


class _Event(ctypes.Structure):
    """espeak_EVENT of espeak-ng's speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True)
class EspeakVoice:
    """A voice of espeak-ng: `name` as its -v option takes it, e.g. en-us+m3."""

    name: str
    words_per_minute: int
    pitch: int
    pitch_range: int

    def __str__(self) -> str:
        return f"espeak-ng {self.name} {self.words_per_minute} {self.pitch} {self.pitch_range}"


@dataclass(frozen=True)
class FliteVoice:
    """A voice of flite; stretch multiplies every duration."""

    name: str
    stretch: float

    def __str__(self) -> str:
        return f"flite {self.name} {self.stretch:.2f}"


class Espeak:
    """espeak-ng's library in this process."""

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL("libespeak-ng.so.1")
        self._rate_hz = int(self._library.espeak_Initialize(_SYNCHRONOUS, 0, None, 0))
        if self._rate_hz <= 0:
            raise RuntimeError("espeak-ng did not start: is the package espeak-ng-data installed?")
        self._chunks: list[NDArray[np.int16]] = []
        self._words: list[tuple[int, int]] = []
        self._callback = _CALLBACK(self._receive)  # kept alive as long as the library may call it
        self._library.espeak_SetSynthCallback(self._callback)

    def _receive(self, samples: Any, count: int, events: Any) -> int:
        if count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        i = 0
        while events[i].type != _LIST_END:
            if events[i].type == _WORD:
                self._words.append((events[i].text_position - 1, events[i].sample))
            i += 1
        return 0

    def say(self, text: str, voice: EspeakVoice) -> tuple[Samples, list[tuple[int, float]]]:
        """Samples at 16 kHz, and for each word its offset in the text and its start in seconds."""
        self._chunks.clear()
        self._words.clear()
        if self._library.espeak_SetVoiceByName(voice.name.encode()):
            raise ValueError(f"espeak-ng has no voice {voice.name!r}")
        for parameter, value in (
            (_RATE_PARAMETER, voice.words_per_minute),
            (_PITCH_PARAMETER, voice.pitch),
            (_RANGE_PARAMETER, voice.pitch_range),
        ):
            self._library.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, _UTF8, None, None)
        if not self._chunks:
            return np.zeros(0, np.float32), []
        samples = np.concatenate(self._chunks).astype(np.float32) / 32768.0
        starts = [(position, sample / self._rate_hz) for position, sample in self._words]
        return soxr.resample(samples, self._rate_hz, RATE_HZ), starts


def _words_from_starts(
    text: str, language: str, starts: list[tuple[int, float]], cut_s: float, end_s: float
) -> tuple[Word, ...]:
    """Word times out of (offset in the text, start); () when a word has no start of its own."""
    words = split_words(text, language)
    begins: list[float] = []
    for offset, word in words:
        inside = [s for p, s in starts if offset <= p < offset + len(word)]
        if not inside:
            return ()
        begins.append(max(inside[0] - cut_s, 0.0))
    ends = [*begins[1:], end_s]
    if any(b <= a for a, b in zip(begins, ends, strict=True)):
        return ()
    return tuple(
        Word(word, round(a, 3), round(b, 3))
        for (_, word), a, b in zip(words, begins, ends, strict=True)
    )


def say_espeak(
    espeak: Espeak, sentence: dict[str, str], language: str, voice: EspeakVoice
) -> Utterance:
    """A sentence spoken by espeak-ng, silence around it trimmed."""
    text = sentence[language]
    samples, starts = espeak.say(text, voice)
    samples, cut_s = trim(samples)
    words = _words_from_starts(text, language, starts, cut_s, samples.size / RATE_HZ - 0.05)
    return Utterance(to_pcm(samples), language, text, sentence["en"], str(voice), words)


def _flite(arguments: list[str]) -> str:
    done = subprocess.run(["flite", *arguments], check=True, capture_output=True, text=True)
    return done.stdout


@cache
def _phone_count(word: str) -> int:
    return len(
        _flite(["-voice", "kal16", "-ps", "-t", word, "-o", "none"]).replace("pau", "").split()
    )


def _flite_words(text: str, segments: str, cut_s: float) -> tuple[Word, ...]:
    """Word times from flite's `phone:end` list; () when the phones do not add up."""
    phones = [(p, float(end)) for p, end in re.findall(r"(\S+):([\d.]+)", segments)]
    spoken = [
        (before[1] if before else 0.0, end)
        for before, (phone, end) in zip([None, *phones], phones, strict=False)
        if phone != "pau"
    ]
    words = [word for _, word in split_words(text, "en")]
    counts = [_phone_count(word) for word in words]
    if sum(counts) != len(spoken):
        return ()
    out, at = [], 0
    for word, count in zip(words, counts, strict=True):
        start, end = spoken[at][0] - cut_s, spoken[at + count - 1][1] - cut_s
        out.append(Word(word, round(max(start, 0.0), 3), round(end, 3)))
        at += count
    return tuple(out)


def say_flite(sentence: dict[str, str], voice: FliteVoice) -> Utterance:
    """An English sentence spoken by flite, silence around it trimmed."""
    text = sentence["en"]
    with tempfile.NamedTemporaryFile(suffix=".wav") as out:
        stretch = f"duration_stretch={voice.stretch:.2f}"
        options = ["-voice", voice.name, "--setf", stretch, "-psdur", "-t", text, "-o", out.name]
        segments = _flite(options)
        with wave.open(out.name) as file:
            rate_hz = file.getframerate()
            pcm = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    samples = pcm.astype(np.float32) / 32768.0
    if rate_hz != RATE_HZ:
        samples = soxr.resample(samples, rate_hz, RATE_HZ)
    samples, cut_s = trim(samples)
    words = _flite_words(text, segments, cut_s)
    return Utterance(to_pcm(samples), "en", text, text, str(voice), words)


def draw_voice(rng: random.Random, language: str, held_out: bool) -> EspeakVoice | FliteVoice:
    """A random voice for a language; held-out variants and rates are never trained."""
    if language == "en" and rng.random() < FLITE_SHARE:
        names = HELD_OUT_FLITE_VOICES if held_out else FLITE_VOICES
        low, high = rng.choice(_HELD_OUT_STRETCH if held_out else _TRAINING_STRETCH)
        return FliteVoice(rng.choice(names), round(rng.uniform(low, high), 2))
    accents, weights = zip(*ESPEAK_ACCENTS[language], strict=True)
    variant = rng.choice(HELD_OUT_VARIANTS if held_out else TRAINING_VARIANTS)
    name = rng.choices(accents, weights)[0] + (f"+{variant}" if variant else "")
    return EspeakVoice(name, rng.randint(130, 210), rng.randint(25, 75), rng.randint(30, 70))


def is_held_out_voice(label: str) -> bool:
    """Whether no sentence by this voice (see `Utterance.voice`) is trained on, at any rate."""
    engine, name, *_ = label.split()
    if engine == "flite":
        return name not in FLITE_VOICES
    return engine == "espeak-ng" and name.partition("+")[2] in HELD_OUT_VARIANTS


def say(
    espeak: Espeak, sentence: dict[str, str], language: str, rng: random.Random, held_out: bool
) -> Utterance:
    """A sentence in one of its languages by a random voice."""
    voice = draw_voice(rng, language, held_out)
    if isinstance(voice, FliteVoice):
        return say_flite(sentence, voice)
    return say_espeak(espeak, sentence, language, voice)
