# ruff: noqa: RUF001 - other scripts have letters that look like Latin ones
"""Speech to train models/home on: spoken digits strung together, and sentences that espeak-ng reads aloud.

Owns: the sentences, voices and speakers that may be trained on. Does not know: rooms, microphones.

Evaluation has other voices and sentences (`held_out_speech.py`), and a speaker who is held out here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tools.synth.espeak import speak
from tools.training.corpus import HELD_OUT_SPEAKER
from tools.training.recordings import read_audio, without_padding

Samples = NDArray[np.float32]

ENGLISH = (
    "The parcel came while you were out, it is behind the gate.", "Can you feed the hens before it gets dark?",
    "I think we should leave the car and walk to the market.", "He has lost his keys again, look under the newspaper.",
)  # fmt: skip
SENTENCES: dict[str, tuple[str, ...]] = {
    "en-029": ENGLISH,
    "en-gb-scotland": ENGLISH,
    "en-gb-x-gbclan": ENGLISH,
    "en-gb-x-gbcwmd": ENGLISH,
    "en-gb-x-rp": ENGLISH,
    "en-us-nyc": ENGLISH,
    "bg": ("Затвори ли вратата?", "Вечерята е готова.", "Утре ще отидем на пазар.", "Децата играят на двора."),
    "ca": ("Has tancat la porta del garatge?", "Avui soparem a casa dels avis.",
           "El gat dorm damunt de la cadira.", "Demà al matí plourà molt."),
    "cs": ("Zavřel jsi vrata od stodoly?", "Polévka bude za chvíli hotová.",
           "Vlak má zase zpoždění.", "Zítra půjdeme s dětmi do lesa."),
    "da": ("Har du husket at lukke vinduet?", "Vi spiser klokken seks i aften.",
           "Hunden skal ud at gå før regnen kommer.", "Min søster bor lige ved siden af skolen."),
    "el": ("Έκλεισες την πόρτα;", "Ο καφές είναι έτοιμος.", "Αύριο θα πάμε στη θάλασσα.",
           "Η γιαγιά ποτίζει τα λουλούδια."),
    "et": ("Kas sa paned ukse kinni?", "Vanaema küpsetab täna leiba.",
           "Buss tuleb viie minuti pärast.", "Lapsed mängivad õues lumes."),
    "fi": ("Missä minun avaimeni ovat?", "Kahvi on jo valmista.",
           "Naapurin koira haukkuu koko yön.", "Huomenna lähdemme mökille järven rannalle."),
    "hi": ("क्या तुमने दरवाज़ा बंद किया?", "चाय तैयार है।", "कल सुबह बारिश होगी।", "बच्चे बगीचे में खेल रहे हैं।"),
    "hr": ("Jesi li zatvorio prozor?", "Večera je na stolu.", "Sutra idemo na more.", "Susjedov pas opet laje."),
    "hu": ("Bezártad a kaput este?", "A leves még forró, várj egy kicsit.",
           "Holnap korán kell felkelnünk.", "A szomszéd kertjében alszik a macska."),
    "id": ("Apakah pintunya sudah dikunci?", "Nasi gorengnya sudah matang.",
           "Besok pagi kami pergi ke pasar.", "Ayah sedang memperbaiki sepeda di halaman."),
    "is": ("Viltu koma með mér í búðina?", "Kaffið er tilbúið í eldhúsinu.",
           "Hesturinn stendur úti í rigningunni.", "Við förum heim klukkan átta."),
    "ja": ("まどを しめて ください。", "ごはんが できました。",
           "あしたは あめが ふる でしょう。", "いぬと さんぽに いきます。"),
    "ka": ("კარი დაკეტე?", "სადილი მზად არის.", "ხვალ წვიმა იქნება.", "ბავშვები ეზოში თამაშობენ."),
    "ko": ("문을 닫았어요?", "저녁이 준비되었습니다.", "내일은 비가 온대요.", "할머니가 마당에 계세요."),
    "nb": ("Kan du hente melk på vei hjem?", "Bilen står utenfor garasjen.",
           "Barna leker i hagen bak huset.", "I morgen blir det kaldt og snø."),
    "nl": ("Heb je de achterdeur op slot gedaan?", "De soep staat nog op het vuur.",
           "Morgen komt mijn broer met de trein.", "Het regent al de hele dag, neem een paraplu mee."),
    "pt": ("Fechaste a janela da cozinha?", "O autocarro chega daqui a dez minutos.",
           "A minha avó faz o melhor pão da aldeia.", "Amanhã vamos à praia se não chover."),
    "pt-br": ("Você já deu comida para o cachorro?", "O ônibus está atrasado de novo.",
              "Vamos tomar um café na varanda.", "Minha irmã ligou ontem à noite."),
    "ro": ("Ai închis lumina din bucătărie?", "Trenul pleacă peste un sfert de oră.",
           "Bunica a pus masa în grădină.", "Mâine mergem la piață după mere."),
    "ta": ("கதவை மூடினாயா?", "சாப்பாடு தயாராக இருக்கிறது.", "நாளை மழை பெய்யும்.",
           "குழந்தைகள் வெளியே விளையாடுகிறார்கள்."),
    "vi": ("Bạn đã đóng cửa chưa?", "Cơm chín rồi, vào ăn đi.", "Ngày mai trời sẽ mưa.",
           "Con mèo đang ngủ trên ghế."),
}  # fmt: skip
# Each sounds different from the plain voice, "". A name that espeak-ng does not know would be the plain voice again,
# without a word: these were compared.
VARIANTS = (
    "", "m3", "m6", "m8", "croak", "whisper", "whisperf", "klatt", "klatt2", "Andrea", "Alicia", "Annie", "Denis",
    "Hugo", "Jacky", "Lee", "Mike", "Nguyen", "anika", "aunty", "belinda", "grandma", "grandpa", "linda", "robert",
    "steph", "victor",
)  # fmt: skip

PAUSE_S = (0.05, 0.6)  # between digits read out by somebody


def training_speakers(digits: Sequence[Path]) -> tuple[tuple[Path, ...], ...]:
    """Return recordings `digit_speaker_take`, grouped by speaker, without those of the speaker who is held out."""
    speakers: dict[str, list[Path]] = defaultdict(list)
    for path in digits:
        speakers[path.stem.split("_")[1]].append(path)
    return tuple(tuple(paths) for name, paths in sorted(speakers.items()) if name != HELD_OUT_SPEAKER)


def strung_digits(
    speakers: Sequence[Sequence[Path]], duration_s: float, sample_rate: int, rng: np.random.Generator
) -> Samples:
    """Return digits of one speaker with pauses between them: float32 (n,) of `duration_s` at `sample_rate`."""
    speaker = speakers[int(rng.integers(len(speakers)))]
    n = round(duration_s * sample_rate)
    pieces: list[Samples] = []
    while sum(map(len, pieces)) < n:
        pieces.append(without_padding(read_audio(speaker[int(rng.integers(len(speaker)))], sample_rate)))
        pieces.append(np.zeros(round(rng.uniform(*PAUSE_S) * sample_rate), dtype=np.float32))
    return np.concatenate(pieces)[:n]


def read_aloud(language: str, duration_s: float, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Return a stretch of sentences of one of SENTENCES' languages: float32 (n,) of `duration_s` at `sample_rate`.

    Raises:
        EdgeaudioError: espeak-ng is not installed, or refuses the voice.
    """
    variant = str(rng.choice(VARIANTS))
    voice = f"{language}+{variant}" if variant else language
    speed, pitch = int(rng.integers(110, 240)), int(rng.integers(15, 90))
    n = round(duration_s * sample_rate)
    spoken: list[Samples] = []
    while sum(map(len, spoken)) < n:
        text = " ".join(rng.permutation(SENTENCES[language]))
        spoken.append(without_padding(speak(text, voice, speed, pitch, sample_rate)))
    samples = np.concatenate(spoken)
    start = rng.integers(0, len(samples) - n + 1)
    return samples[start : start + n]
