"""Proof files: each true statement can be checked alone, and no altered file passes."""

import hashlib
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from holdfast.client import proof_rules as rules
from holdfast.client.proof_rows import read_row
from holdfast.client.proof_rules import Leaf, Validator
from holdfast.client.proofs import (
    GENESIS_BYTES_MAX,
    NotProvenError,
    ProofFormError,
    TrustedChain,
    make_proof_file,
    verify_proof,
)
from holdfast.consensus import messages, validators
from holdfast.consensus.messages import (
    make_sign_domains,
)
from holdfast.primitives import codec
from holdfast.protocol.accounts.state import ACCOUNTS
from holdfast.protocol.ledger.state import BALANCES
from holdfast.protocol.portfolio.state import POSITIONS
from holdfast.protocol.surface.state import RISK_ROWS
from holdfast.state.proof import check_proof
from tests.support.proof_files import (
    BALANCE,
    CASES,
    CHAIN_ID,
    GENESIS,
    GENESIS_HASH,
    HEIGHT,
    POWERS,
    ROWS,
    TIME_MS,
    TREE,
    File,
    certify,
    forged,
    genesis,
    made,
    pieces,
    text,
)
from tests.support.replica_network import SeedSigner

Json = Any
TRUSTED = TrustedChain.from_genesis(GENESIS)


def fails(file: bytes, trusted: TrustedChain | None = None) -> bool:
    try:
        verify_proof(file, trusted)
    except (ProofFormError, NotProvenError) as error:
        return bool(str(error)) and "\n" not in str(error)
    return False


# What is true checks


@pytest.mark.parametrize("with_genesis", [True, False])
@pytest.mark.parametrize("case", CASES)
def test_verify__true_statement__holds_under_each_anchor(case: str, with_genesis: bool) -> None:
    key = CASES[case]
    file = text(made(key, with_genesis=with_genesis))
    statement = verify_proof(file, TRUSTED)
    assert statement.is_trusted
    assert statement.is_present == (key in ROWS)
    assert (statement.height, statement.time_ms, statement.app_hash) == (HEIGHT, TIME_MS, TREE.root)
    assert (statement.signers, statement.power_signed, statement.power_total) == ((0, 1, 2, 3), 40, 40)
    assert verify_proof(file) == statement._replace(is_trusted=False)
    by_hash = TrustedChain.from_genesis_hash(GENESIS_HASH)
    if with_genesis:
        assert verify_proof(file, by_hash) == statement
    else:
        with pytest.raises(ProofFormError, match="genesis: the file carries none"):
            verify_proof(file, by_hash)


def words(key: bytes) -> str:
    return verify_proof(text(made(key))).words


def test_words__rows__say_what_is_proven() -> None:
    assert words(BALANCE) == "account 1000 holds 12.5 USDC (12500000 atoms)"
    assert words(BALANCES.encode_key((1_000, 1))) == "account 1000 holds 1.5 BTC (150000000 atoms)"
    assert words(BALANCES.encode_key((1_000, 2))) == "account 1000 holds no ETH"
    assert words(POSITIONS.encode_key((1_000, 3))) == (
        "account 1000 is short 5 lots of instrument 3, at a cost of -2.5 USDC (-2500000 atoms)"
    )
    assert words(POSITIONS.encode_key((1_000, 4))) == "account 1000 has no position in instrument 4"
    assert words(ACCOUNTS.encode_key(5)) == "there is no account 5"
    assert words(ACCOUNTS.encode_key(1_000)).startswith("row 1000 of table accounts is owner_key 0909")
    assert words(RISK_ROWS.encode_key(3)).startswith("row 3 of table risk_rows is 000102")
    assert words(b"\xfe\x01") == "the state holds nothing at key fe01"


def test_row__value_of_another_version__stays_bytes() -> None:
    row = read_row(BALANCE, b"\xc1")
    assert (row.table, row.key, row.value) == ("balances", [1_000, 0], "c1")
    unknown = read_row(b"\xfe", b"\x01\x02")
    assert (unknown.table, unknown.key, unknown.value) == ("", "fe", "0102")


def test_verify__three_of_four_signatures__is_enough_and_two_are_not() -> None:
    file = pieces(BALANCE)
    assert verify_proof(
        text(make_proof_file(**{**file, "certificate": certify(signers=(0, 2, 3))})), TRUSTED
    ).signers == (0, 2, 3)
    with pytest.raises(NotProvenError, match="two thirds"):
        make_proof_file(**{**file, "certificate": certify(signers=(0, 3))})


