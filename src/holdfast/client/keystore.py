"""A folder of private keys, one encrypted file each.

A file's public half (key, accounts, chains) is in clear, so that listing needs no passphrase; the seed is sealed with
ChaCha20-Poly1305 under a key that scrypt derives from the passphrase, bound to the public half's name and key.
"""

import os
import re
import secrets
import stat
from pathlib import Path
from typing import Annotated, Final

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from msgspec import Meta

from holdfast.client.errors import InputError, KeystoreError
from holdfast.client.signing import SEED_BYTES, SigningKey

FORMAT: Final = 1
FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
SCRYPT_N: Final = 2**15
SCRYPT_R: Final = 8
SCRYPT_P: Final = 1
# A file may ask for more work than we do, but not for a machine's whole memory: n * r * 128 bytes.
_SCRYPT_N_MAX: Final = 2**20
_SCRYPT_R_MAX: Final = 16
_SCRYPT_P_MAX: Final = 16
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_FILE_BYTES_MAX: Final = 1024 * 1024
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_SUFFIX: Final = ".json"

Hex = Annotated[str, Meta(pattern="^([0-9a-f][0-9a-f])*$")]


class KnownAccount(msgspec.Struct, frozen=True):
    """An account that a key acts for, and the chain it is on. Only for such a chain does the key sign."""

    chain_id: str
    genesis_hash: Hex
    account_id: int
    role: str = "owner"


class Kdf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the sealing key comes from the passphrase."""

    name: str
    n: int
    r: int
    p: int
    salt: Hex


class Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The seed, encrypted."""

    name: str
    nonce: Hex
    ciphertext: Hex


class KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a key's file holds."""

    format: int
    name: str
    public_key: Hex
    kdf: Kdf
    cipher: Sealed
    accounts: tuple[KnownAccount, ...] = ()


