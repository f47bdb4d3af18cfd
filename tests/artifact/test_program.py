"""What is in the program part, and what is not."""

import re
import zlib

import jax
from network.zoo import ZOO

import jaxcompress as jc
from jaxcompress.artifact import program


def test_a_program_tells_nothing_of_who_wrote_it_and_where() -> None:
    network = jc.trace(*ZOO["mlp"](jax.random.key(0))[:3])

    def another_caller() -> bytes:
        return program.encode(network)

    encoded = program.encode(network)
    assert another_caller() == encoded
    words = re.findall(rb"[\x20-\x7e]{3,}", zlib.decompress(encoded))
    assert b"vhlo" in words
    here = [word for word in words if b".py" in word or b"another_caller" in word]
    assert not here
