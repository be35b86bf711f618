"""The one verifier against ZIP-215, with plain-Python curve arithmetic that shares nothing with it.

Run as a script, this file writes the vectors anew.
"""

import json
import threading
from hashlib import sha256, sha512
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.client.signing import SigningKey
from holdfast.primitives import crypto
from holdfast.primitives.check import BrokenInvariantError

VECTORS = Path(__file__).parents[2] / "vectors"
SMALL_ORDER = VECTORS / "zip215_small_order.json"
MIXED_ORDER = VECTORS / "zip215_mixed_order.json"
MESSAGE = b"Zcash"

# Edwards25519 in extended coordinates, as RFC 8032, section 5.1.4, gives them.
P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_MINUS_ONE = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]
NEUTRAL: Point = (0, 1, 1, 0)


def add(a: Point, b: Point) -> Point:
    minus, plus = (a[1] - a[0]) * (b[1] - b[0]), (a[1] + a[0]) * (b[1] + b[0])
    twisted, doubled = 2 * a[3] * b[3] * D % P, 2 * a[2] * b[2] % P
    e, f, g, h = (plus - minus) % P, doubled - twisted, doubled + twisted, (plus + minus) % P
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def is_same(a: Point, b: Point) -> bool:
    return (a[0] * b[2] - b[0] * a[2]) % P == 0 and (a[1] * b[2] - b[1] * a[2]) % P == 0


def is_small_order(point: Point) -> bool:
    return is_same(multiply(8, point), NEUTRAL)


def multiply(scalar: int, point: Point) -> Point:
    result = NEUTRAL
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point = add(point, point)
        scalar >>= 1
    return result


def encode(point: Point) -> bytes:
    inverse = pow(point[2], -1, P)
    x, y = point[0] * inverse % P, point[1] * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def decode(data: bytes) -> Point | None:
    """Decode as ZIP-215 does: an unreduced y is reduced, and the sign of a zero x is ignored."""
    number = int.from_bytes(data, "little")
    y, sign = number % 2**255 % P, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * SQRT_MINUS_ONE % P
    if x * x % P != square:
        return None
    x = P - x if x & 1 != sign and x else x
    return (x, y, 1, x * y % P)


BASE = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little")) or NEUTRAL


def challenge(public_key: bytes, message: bytes, signature: bytes) -> int:
    return int.from_bytes(sha512(signature[:32] + public_key + message).digest(), "little") % L


def verify_reference(public_key: bytes, message: bytes, signature: bytes, *, cofactor: int = 8) -> bool:
    """Verify by ZIP-215, or with cofactor 1 by the equation that ZIP-215 forbids."""
    key, commitment = decode(public_key), decode(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or s >= L:
        return False
    right = add(commitment, multiply(challenge(public_key, message, signature), key))
    return is_same(multiply(cofactor, multiply(s, BASE)), multiply(cofactor, right))


def torsion_points() -> list[Point]:
    """Return the eight points whose order divides eight, as multiples of one of order eight."""
    generator = next(
        multiply(L, point)
        for y in range(2, 100)
        if (point := decode(y.to_bytes(32, "little"))) and not is_same(multiply(4 * L, point), NEUTRAL)
    )
    return [multiply(index, generator) for index in range(8)]


def non_canonical_encodings() -> list[bytes]:
    """Return every encoding that decodes to a point but is not that point's own."""
    numbers = [y | sign << 255 for y in (1, P - 1, *range(P, 2**255)) for sign in (0, 1)]
    encodings = [number.to_bytes(32, "little") for number in numbers]
    return [data for data in encodings if (point := decode(data)) and encode(point) != data]


def small_order_encodings() -> list[bytes]:
    non_canonical = [data for data in non_canonical_encodings() if is_small_order(decode(data) or BASE)]
    return [encode(point) for point in torsion_points()] + non_canonical


def build_small_order() -> list[dict[str, str | bool]]:
    encodings = small_order_encodings()
    return [vector(key, commitment + bytes(32), MESSAGE) for key in encodings for commitment in encodings]


def build_mixed_order() -> list[dict[str, str | bool]]:
    """Sign with keys and commitments that carry a small-order part; only the signer can make these."""
    a, r = 0x1234567890ABCDEF << 128, 0xFEDCBA0987654321 << 128
    torsion = torsion_points()
    vectors = []
    for key_part in torsion:
        for commitment_part in (torsion[0], torsion[1], torsion[2], torsion[4]):
            key = encode(add(multiply(a, BASE), key_part))
            commitment = encode(add(multiply(r, BASE), commitment_part))
            s = (r + challenge(key, MESSAGE, commitment) * a) % L
            vectors.append(vector(key, commitment + s.to_bytes(32, "little"), MESSAGE))
    return vectors


def vector(key: bytes, signature: bytes, message: bytes) -> dict[str, str | bool]:
    return {
        "public_key": key.hex(),
        "signature": signature.hex(),
        "message": message.hex(),
        "zip215": verify_reference(key, message, signature),
        "cofactorless": verify_reference(key, message, signature, cofactor=1),
    }


def read(path: Path) -> list[tuple[bytes, bytes, bytes]]:
    vectors = json.loads(path.read_text())["vectors"]
    names = ("public_key", "message", "signature")
    return [
        (key, message, signature)
        for key, message, signature in ([bytes.fromhex(each[n]) for n in names] for each in vectors)
    ]


KEY = SigningKey(bytes(range(32)))
SIGNED = (KEY.public_key, b"message", KEY.sign(b"message"))


def test_small_order_vectors__zip215__all_196_verify() -> None:
    vectors = read(SMALL_ORDER)
    assert len(set(vectors)) == 196
    assert crypto.verify_many(vectors) == [True] * 196
    assert all(crypto.verify(*each) for each in vectors)


def test_mixed_order_vectors__zip215__all_32_verify() -> None:
    vectors = read(MIXED_ORDER)
    assert len(set(vectors)) == 32
    assert crypto.verify_many(vectors) == [True] * 32


@pytest.mark.parametrize(
    ("path", "zip215", "cofactorless"), [(SMALL_ORDER, 196, 39), (MIXED_ORDER, 32, 6)], ids=["small", "mixed"]
)
def test_vector_files__counted__show_what_a_cofactorless_verifier_would_split_on(
    path: Path, zip215: int, cofactorless: int
) -> None:
    vectors = json.loads(path.read_text())["vectors"]
    assert sum(each["zip215"] for each in vectors) == zip215
    assert sum(each["cofactorless"] for each in vectors) == cofactorless


def test_mixed_order_vectors__rebuilt__equal_the_file() -> None:
    assert build_mixed_order() == json.loads(MIXED_ORDER.read_text())["vectors"]


def test_small_order_vectors__rebuilt_encodings__equal_the_file() -> None:
    encodings = small_order_encodings()
    assert len(set(encodings)) == 14
    assert [each[0] for each in read(SMALL_ORDER)][::14] == encodings


RFC8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe246"
            "55141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aee"
            "b00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28d"
            "c027beceea1ec40a"
        ),
    ),
]


