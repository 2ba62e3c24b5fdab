"""Make `tests/data/mel_reference.npz`: openai-whisper's own log-mel of a real recording.

    python tools/reference/mel_reference.py tests/data/jfk.wav tests/data/mel_reference.npz

Needs openai-whisper (and so torch), which the tests themselves do not. Every 7th frame is kept, for
80 and for 128 mel bands: `mel_80` and `mel_128`, float32 (frames, mels).
"""

from __future__ import annotations

import argparse
import wave
from pathlib import Path

import numpy as np
from whisper.audio import log_mel_spectrogram

STRIDE = 7


def main() -> None:
    """Read the recording, compute both spectrograms, write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    with wave.open(str(arguments.recording)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    samples = pcm.astype(np.float32) / 32768.0
    frames = len(pcm) // 160
    spectra = {
        f"mel_{mels}": log_mel_spectrogram(samples, mels, padding=480_000)
        .numpy()
        .T[:frames][::STRIDE]
        for mels in (80, 128)
    }
    np.savez_compressed(arguments.out, **spectra)


if __name__ == "__main__":
    main()