class Keystore:
    """The keys of one folder."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; it is made when the first key is."""
        self.folder = folder

    def names(self) -> list[str]:
        """Return the names of the keys. Refuses: KeystoreError."""
        if not self.folder.exists():
            return []
        self._check_mode(self.folder, FOLDER_MODE)
        return sorted(path.stem for path in self.folder.glob(f"*{_SUFFIX}") if _NAME.fullmatch(path.stem))

    def create(self, name: str, passphrase: str, seed: bytes | None = None) -> KeyFile:
        """Make a key, or keep one whose seed is given. Refuses: InputError, KeystoreError."""
        check_name(name)
        check_passphrase(passphrase)
        seed = secrets.token_bytes(SEED_BYTES) if seed is None else seed
        public_key = SigningKey(seed).public_key.hex()
        kdf = Kdf("scrypt", SCRYPT_N, SCRYPT_R, SCRYPT_P, secrets.token_hex(_SALT_BYTES))
        nonce = secrets.token_bytes(_NONCE_BYTES)
        ciphertext = _seal(_derive(kdf, passphrase), nonce, seed, _bound(name, public_key))
        made = KeyFile(FORMAT, name, public_key, kdf, Sealed("chacha20-poly1305", nonce.hex(), ciphertext.hex()))
        self._make_folder()
        if self._path(name).exists():
            raise InputError(f"key {name!r} exists in {self.folder}; choose another name")
        self._write(made, is_new=True)
        return made

    def read(self, name: str) -> KeyFile:
        """Return a key's file. Refuses: InputError for an unknown name, KeystoreError for a file that cannot serve."""
        check_name(name)
        path = self._path(name)
        if not path.exists():
            known = ", ".join(self.names()) or "none yet"
            mend = f"holdfast account create {name}"
            raise InputError(f"no key {name!r} in {self.folder} (known: {known}); make it: {mend}")
        self._check_mode(self.folder, FOLDER_MODE)
        self._check_mode(path, FILE_MODE)
        try:
            data = path.read_bytes() if path.stat().st_size <= _FILE_BYTES_MAX else b""
            found = msgspec.json.decode(data, type=KeyFile)
        except OSError as error:
            raise KeystoreError(f"key file {path}: {error.strerror}") from None
        except msgspec.DecodeError as error:
            raise KeystoreError(f"key file {path} is damaged ({error}); restore it from your backup") from None
        if found.format != FORMAT:
            raise KeystoreError(
                f"key file {path} has format {found.format}, this program reads {FORMAT}; use its own version"
            )
        if found.name != name:
            raise KeystoreError(f"key file {path} holds the key {found.name!r}; rename it to {found.name}{_SUFFIX}")
        return found

    def unlock(self, name: str, passphrase: str) -> SigningKey:
        """Return the private key. Refuses: InputError, KeystoreError."""
        found = self.read(name)
        kdf = found.kdf
        path = self._path(name)
        is_known = kdf.name == "scrypt" and found.cipher.name == "chacha20-poly1305"
        is_bounded = (
            kdf.n.bit_count() == 1
            and 2 <= kdf.n <= _SCRYPT_N_MAX  # noqa: PLR2004 -- the least that scrypt takes
            and 1 <= kdf.r <= _SCRYPT_R_MAX
            and 1 <= kdf.p <= _SCRYPT_P_MAX
        )
        if not is_known or not is_bounded or len(found.cipher.nonce) != 2 * _NONCE_BYTES:
            raise KeystoreError(f"key file {path} is sealed in a way that this program does not know; restore it")
        sealed = bytes.fromhex(found.cipher.ciphertext)
        seed = _open(
            _derive(kdf, passphrase), bytes.fromhex(found.cipher.nonce), sealed, _bound(name, found.public_key)
        )
        if seed is None or len(seed) != SEED_BYTES:
            raise KeystoreError(f"wrong passphrase for key {name!r} ({path})")
        key = SigningKey(seed)
        if key.public_key.hex() != found.public_key:
            raise KeystoreError(f"key file {path} is damaged: its halves do not belong together; restore it")
        return key

    def add_account(self, name: str, account: KnownAccount) -> KeyFile:
        """Record an account that a key acts for. Refuses: InputError, KeystoreError."""
        found = self.read(name)
        if account in found.accounts:
            return found
        changed = msgspec.structs.replace(found, accounts=(*found.accounts, account))
        self._write(changed, is_new=False)
        return changed

    def remove_account(self, name: str, account: KnownAccount) -> KeyFile:
        """Forget an account that a key no longer acts for. Refuses: InputError, KeystoreError."""
        found = self.read(name)
        changed = msgspec.structs.replace(found, accounts=tuple(one for one in found.accounts if one != account))
        self._write(changed, is_new=False)
        return changed

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}{_SUFFIX}"

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise KeystoreError(f"keystore {self.folder}: {error.strerror}; name another with --keystore") from None
        self._check_mode(self.folder, FOLDER_MODE)

    def _check_mode(self, path: Path, mode: int) -> None:
        found = path.stat()
        if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            shown = f"{stat.S_IMODE(found.st_mode):03o}"
            raise KeystoreError(f"{path} can be read by others (mode {shown}); run: chmod {mode:o} {path}")
        if found.st_uid != os.getuid():
            raise KeystoreError(f"{path} belongs to another user; run: chown {os.getuid()} {path}")

    def _write(self, file: KeyFile, *, is_new: bool) -> None:
        """Put the whole file in place, or nothing: a key is never half there."""
        path = self._path(file.name)
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        data = msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
            try:
                os.write(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if is_new:
                # A link, unlike a renaming, never takes the place of a key that another program has just made.
                os.link(part, path)
                part.unlink()
            else:
                part.replace(path)
            folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise KeystoreError(f"key file {path}: {error.strerror}; nothing was kept") from None


def check_name(name: str) -> None:
    """Check that a name can be a file's. Refuses: InputError."""
    if not _NAME.fullmatch(name):
        raise InputError(f"key name {name!r}: use at most 32 of a-z, 0-9, - and _, beginning with a letter or digit")


def check_passphrase(passphrase: str) -> None:
    """Check that a new passphrase says something. Refuses: InputError."""
    if not passphrase:
        raise InputError("the passphrase is empty; give one by prompt, HOLDFAST_PASSPHRASE or --passphrase-file")


def _bound(name: str, public_key: str) -> bytes:
    return f"holdfast key {FORMAT} {name} {public_key}".encode()


def _derive(kdf: Kdf, passphrase: str) -> bytes:
    salt = bytes.fromhex(kdf.salt)
    return Scrypt(salt=salt, length=32, n=kdf.n, r=kdf.r, p=kdf.p).derive(passphrase.encode())


def _seal(key: bytes, nonce: bytes, seed: bytes, bound: bytes) -> bytes:
    return ChaCha20Poly1305(key).encrypt(nonce, seed, bound)


def _open(key: bytes, nonce: bytes, sealed: bytes, bound: bytes) -> bytes | None:
    """Return the seed, or None where the key or a byte is wrong."""
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, sealed, bound)
    except InvalidTag:
        return None