def test_make__pieces_that_do_not_fit__are_refused() -> None:
    file = pieces(BALANCE)
    for altered in (
        {"certificate": certify(bytes(32))},
        {"value": BALANCES.encode_value(1)},
        {"value": None},
        {"genesis_hash": bytes(32)},
        {"chain_id": "elsewhere"},
        {"validators": file["validators"][:3]},
        {"siblings": file["siblings"][1:]},
    ):
        with pytest.raises(NotProvenError):
            make_proof_file(**{**file, **altered})


def test_make__large_genesis__is_left_out() -> None:
    assert len(GENESIS) < GENESIS_BYTES_MAX
    file = make_proof_file(**{**pieces(BALANCE), "genesis": GENESIS + bytes(GENESIS_BYTES_MAX)})
    assert file["genesis"] is None
    assert verify_proof(text(file), TRUSTED).is_trusted


# Whom one trusts


def test_verify__validators_that_nobody_trusts__is_consistent_and_no_more() -> None:
    file = forged()
    assert not verify_proof(file).is_trusted
    for trusted in (TRUSTED, TrustedChain.from_genesis_hash(GENESIS_HASH)):
        with pytest.raises(NotProvenError, match="another chain"):
            verify_proof(file, trusted)


def test_verify__own_validators_under_the_trusted_genesis_hash__is_not_proven() -> None:
    own = [(SeedSigner(50 + index).public_key, power) for index, power in enumerate(POWERS)]
    file = text(
        make_proof_file(**{**pieces(BALANCE, with_genesis=False), "validators": own, "certificate": certify(first=50)})
    )
    assert not verify_proof(file).is_trusted
    with pytest.raises(NotProvenError, match="other validators"):
        verify_proof(file, TRUSTED)
    with pytest.raises(ProofFormError):
        verify_proof(file, TrustedChain.from_genesis_hash(GENESIS_HASH))


def test_verify__powers_that_the_genesis_does_not_give__is_not_proven() -> None:
    """Two of four sign, and the file says that they are the mighty ones."""
    mighty = [(SeedSigner(index).public_key, 100 if index < 2 else 1) for index in range(4)]
    file = {**pieces(BALANCE, with_genesis=False), "validators": mighty, "certificate": certify(signers=(0, 1))}
    with pytest.raises(NotProvenError, match="other validators"):
        verify_proof(text(make_proof_file(**file)), TRUSTED)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc0",
        GENESIS[:-1],
        codec.encode(("id", 1, ())),
        codec.encode(("id", 1, ((b"short", 1),))),
        codec.encode(("id", 1, ((2**40, 1),))),
        codec.encode((b"id", 1, ((bytes(32), 1),))),
        b"\x91" * 5_000 + b"\xc0",
    ],
)
def test_trust__bytes_that_are_no_genesis__are_refused(data: bytes) -> None:
    with pytest.raises(ProofFormError, match="genesis"):
        TrustedChain.from_genesis(data)


# What is altered does not check


@pytest.mark.parametrize(("case", "bits"), [("present", range(8)), ("absent beside a leaf", (0, 2, 5))])
def test_verify__any_bit_of_the_file_flipped__fails(case: str, bits: range | tuple[int, ...]) -> None:
    file = json.dumps(made(CASES[case], with_genesis=False)).encode()
    assert verify_proof(file, TRUSTED).is_trusted
    for place in range(len(file)):
        for bit in bits:
            changed = bytearray(file)
            changed[place] ^= 1 << bit
            assert fails(bytes(changed)), (place, bit, file[place : place + 20])


def test_verify__any_byte_of_the_genesis_in_it_changed__fails() -> None:
    file = made(BALANCE)
    for place in range(len(GENESIS)):
        changed = bytearray(GENESIS)
        changed[place] ^= 1
        assert fails(text({**file, "genesis": bytes(changed).hex()}))


