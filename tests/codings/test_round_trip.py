"""What was encoded is what is decoded, by every coding; damage is a ValueError."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from jaxcompress import codings
from jaxcompress.codings import CODINGS

ALPHABETS = st.one_of(st.integers(1, 20), st.sampled_from([256, 1024, 1025, 5000, 65536]))


@st.composite
def inputs(draw: st.DrawFn) -> tuple[np.ndarray, int, np.ndarray | None]:
    """Symbols, how many there are, and a mask or none."""
    alphabet, total = draw(ALPHABETS), draw(st.integers(0, 60))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    used = int(rng.integers(1, alphabet + 1)) if draw(st.booleans()) else 1
    kept = None
    if draw(st.booleans()):
        kept = rng.random(total) < draw(st.sampled_from([0.0, 0.03, 0.5, 1.0]))
    count = total if kept is None else int(kept.sum())
    return rng.integers(alphabet - used, alphabet, count).astype(np.int32), alphabet, kept


def decoded(coding: str, data: bytes, alphabet: int, total: int, masked: bool):
    """Decodes what may be damaged; checks that what comes out could have been put in."""
    symbols, kept = codings.decode(coding, data, alphabet, total, masked)
    assert symbols.dtype == np.int32 and (kept is None) == (not masked)
    assert symbols.size == (total if kept is None else kept.sum())
    assert kept is None or kept.shape == (total,)
    assert ((symbols >= 0) & (symbols < alphabet)).all()
    return symbols, kept


@pytest.mark.parametrize("coding", CODINGS)
@settings(max_examples=100, deadline=None)
@given(given=inputs())
def test_round_trip(coding: str, given: tuple[np.ndarray, int, np.ndarray | None]) -> None:
    symbols, alphabet, kept = given
    total = symbols.size if kept is None else kept.size
    data = codings.encode(coding, symbols, alphabet, kept)
    found, mask = decoded(coding, data, alphabet, total, kept is not None)
    np.testing.assert_array_equal(found, symbols)
    np.testing.assert_array_equal(mask, kept)
    # It knows its own end: too little and too much are both noticed.
    for wrong in (data[:-1], data + b"\0"):
        if wrong != data:
            with pytest.raises(ValueError, match="too"):
                codings.decode(coding, wrong, alphabet, total, kept is not None)


@pytest.mark.parametrize("coding", CODINGS)
@settings(max_examples=100, deadline=None)
@given(given=inputs(), place=st.integers(0, 10**6), data=st.binary(max_size=40))
def test_damage_is_an_error_or_other_symbols(
    coding: str,
    given: tuple[np.ndarray, int, np.ndarray | None],
    place: int,
    data: bytes,
) -> None:
    symbols, alphabet, kept = given
    total = symbols.size if kept is None else kept.size
    good = bytearray(codings.encode(coding, symbols, alphabet, kept))
    if good:
        good[place // 8 % len(good)] ^= 1 << place % 8
    for broken in (bytes(good), data):
        try:
            decoded(coding, broken, alphabet, total, kept is not None)
        except ValueError as error:
            assert "the data are" in str(error) or "symbols run from" in str(error)


@pytest.mark.parametrize("coding", CODINGS)
def test_large_inputs_pass_the_chunks(coding: str) -> None:
    rng = np.random.default_rng(0)
    kept = rng.random(300_000) < 0.4
    symbols = np.minimum(rng.geometric(0.1, int(kept.sum())) - 1, 99).astype(np.int32)
    data = codings.encode(coding, symbols, 100, kept)
    found, mask = codings.decode(coding, data, 100, kept.size, masked=True)
    assert (found == symbols).all()
    assert (mask == kept).all()


def test_one_stream_holds_many() -> None:
    rng = np.random.default_rng(1)
    whole, wanted = b"", []
    for coding in CODINGS:
        symbols = rng.integers(0, 5, 33).astype(np.int32)
        wanted.append(symbols)
        whole += codings.encode(coding, symbols, 5)
    reader = codings.Reader(whole)
    for coding, symbols in zip(CODINGS, wanted, strict=True):
        found, _ = codings.read(coding, reader, 5, 33)
        assert (found == symbols).all()
    assert reader.rest.size == 0


def test_dense_by_hand() -> None:
    symbols = np.asarray([2, 0, 1])
    # 10 00 01, and two bits to fill the byte.
    assert codings.encode("dense", symbols, 3) == bytes([0b10000100])
    kept = np.asarray([True, False, True, True])
    # One more symbol, 0, for what is not kept: 11 00 01 10.
    assert codings.encode("dense", symbols, 3, kept) == bytes([0b11000110])
    # With 4 symbols it needs a third bit: 011 000 001 010.
    assert codings.encode("dense", symbols, 4, kept) == bytes([0b01100000, 0b10100000])


def test_coo_by_hand() -> None:
    kept = np.zeros(9, bool)
    kept[[1, 8]] = True
    # 2 of at most 9 as 0010; positions below 9 as 0001 1000; symbols 10 01.
    wanted = bytes([0b00100001, 0b10001001])
    assert codings.encode("coo", np.asarray([2, 1]), 4, kept) == wanted


def test_csr_by_hand() -> None:
    kept = np.zeros(20, bool)
    kept[13] = True
    # Gaps of 4 bits (2 above the least: 010), one field (of at most 20: 00001), a gap of
    # 13, and symbol 2 of 4.
    wanted = bytes([0b01000001, 0b11011000])
    assert codings.encode("csr", np.asarray([2]), 4, kept) == wanted


def test_csr_escapes_by_hand() -> None:
    kept = np.zeros(40, bool)
    kept[:10] = kept[30] = True
    # A gap of 20 = 6 * 3 + 2: six escapes of 2 bits, then 2. With 3 bits there would be
    # 13 fields and 39 bits, with 2 there are 17 fields and 34 bits.
    bits = "000" + "010001" + "00" * 10 + "11" * 6 + "10"
    wanted = int(bits.ljust(48, "0"), 2).to_bytes(6, "big")
    assert codings.encode("csr", np.zeros(11, int), 1, kept) == wanted


def test_refusals() -> None:
    one = np.zeros(1, np.int32)
    with pytest.raises(ValueError, match=r"'zip'; allowed: .*range"):
        codings.encode("zip", one, 2)
    with pytest.raises(ValueError, match=r"from 0 to 2; an alphabet of 2 allows 0\.\.1"):
        codings.encode("dense", np.asarray([0, 2]), 2)
    with pytest.raises(ValueError, match="run from -1"):
        codings.encode("range", np.asarray([-1]), 2)
    with pytest.raises(ValueError, match="1 symbols for 2 kept"):
        codings.encode("csr", one, 2, np.ones(2, bool))
    for alphabet in (0, 65537):
        with pytest.raises(ValueError, match=rf"{alphabet} symbols; allowed: 1\.\.65536"):
            codings.encode("dense", one, alphabet)
    with pytest.raises(ValueError, match="-1 positions"):
        codings.decode("dense", b"", 2, -1)
