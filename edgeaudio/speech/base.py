"""What the recognisers of all protocols have in common: one call at a time, which another thread can end.

Owns: the call in progress. Does not know: protocols.
"""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Final

from edgeaudio.pcm import pcm_of
from edgeaudio.redact import mask
from edgeaudio.speech.answer import AnswerError, short_name
from edgeaudio.speech.config import Address, RecogniserConfig, authorization, secrets_of
from edgeaudio.speech.connection import Call, Wire, verifying_context
from edgeaudio.speech.language import code_of
from edgeaudio.speech.recogniser import Recognition
from edgeaudio.types import Samples
from edgeaudio.urls import HIDDEN

MAX_WORDS: Final = 1000  # characters that are looked at


class NetworkRecogniser(ABC):
    """A recogniser on a server. `close` ends a call in progress; a later one connects again."""

    def __init__(self, address: Address, config: RecogniserConfig, name: str) -> None:
        """Raises RecogniserError for two logins."""
        self.name = name
        self._address = address
        self._config = config
        self._call: Call | None = None
        self._context: ssl.SSLContext | None = None
        self._login = authorization(address, config)
        self._secrets = secrets_of(address, config)

    def recognise(self, samples: Samples) -> Recognition:
        """See SpeechRecogniser."""
        if not len(samples):
            return Recognition("")
        call = self._call = Call(self._address.where, self._config.timeout_s)
        try:
            answer = self._ask(call, pcm_of(samples))
        except AnswerError as error:
            raise call.nonsense(str(error)) from None
        finally:
            self._call = None
            call.release()
        # a language that was asked for is the text's, where the server does not say
        return answer if answer.language else replace(answer, language=code_of(self._config.language))

    def close(self) -> None:
        """See SpeechRecogniser. A call that begins at the same moment may be missed: it has its time limit."""
        if (call := self._call) is not None:
            call.end()

    @abstractmethod
    def _ask(self, call: Call, pcm: bytes) -> Recognition:
        """Return what the server says of PCM at UTTERANCE_RATE. Raises RecogniserError, and AnswerError."""

    def _words(self, value: object, most: int) -> str | None:
        """Return words of the server, as they can be shown, without what is secret; None for none."""
        if not isinstance(value, str):
            return None
        for secret in self._secrets:  # before it is shortened: the half of a key is one, too
            value = value.replace(secret, HIDDEN)
        return short_name(mask(value[:MAX_WORDS]), most)

    def _connect(self, call: Call) -> Wire:
        if self._address.tls and self._context is None:
            self._context = verifying_context()
        return call.connect(self._address, self._context)
