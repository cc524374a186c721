"""Hashes of passwords: made, read within bounds, compared."""

from __future__ import annotations

import pytest

from edgeaudio.password_hashes import PasswordHash

# of passlib: scrypt.using(rounds=14, block_size=8, parallelism=1, salt=b"0123456789abcdef").hash("correct horse")
OF_PASSLIB = "$scrypt$ln=14,r=8,p=1$MDEyMzQ1Njc4OWFiY2RlZg$0LupyHkzAIgDr9UDsriAAf87vMbCbcaUfDvFOAHk0D0"


def test_a_hash_is_of_its_password_alone_and_survives_its_text() -> None:
    made = PasswordHash.of("grün ist schön")
    assert str(made).startswith("$scrypt$ln=14,r=8,p=5$")
    again = PasswordHash.parse(str(made))
    assert again == made
    assert again.matches("gru\u0308n ist scho\u0308n")  # as some keyboards write it
    assert not again.matches("grun ist schon")
    assert str(PasswordHash.of("grün ist schön")) != str(made)  # the salt is random


def test_hashes_of_other_programs_are_read() -> None:
    assert PasswordHash.parse(OF_PASSLIB).matches("correct horse")


def test_a_hash_is_not_in_its_repr() -> None:
    made = PasswordHash.parse(OF_PASSLIB)
    assert "salt" not in repr(made)
    assert "0123456789abcdef" not in repr(made)


def test_nobodys_hash_costs_as_much_and_has_no_password() -> None:
    made = PasswordHash.parse(OF_PASSLIB)
    other = made.like()
    assert (other.ln, other.r, other.p, len(other.digest)) == (made.ln, made.r, made.p, len(made.digest))
    assert not other.matches("correct horse")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("correct horse", "must be a hash that `edgeaudio dashboard --hash-password` prints"),
        ("", "must be a hash"),
        (OF_PASSLIB + "\n", "must be a hash"),
        (OF_PASSLIB.replace("scrypt", "argon2id"), "must be a hash"),
        (OF_PASSLIB.replace("ln=14", "ln=10"), "guessed too fast"),
        (OF_PASSLIB.replace("ln=14", "ln=0"), "guessed too fast"),
        (OF_PASSLIB.replace("r=8", "r=0"), "guessed too fast"),
        (OF_PASSLIB.replace("ln=14", "ln=99"), "guessed too fast"),
        (OF_PASSLIB.replace("ln=14", "ln=20"), "takes too long"),  # 1 GiB
        (OF_PASSLIB.replace("p=1", "p=999"), "takes too long"),
        (OF_PASSLIB.replace("r=8", "r=64"), "takes too long"),  # 128 MiB
        (OF_PASSLIB[:-1], "cut off or mistyped"),
        (OF_PASSLIB[:-2], "cut off or mistyped"),
    ],
)
def test_a_hash_that_is_none_or_costs_too_little_or_too_much_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        PasswordHash.parse(text)
    assert "MDEy" not in str(caught.value)