def leaves(value: object, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield (*way, name)
            yield from leaves(part, (*way, name))
    elif isinstance(value, list):
        for place, part in enumerate(value):
            yield (*way, place)
            yield from leaves(part, (*way, place))


def altered(file: File, way: tuple[str | int, ...], change: Callable[[Json, Json], None]) -> bytes:
    copy: Json = deepcopy(file)
    place = copy
    for step in way[:-1]:
        place = place[step]
    change(place, way[-1])
    return text(copy)


def put(value: object) -> Callable[[Json, Json], None]:
    def change(place: Json, name: Json) -> None:
        place[name] = value

    return change


def remove(place: Json, name: Json) -> None:
    del place[name]


def nudge(place: Json, name: Json) -> None:
    held = place[name]
    if isinstance(held, bool) or held is None:
        place[name] = not held
    elif isinstance(held, int):
        place[name] = held + 1
    elif isinstance(held, str):
        place[name] = held[:-1] + ("0" if held[-1:] != "0" else "1")
    elif isinstance(held, list):
        held.append(held[0] if held else 1)
    else:
        held["more"] = 1


@pytest.mark.parametrize("case", CASES)
def test_verify__any_field_altered_removed_or_of_another_type__fails(case: str) -> None:
    # As few signatures as prove it, so that none can be spared.
    parts = pieces(CASES[case], with_genesis=False)
    file = make_proof_file(**{**parts, "certificate": certify(signers=(0, 1, 2))})
    # The genesis may be left out: then the file carries less, and proves the same to who has it.
    ways = [way for way in leaves(file) if way != ("genesis",)]
    assert len(ways) > 30
    for way in ways:
        for change in (nudge, remove, *map(put, ("", "x", 1.5, -1, 2**70, [], {}, True, None))):
            changed = altered(file, way, change)
            if json.loads(changed) != file:
                assert fails(changed), (way, change)
    for way in [(), *ways]:
        held: Json = file
        for step in way:
            held = held[step]
        if isinstance(held, dict):
            assert fails(altered({"": file}, ("", *way, "extra"), put(1))[len(b'{\n "": ') : -2]), way


def test_verify__number_as_truth_or_text__is_another_value() -> None:
    one = BALANCES.encode_key((1, 0))
    file = made(one)
    assert file["key"] == [1, 0]
    assert fails(text({**file, "key": [True, False]}))
    assert fails(text({**file, "key": ["1", "0"]}))
    assert fails(text({**file, "version": True}))


def test_verify__signatures_moved_repeated_or_of_others__fail() -> None:
    file = made(BALANCE)
    entries = file["signatures"]
    swapped = [{**entries[0], "signature": entries[1]["signature"]}, *entries[1:]]
    for changed in (
        entries[::-1],
        [entries[0], *entries],
        entries[:2],
        [],
        swapped,
        [*entries[:3], {**entries[3], "validator": 4}],
    ):
        assert fails(text({**file, "signatures": changed}))
    elsewhere = certify(genesis_hash=bytes(32)).signatures
    foreign = [{"validator": one.validator_index, "signature": one.signature.hex()} for one in elsewhere]
    assert fails(text({**file, "signatures": foreign}))


def test_verify__validator_without_power_signs__fails() -> None:
    weak = (10, 10, 10, 0)
    own = genesis(weak)
    own_hash = hashlib.sha256(own).digest()
    parts = {
        **pieces(BALANCE),
        "genesis": None,
        "genesis_hash": own_hash,
        "validators": [(SeedSigner(index).public_key, power) for index, power in enumerate(weak)],
    }
    make_proof_file(**{**parts, "certificate": certify(genesis_hash=own_hash, signers=(0, 1, 2))})
    with pytest.raises(NotProvenError, match="no validator with power"):
        make_proof_file(**{**parts, "certificate": certify(genesis_hash=own_hash)})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not JSON"),
        (b"[1]", "format"),
        (b"{}", "format"),
        (b'{"format": "holdfast-proof", "version": 2}', "version 1"),
        (b'{"format": "holdfast-proof"}', "version 1"),
        (b'{"format": "holdfast-proof", "version": 1}', "missing"),
        (b'{"format": "holdfast-proof", "format": "holdfast-proof"}', "twice"),
        (b'{"a": NaN}', "no integer"),
        (b'{"a": 1e3}', "no integer"),
        (b'{"a": ' + b"9" * 5_000 + b"}", "not JSON"),
        (b"[" * 100_000, "nested"),
        (b"\xff\xfe", "not JSON"),
        (b" " * (5 * 1024 * 1024), "bytes"),
    ],
)
def test_verify__what_is_no_proof_file__is_told_in_a_line(data: bytes, reason: str) -> None:
    with pytest.raises(ProofFormError, match=reason) as refusal:
        verify_proof(data)
    assert len(str(refusal.value)) < 250


# The rules are those of the tree and of consensus


