"""Languages as recognisers name them, as two letters.

Owns: Whisper's names of languages: OpenAI and whisper.cpp answer "english" where others answer "en".
"""

from __future__ import annotations

import re
from typing import Final

# ISO 639-1, in the order of the codes; three languages of Whisper have no code of two letters: hawaiian, cantonese and
# javanese, whose code in Whisper ("jw") is not that of the standard ("jv")
_NAMES: Final = (
    "af=afrikaans,am=amharic,ar=arabic,as=assamese,az=azerbaijani,ba=bashkir,be=belarusian,bg=bulgarian,"
    "bn=bengali,bo=tibetan,br=breton,bs=bosnian,ca=catalan,cs=czech,cy=welsh,da=danish,de=german,el=greek,"
    "en=english,es=spanish,et=estonian,eu=basque,fa=persian,fi=finnish,fo=faroese,fr=french,gl=galician,"
    "gu=gujarati,ha=hausa,he=hebrew,hi=hindi,hr=croatian,ht=haitian creole,hu=hungarian,hy=armenian,"
    "id=indonesian,is=icelandic,it=italian,ja=japanese,jv=javanese,ka=georgian,kk=kazakh,km=khmer,kn=kannada,"
    "ko=korean,la=latin,lb=luxembourgish,ln=lingala,lo=lao,lt=lithuanian,lv=latvian,mg=malagasy,mi=maori,"
    "mk=macedonian,ml=malayalam,mn=mongolian,mr=marathi,ms=malay,mt=maltese,my=myanmar,ne=nepali,nl=dutch,"
    "nn=nynorsk,no=norwegian,oc=occitan,pa=punjabi,pl=polish,ps=pashto,pt=portuguese,ro=romanian,ru=russian,"
    "sa=sanskrit,sd=sindhi,si=sinhala,sk=slovak,sl=slovenian,sn=shona,so=somali,sq=albanian,sr=serbian,"
    "su=sundanese,sv=swedish,sw=swahili,ta=tamil,te=telugu,tg=tajik,th=thai,tk=turkmen,tl=tagalog,tr=turkish,"
    "tt=tatar,uk=ukrainian,ur=urdu,uz=uzbek,vi=vietnamese,yi=yiddish,yo=yoruba,zh=chinese,jv=jw,zh=mandarin,"
    "my=burmese,es=castilian,nl=flemish,"
)
_CODES: Final[dict[str, str]] = {name: code for code, name in re.findall(r"(\w\w)=([a-z ]+)", _NAMES)}


def code_of(value: object) -> str | None:
    """Return the two letters of a language that is named or coded ("english", "en", "en-US"); None: not known."""
    if not isinstance(value, str) or len(value) > 40:
        return None
    word = value.strip().lower()
    if word in _CODES:
        return _CODES[word]
    found = re.fullmatch(r"([a-z]{2})([-_][a-z0-9-_]*)?", word)
    return found[1] if found else None


def tagged_language(text: object) -> str | None:
    """Return the language that SenseVoice writes before a text, as in `<|zh|><|NEUTRAL|><|Speech|>`; None: none."""
    found = re.match(r"\s*<\|([a-z]{2})\|>", text) if isinstance(text, str) else None
    return found[1] if found else None