@pytest.mark.parametrize(("seed", "public_key", "message", "signature"), RFC8032, ids=["1", "2", "3"])
def test_signing__rfc8032_vectors__match(seed: str, public_key: str, message: str, signature: str) -> None:
    key = SigningKey(bytes.fromhex(seed))
    assert key.public_key.hex() == public_key
    assert key.sign(bytes.fromhex(message)).hex() == signature
    assert crypto.verify(key.public_key, bytes.fromhex(message), bytes.fromhex(signature))


def test_verify__any_bit_flipped__refuses() -> None:
    public_key, message, signature = SIGNED
    for bit in range(8 * 64):
        assert not crypto.verify(public_key, message, flip(signature, bit))
    for bit in range(8 * 32):
        assert not crypto.verify(flip(public_key, bit), message, signature)
    for bit in range(8 * len(message)):
        assert not crypto.verify(public_key, flip(message, bit), signature)


def flip(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@pytest.mark.parametrize("multiple", [1, 2, 3, 15])
def test_verify__s_plus_multiple_of_the_order__refuses(multiple: int) -> None:
    public_key, message, signature = SIGNED
    s = int.from_bytes(signature[32:], "little") + multiple * L
    assert not crypto.verify(public_key, message, signature[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("s", [L, L + 1, 2**253, 2**255, 2**256 - 1])
def test_verify__s_not_below_the_order__refuses(s: int) -> None:
    neutral = encode(NEUTRAL)
    assert crypto.verify(neutral, MESSAGE, neutral + bytes(32))
    assert not crypto.verify(neutral, MESSAGE, neutral + s.to_bytes(32, "little"))


@pytest.mark.parametrize("size", [0, 31, 33, 63, 65, 128])
def test_verify__wrong_length__refuses(size: int) -> None:
    public_key, message, signature = SIGNED
    padded = bytes(200)
    assert not crypto.verify((public_key + padded)[:size], message, signature)
    assert not crypto.verify(public_key, message, (signature + padded)[:size])
    assert not crypto.is_acceptable_key((public_key + padded)[:size])


def test_verify_many__mixed_verdicts__equal_single_verifications() -> None:
    public_key, message, signature = SIGNED
    signed = [SIGNED, (public_key, b"other", signature), (b"", message, signature), (public_key, message, b""), SIGNED]
    assert crypto.verify_many(signed) == [True, False, False, False, True]
    assert crypto.verify_many(signed) == [crypto.verify(*each) for each in signed]
    assert crypto.verify_many([]) == []


def test_verify_many__signers_by_turns_and_one_forged__answers_in_the_order_given() -> None:
    keys = [SigningKey(bytes([number]) * 32) for number in range(1, 8)]
    signed = [(key.public_key, b"%d" % turn, key.sign(b"%d" % turn)) for turn in range(40) for key in keys]
    signed[150] = (signed[150][0], b"other", signed[150][2])
    assert crypto.verify_many(signed) == [place != 150 for place in range(280)]


@pytest.mark.parametrize("size", [2, 3, 127, 128, 129, 300])
def test_verify_many__one_bad_among_strange_and_honest_ones__is_named(size: int) -> None:
    strange = [*read(SMALL_ORDER), *read(MIXED_ORDER)]
    signed = [SIGNED if number % 3 else strange[number % len(strange)] for number in range(size)]
    assert crypto.verify_many(signed) == [True] * size
    for place in (0, size // 2, size - 1):
        public_key, message, signature = signed[place]
        planted = [*signed[:place], (public_key, message, SIGNED[2][:32] + signature[32:]), *signed[place + 1 :]]
        verdicts = crypto.verify_many(planted)
        assert verdicts == [crypto.verify(*each) for each in planted]
        if signed[place] is not SIGNED:
            assert verdicts == [number != place for number in range(size)]


def test_verify_many__errors_that_would_cancel_in_a_plain_sum__are_both_named() -> None:
    order = 2**252 + 27742317777372353535851937790883648493
    messages = (b"first", b"second")
    signatures = [KEY.sign(message) for message in messages]
    scalars = [int.from_bytes(signature[32:], "little") for signature in signatures]
    moved = [(scalars[0] + 1) % order, (scalars[1] - 1) % order]
    signed = [
        (KEY.public_key, message, signature[:32] + scalar.to_bytes(32, "little"))
        for message, signature, scalar in zip(messages, signatures, moved, strict=True)
    ]
    assert crypto.verify_many(signed) == [False, False]


def test_verify_many__beside_another_thread__lets_it_run() -> None:
    """A counter that grows while one call verifies proves that the call does not hold the interpreter."""
    done = threading.Event()
    counts = []

    def count() -> None:
        ticks = 0
        while not done.is_set():
            ticks += 1
        counts.append(ticks)

    thread = threading.Thread(target=count)
    thread.start()
    crypto.verify_many([SIGNED] * 2_000)
    done.set()
    thread.join()
    assert counts[0] > 100


def test_is_acceptable_key__honest_keys__accepts() -> None:
    assert all(crypto.is_acceptable_key(SigningKey(bytes([index]) * 32).public_key) for index in range(64))


def test_is_acceptable_key__small_order__refuses() -> None:
    assert not any(crypto.is_acceptable_key(data) for data in small_order_encodings())


def test_is_acceptable_key__non_canonical__refuses() -> None:
    encodings = non_canonical_encodings()
    assert len(encodings) == 26
    assert not any(crypto.is_acceptable_key(data) for data in encodings)


def test_is_acceptable_key__not_on_the_curve__refuses() -> None:
    off_curve = [data for y in range(2, 40) if decode(data := y.to_bytes(32, "little")) is None]
    assert off_curve
    assert not any(crypto.is_acceptable_key(data) for data in off_curve)
    assert not any(crypto.verify(data, MESSAGE, bytes(64)) for data in off_curve)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([*small_order_encodings(), KEY.public_key]), st.binary(max_size=8), st.integers(0, 2))
def test_verify__edge_keys_and_scalars__equals_the_reference(public_key: bytes, message: bytes, s: int) -> None:
    for commitment in (small_order_encodings()[13], encode(multiply(s, BASE))):
        signature = commitment + s.to_bytes(32, "little")
        assert crypto.verify(public_key, message, signature) == verify_reference(public_key, message, signature)


def test_signing_key__shown__does_not_show_its_seed() -> None:
    assert bytes(range(32)).hex() not in repr(KEY)
    assert KEY.public_key.hex() in repr(KEY)


def test_signing_key__seed_of_wrong_length__halts() -> None:
    with pytest.raises(BrokenInvariantError):
        SigningKey(b"short")


@given(st.binary(max_size=300))
def test_sha256__any_bytes__equals_the_standard_library(data: bytes) -> None:
    assert crypto.sha256(data) == sha256(data).digest()


def write(path: Path, about: str, vectors: list[dict[str, str | bool]]) -> None:
    path.write_text(json.dumps({"about": about, "vectors": vectors}, indent=1) + "\n")


if __name__ == "__main__":
    write(
        SMALL_ORDER,
        "ZIP-215: each of the 14 encodings of points of small order as key and as commitment, s = 0",
        build_small_order(),
    )
    write(MIXED_ORDER, "Keys and commitments with a small-order part added to an honest one", build_mixed_order())