@pytest.mark.parametrize("key", [*CASES.values(), *list(ROWS)[:4]])
def test_compute_root__agrees_with_the_checker_of_the_state(key: bytes) -> None:
    proof = TREE.prove(key)
    other = None if proof.other is None else Leaf(proof.other.path, proof.other.value_hash)
    for value in (ROWS.get(key), None, b"", b"false"):
        root = rules.compute_root(key, value, proof.siblings, other)
        assert (root == TREE.root) == check_proof(TREE.root, key, value, proof)
    own = Leaf(hashlib.sha256(key).digest(), bytes(32))
    assert rules.compute_root(key, None, proof.siblings, own) is None


def test_compute_root__other_leaf_off_the_way__is_no_tree() -> None:
    key = CASES["absent beside a leaf"]
    proof = TREE.prove(key)
    for other_key, value in ROWS.items():
        leaf = Leaf(hashlib.sha256(other_key).digest(), hashlib.sha256(value).digest())
        on_the_way = proof.other is not None and leaf == (proof.other.path, proof.other.value_hash)
        assert (rules.compute_root(key, None, proof.siblings, leaf) == TREE.root) == on_the_way


def test_rules__domain_and_validators_hash__are_those_of_consensus() -> None:
    domains = make_sign_domains(CHAIN_ID, GENESIS_HASH)
    assert rules.checkpoint_message(CHAIN_ID, GENESIS_HASH, 5, 6, bytes(32)) == messages.checkpoint_sign_bytes(
        domains, 5, 6, bytes(32)
    )
    own = [Validator(SeedSigner(index).public_key, power) for index, power in enumerate(POWERS)]
    theirs = validators.ValidatorSet([validators.Validator(*one) for one in own])
    assert rules.hash_validators(own) == theirs.hash
    for signers in ((), (0,), (0, 1), (0, 1, 2), (0, 1, 2, 3)):
        assert rules.has_quorum(own, signers) == theirs.has_quorum(sum(POWERS[index] for index in signers))


def test_file__read_by_docs_alone__checks_without_this_program() -> None:
    """A verifier written from docs/proofs.md: the standard library and another Ed25519."""
    for key in CASES.values():
        assert stranger_accepts(text(made(key)), GENESIS)
        spoilt = made(key)
        spoilt["siblings"] = spoilt["siblings"][::-1]
        assert not stranger_accepts(text(spoilt), GENESIS) or len(set(spoilt["siblings"])) < 2


def packed(value: object) -> bytes:
    if isinstance(value, tuple):
        assert len(value) < 16
        return bytes([0x90 + len(value)]) + b"".join(map(packed, value))
    if isinstance(value, str):
        assert len(value) < 32
        return bytes([0xA0 + len(value)]) + value.encode()
    if isinstance(value, bytes):
        return b"\xc4" + bytes([len(value)]) + value
    assert isinstance(value, int)
    if value < 128:
        return bytes([value])
    size, head = next((size, head) for size, head in ((1, 0xCC), (2, 0xCD), (4, 0xCE), (8, 0xCF)) if value < 256**size)
    return bytes([head]) + value.to_bytes(size)


def stranger_accepts(data: bytes, trusted_genesis: bytes) -> bool:
    file = json.loads(data)
    key, genesis_hash = bytes.fromhex(file["key_hex"]), hashlib.sha256(trusted_genesis).digest()
    path = hashlib.sha256(key).digest()
    if file["value_hex"] is not None:
        node = hashlib.sha256(b"\x00" + path + hashlib.sha256(bytes.fromhex(file["value_hex"])).digest()).digest()
    elif file["other_leaf"] is not None:
        leaf = bytes.fromhex(file["other_leaf"]["path"]) + bytes.fromhex(file["other_leaf"]["value_hash"])
        node = hashlib.sha256(b"\x00" + leaf).digest()
    else:
        node = bytes(32)
    bits = f"{int.from_bytes(path):0256b}"
    for level in range(len(file["siblings"]) - 1, -1, -1):
        sibling = bytes.fromhex(file["siblings"][level])
        node = hashlib.sha256(b"\x01" + (sibling + node if bits[level] == "1" else node + sibling)).digest()
    domain = hashlib.sha256(b"holdfast" + packed(("checkpoint", 1, file["chain_id"], genesis_hash))).digest()
    message = domain + packed((file["height"], file["time_ms"], node))
    power = 0
    for entry in file["signatures"]:
        validator = file["validators"][entry["validator"]]
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(validator["public_key"])).verify(
                bytes.fromhex(entry["signature"]), message
            )
        except InvalidSignature:
            return False
        power += validator["power"]
    total = sum(validator["power"] for validator in file["validators"])
    return bool(node.hex() == file["app_hash"] and 3 * power > 2 * total)
