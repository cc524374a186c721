"""Errors of the TFLite runtime in one line: the operator, and what to do.

The patterns match the messages of ai-edge-litert 2 and tflite-runtime 2.14.
"""

from __future__ import annotations

import re
import textwrap

MAX_LENGTH = 500
_FLEX = re.compile(r"\((Flex\w+)\)")
_CUSTOM = re.compile(r"unresolved custom op: ([^\s.]+)")
_VERSION = re.compile(r"Didn't find op for builtin opcode '(\w+)' version '(\d+)'")
# sentences may end without a space: "See https://...ops_selectNode number 1 (X) failed to prepare.Node ..."
_SENTENCES = re.compile(r"(?<=\.)\s+(?=[A-Z])|(?<=[\w.)])(?=Node number \d)|(?<=\w\.)(?=[A-Z])")


def explained(error: Exception, runtime: str) -> str:
    """Return the error in one line; `runtime` is the runtime's name."""
    text = " ".join(str(error).split())
    if found := _FLEX.search(text):
        return (
            f"needs {found[1]}, an operator of TensorFlow itself, which {runtime} has not: convert the model without "
            "SELECT_TF_OPS"
        )
    if found := _CUSTOM.search(text):
        return (
            f"needs {found[1]}, an operator that is not TFLite's own: convert the model without allow_custom_ops, or "
            "leave that operator out of it"
        )
    if found := _VERSION.search(text):
        return (
            f"needs {found[1]} in version {found[2]}, which {runtime} has not: convert the model with an older "
            "TensorFlow, or run it with a newer runtime"
        )
    return _whole_sentences(text)


def _whole_sentences(text: str) -> str:
    """Return each sentence once; of a text that is too long the first ones and the last, which names the operator."""
    sentences = list(dict.fromkeys(_SENTENCES.split(text)))
    kept = [textwrap.shorten(sentence, MAX_LENGTH, placeholder=" ...") for sentence in sentences]
    while len(kept) > 1 and len(" ".join(kept)) > MAX_LENGTH:
        del kept[-2]
    return " ".join(kept)
