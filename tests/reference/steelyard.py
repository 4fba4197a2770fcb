"""A second implementation of the Steelyard protocol, written from its specification alone (docs/protocol.md).

It is for reading and for comparing (check.py), not for running a network: plain Python, no other packages.
Its parts are the sections of the specification; 13 and 15 are in the others. It opens no file and no socket.
"""

import hashlib
import sys
from functools import lru_cache
from typing import Callable, NamedTuple, Optional

# A trie is at most 512 inner nodes deep, and is walked by plain recursion.
sys.setrecursionlimit(10_000)

U64_MAX = 2**64 - 1
U128_MAX = 2**128 - 1

# ------------------------------------------------------------------------------------------------------------
# 1. Conventions
# ------------------------------------------------------------------------------------------------------------


def u16(value: int) -> bytes:
    """1.1: integers are little-endian."""
    return value.to_bytes(2, "little")


def u32(value: int) -> bytes:
    """1.1."""
    return value.to_bytes(4, "little")


def u64(value: int) -> bytes:
    """1.1."""
    return value.to_bytes(8, "little")


def u128(value: int) -> bytes:
    """1.1."""
    return value.to_bytes(16, "little")


def byte_list(data: bytes) -> bytes:
    """1.1: list<u8>."""
    return u64(len(data)) + data


class Malformed(Exception):
    """1.3: these bytes encode nothing."""


class Reader:
    """Takes values from the front of a byte string (1.3). Whatever fails raises Malformed."""

    def __init__(self, data: bytes, most: int):
        """`most` is how many bytes the kind may have."""
        if len(data) > most:
            raise Malformed
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        if size > len(self.data) - self.at:
            raise Malformed
        self.at += size
        return self.data[self.at - size : self.at]

    def integer(self, size: int) -> int:
        """The next integer of `size` bytes."""
        return int.from_bytes(self.take(size), "little")

    def boolean(self) -> bool:
        """The next bool: 0 or 1."""
        value = self.integer(1)
        if value > 1:
            raise Malformed
        return value == 1

    def count(self, most: int) -> int:
        """The count of a list of at most `most` items."""
        value = self.integer(8)
        if value > most:
            raise Malformed
        return value

    def byte_list(self, most: int) -> bytes:
        """The next list<u8>."""
        return self.take(self.count(most))

    def end(self):
        """Nothing may be left."""
        if self.at != len(self.data):
            raise Malformed


def sha256(data: bytes) -> bytes:
    """SHA-256."""
    return hashlib.sha256(data).digest()


@lru_cache(maxsize=None)
def tag_state(tag: str):
    """SHA-256 that has taken SHA-256(tag) twice."""
    return hashlib.sha256(sha256(tag.encode()) * 2)


def tagged(name: str, data: bytes) -> bytes:
    """1.4: H_name(data), in the domain steelyard/name."""
    state = tag_state("steelyard/" + name).copy()
    state.update(data)
    return state.digest()


# 1.6: addresses in text

CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BECH32M = 0x2BC830A3


def polymod(values: list) -> int:
    """The checksum of BIP173, whose constant for bech32m is in BIP350."""
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            if top >> i & 1:
                check ^= generator
    return check


def expand_prefix(prefix: str) -> list:
    """The prefix as the checksum sees it."""
    return [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]


def bech32m_encode(prefix: str, values: list) -> str:
    """Prefix, "1", five-bit values, six characters of checksum."""
    check = polymod(expand_prefix(prefix) + values + [0] * 6) ^ BECH32M
    values = values + [check >> 5 * (5 - i) & 31 for i in range(6)]
    return prefix + "1" + "".join(CHARSET[value] for value in values)


def bech32m_decode(text: str):
    """(prefix, five-bit values without the checksum), or None."""
    if any(not 33 <= ord(c) <= 126 for c in text) or len(text) > 90:
        return None
    if text.lower() != text and text.upper() != text:
        return None
    text = text.lower()
    prefix, separator, data = text.rpartition("1")
    if not separator or not prefix or len(data) < 6 or any(c not in CHARSET for c in data):
        return None
    values = [CHARSET.index(c) for c in data]
    if polymod(expand_prefix(prefix) + values) != BECH32M:
        return None
    return prefix, values[:-6]


def regroup(values, from_bits: int, to_bits: int, pad: bool):
    """The same bits in groups of another size. Without `pad`, left-over bits must be few and zero."""
    gathered, bits, out = 0, 0, []
    for value in values:
        gathered = gathered << from_bits | value
        bits += from_bits
        while bits >= to_bits:
            bits -= to_bits
            out.append(gathered >> bits)
            gathered &= (1 << bits) - 1
    if pad:
        if bits:
            out.append(gathered << (to_bits - bits))
    elif bits >= from_bits or gathered:
        return None
    return out


def address_text(prefix: str, address: bytes) -> str:
    """1.6: 256 bits in groups of five, four zero bits to fill the last."""
    return bech32m_encode(prefix, regroup(address, 8, 5, True))


def address_of_text(prefix: str, text: str) -> Optional[bytes]:
    """1.6: the address, or None for a text that is none in the network of this prefix."""
    decoded = bech32m_decode(text)
    if decoded is None or decoded[0] != prefix or len(decoded[1]) != 52:
        return None
    address = regroup(decoded[1], 5, 8, False)
    return None if address is None else bytes(address)


# ------------------------------------------------------------------------------------------------------------
# 2. Keys, signatures, policies
# ------------------------------------------------------------------------------------------------------------

FIELD = 2**256 - 2**32 - 977
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
GENERATOR = (
    0x79BE667EF9DCBBAC55A06295CE870B07029BFCDB2DCE28D959F2815B16F81798,
    0x483ADA7726A3C4655DA4FBFC0E1108A8FD17B448A68554199C47D08FFB10D4B8,
)

# A point is (X, Y, Z) in Jacobian coordinates: x = X / Z^2, y = Y / Z^3. The point at infinity has Z = 0.
INFINITY = (0, 1, 0)


def double(point: tuple) -> tuple:
    """2 * point."""
    x, y, z = point
    if z == 0:
        return INFINITY
    y_squared = y * y % FIELD
    s = 4 * x * y_squared % FIELD
    m = 3 * x * x % FIELD
    x3 = (m * m - 2 * s) % FIELD
    y3 = (m * (s - x3) - 8 * y_squared * y_squared) % FIELD
    return (x3, y3, 2 * y * z % FIELD)


def add(left: tuple, right: tuple) -> tuple:
    """left + right."""
    x1, y1, z1 = left
    x2, y2, z2 = right
    if z1 == 0:
        return right
    if z2 == 0:
        return left
    z1_squared = z1 * z1 % FIELD
    z2_squared = z2 * z2 % FIELD
    u1 = x1 * z2_squared % FIELD
    u2 = x2 * z1_squared % FIELD
    s1 = y1 * z2_squared * z2 % FIELD
    s2 = y2 * z1_squared * z1 % FIELD
    if u1 == u2:
        return double(left) if s1 == s2 else INFINITY
    h = (u2 - u1) % FIELD
    r = (s2 - s1) % FIELD
    h_squared = h * h % FIELD
    h_cubed = h * h_squared % FIELD
    v = u1 * h_squared % FIELD
    x3 = (r * r - h_cubed - 2 * v) % FIELD
    y3 = (r * (v - x3) - s1 * h_cubed) % FIELD
    return (x3, y3, h * z1 * z2 % FIELD)


def multiples(point: tuple) -> list:
    """0 to 15 times `point`."""
    table = [INFINITY]
    for _ in range(15):
        table.append(add(table[-1], point))
    return table


GENERATOR_MULTIPLES = multiples(GENERATOR + (1,))


def double_multiply(a: int, b: int, point: tuple) -> tuple:
    """a * G + b * point, four bits of both numbers at a time."""
    table = multiples(point)
    result = INFINITY
    for shift in range(252, -4, -4):
        result = double(double(double(double(result))))
        result = add(result, GENERATOR_MULTIPLES[a >> shift & 15])
        result = add(result, table[b >> shift & 15])
    return result


def affine(point: tuple):
    """(x, y), or None for the point at infinity."""
    x, y, z = point
    if z == 0:
        return None
    inverse = pow(z, FIELD - 2, FIELD)
    return (x * inverse * inverse % FIELD, y * inverse * inverse * inverse % FIELD)


@lru_cache(maxsize=4096)
def lift_x(x: int):
    """The point of this x whose y is even, or None: x is no field element, or no point has it."""
    if x >= FIELD:
        return None
    y_squared = (x * x * x + 7) % FIELD
    y = pow(y_squared, (FIELD + 1) // 4, FIELD)
    if y * y % FIELD != y_squared:
        return None
    return (x, y if y % 2 == 0 else FIELD - y)


def bip340_hash(tag: str, data: bytes) -> int:
    """BIP340's tagged hash as a number."""
    tag_hash = sha256(tag.encode())
    return int.from_bytes(sha256(tag_hash + tag_hash + data), "big")


def verify_signature(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """BIP340's Verify."""
    point = lift_x(int.from_bytes(public_key, "big"))
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:], "big")
    if point is None or len(signature) != 64 or r >= FIELD or s >= ORDER:
        return False
    e = bip340_hash("BIP0340/challenge", signature[:32] + public_key + message) % ORDER
    sum_point = affine(double_multiply(s, ORDER - e, point + (1,)))
    return sum_point is not None and sum_point[1] % 2 == 0 and sum_point[0] == r


def public_key_of(secret: int) -> bytes:
    """The x-only public key of a secret key (only the examples of the specification need it)."""
    return affine(double_multiply(secret, 0, INFINITY))[0].to_bytes(32, "big")


def sign(secret: bytes, message: bytes, auxiliary: bytes = bytes(32)) -> bytes:
    """BIP340's Sign (only the examples of the specification need it)."""
    d = int.from_bytes(secret, "big")
    x, y = affine(double_multiply(d, 0, INFINITY))
    if y % 2 == 1:
        d = ORDER - d
    public_key = x.to_bytes(32, "big")
    masked = (d ^ bip340_hash("BIP0340/aux", auxiliary)).to_bytes(32, "big")
    k = bip340_hash("BIP0340/nonce", masked + public_key + message) % ORDER
    x, y = affine(double_multiply(k, 0, INFINITY))
    if y % 2 == 1:
        k = ORDER - k
    r = x.to_bytes(32, "big")
    e = bip340_hash("BIP0340/challenge", r + public_key + message) % ORDER
    return r + ((k + e * d) % ORDER).to_bytes(32, "big")


class Policy(NamedTuple):
    """2.2: m of these keys."""

    m: int
    keys: list


POLICY_BYTES_MAX = 3 + 16 * 32


def read_policy(reader: Reader) -> Policy:
    """2.2: as far as it decodes."""
    if reader.integer(1) != 1:
        raise Malformed
    m = reader.integer(1)
    n = reader.integer(1)
    if n > 16:
        raise Malformed
    return Policy(m, [reader.take(32) for _ in range(n)])


def policy_bytes(policy: Policy) -> bytes:
    """2.2."""
    return bytes([1, policy.m, len(policy.keys)]) + b"".join(policy.keys)


def policy_is_valid(policy: Policy) -> bool:
    """2.2: bounds, order, points."""
    if not 1 <= policy.m <= len(policy.keys) <= 16:
        return False
    if any(left >= right for left, right in zip(policy.keys, policy.keys[1:])):
        return False
    return all(lift_x(int.from_bytes(key, "big")) is not None for key in policy.keys)


def address_of(policy: Policy) -> bytes:
    """2.3."""
    return tagged("policy", policy_bytes(policy))


# ------------------------------------------------------------------------------------------------------------
# 3. Header
# ------------------------------------------------------------------------------------------------------------

HEADER_BYTES = 176


class Header(NamedTuple):
    """3.1."""

    version: int
    height: int
    prev: bytes
    history_root: bytes
    body_root: bytes
    state_root: bytes
    elapsed: int
    prev_time: int
    time: int
    bits: int
    nonce: int


def read_header(data: bytes) -> Header:
    """3.1: every string of 176 bytes is a header."""
    reader = Reader(data, HEADER_BYTES)
    header = Header(
        version=reader.integer(4),
        height=reader.integer(8),
        prev=reader.take(32),
        history_root=reader.take(32),
        body_root=reader.take(32),
        state_root=reader.take(32),
        elapsed=reader.integer(8),
        prev_time=reader.integer(8),
        time=reader.integer(8),
        bits=reader.integer(4),
        nonce=reader.integer(8),
    )
    reader.end()
    return header


def header_bytes(header: Header) -> bytes:
    """3.1."""
    parts = [u32(header.version), u64(header.height), header.prev]
    parts += [header.history_root, header.body_root, header.state_root]
    parts += [u64(header.elapsed), u64(header.prev_time), u64(header.time)]
    parts += [u32(header.bits), u64(header.nonce)]
    return b"".join(parts)


def header_id(header: Header) -> bytes:
    """3.2."""
    return tagged("block", header_bytes(header))


def pow_hash(header: Header) -> int:
    """3.2: SHA-256d as a little-endian number."""
    return int.from_bytes(sha256(sha256(header_bytes(header))), "little")


def meets_target(header: Header) -> bool:
    """3.2: bits that are refused have no target to meet."""
    target = target_of(header.bits)
    return target is not None and pow_hash(header) <= target


def target_of(bits: int) -> Optional[int]:
    """3.3: expand; None is a refusal."""
    size = bits >> 24
    mantissa = bits & 0x007FFFFF
    if bits & 0x00800000 or size > 32:
        return None
    target = mantissa >> 8 * (3 - size) if size <= 3 else mantissa << 8 * (size - 3)
    if target == 0 or compact_of(target) != bits:
        return None
    return target


def compact_of(target: int) -> int:
    """3.3: compress, truncating."""
    size = (target.bit_length() + 7) // 8
    mantissa = target << 8 * (3 - size) if size <= 3 else target >> 8 * (size - 3)
    if mantissa & 0x00800000:
        mantissa >>= 8
        size += 1
    return mantissa | size << 24


def work_of_target(target: int) -> Optional[int]:
    """3.3: the hashes to be expected; None above 2^128 - 1."""
    work = 2**256 // (target + 1)
    return work if work <= U128_MAX else None


def work_of(bits: int) -> int:
    """3.3: of bits that are known to be good."""
    return work_of_target(target_of(bits))


# ------------------------------------------------------------------------------------------------------------
# 4. Transactions
# ------------------------------------------------------------------------------------------------------------

COINS = bytes(32)

BODY_BYTES_MAX = 1 + 32 + 32 + 8 + 8 + 8 + (8 + 256) + (1 + 8 + 256 * 72)
AUTHORIZATION_BYTES_MAX = POLICY_BYTES_MAX + 2 + (8 + 16 * 64)
TRANSACTION_BYTES_MAX = BODY_BYTES_MAX + AUTHORIZATION_BYTES_MAX


class Payment(NamedTuple):
    """4.2."""

    asset: bytes
    to: bytes
    amount: int


class Transfer(NamedTuple):
    """4.2, tag 1."""

    payments: list


class Issue(NamedTuple):
    """4.2, tag 2."""

    symbol: bytes
    decimals: int
    supply: int
    mintable: bool


class Mint(NamedTuple):
    """4.2, tag 3."""

    asset: bytes
    amount: int


class Burn(NamedTuple):
    """4.2, tag 4."""

    asset: bytes
    amount: int


class Transaction(NamedTuple):
    """4.1 and 4.3, with the bytes it was decoded from."""

    format: int
    network: bytes
    sender: bytes
    nonce: int
    fee: int
    expiry: int
    memo: bytes
    action: object
    policy: Policy
    signers: int
    signatures: list
    body: bytes
    bytes: bytes


def read_action(reader: Reader):
    """4.2."""
    tag = reader.integer(1)
    if tag == 1:
        count = reader.count(256)
        return Transfer([Payment(reader.take(32), reader.take(32), reader.integer(8)) for _ in range(count)])
    if tag == 2:
        return Issue(reader.byte_list(12), reader.integer(1), reader.integer(8), reader.boolean())
    if tag == 3:
        return Mint(reader.take(32), reader.integer(8))
    if tag == 4:
        return Burn(reader.take(32), reader.integer(8))
    raise Malformed


def read_transaction(data: bytes) -> Transaction:
    """4.1 to 4.3."""
    reader = Reader(data, TRANSACTION_BYTES_MAX)
    transaction_format = reader.integer(1)
    network = reader.take(32)
    sender = reader.take(32)
    nonce = reader.integer(8)
    fee = reader.integer(8)
    expiry = reader.integer(8)
    memo = reader.byte_list(256)
    action = read_action(reader)
    body = data[: reader.at]
    policy = read_policy(reader)
    signers = reader.integer(2)
    signatures = [reader.take(64) for _ in range(reader.count(16))]
    reader.end()
    fields = (transaction_format, network, sender, nonce, fee, expiry, memo, action)
    return Transaction(*fields, policy, signers, signatures, body, data)


def transaction_id(transaction: Transaction) -> bytes:
    """4.4: of the body; what is signed."""
    return tagged("transaction", transaction.body)


def full_id(transaction: Transaction) -> bytes:
    """4.4: of all bytes."""
    return tagged("full-transaction", transaction.bytes)


def asset_id(transaction: Transaction) -> bytes:
    """4.4: of the asset that an Issue makes."""
    return tagged("asset", transaction_id(transaction))


def form_fault(transaction: Transaction, network: bytes) -> Optional[str]:
    """4.5: the first rule from 2 to 8 that is broken, or None."""
    if transaction.format != 1:
        return "format"
    if transaction.network != network:
        return "wrong_network"
    fault = action_fault(transaction.action)
    if fault is not None:
        return fault
    policy = transaction.policy
    if not policy_is_valid(policy):
        return "invalid_policy"
    if address_of(policy) != transaction.sender:
        return "wrong_sender"
    if transaction.signers >> len(policy.keys) or bin(transaction.signers).count("1") != policy.m:
        return "signers"
    if len(transaction.signatures) != policy.m:
        return "signature_count"
    return None


def action_fault(action) -> Optional[str]:
    """4.5: rules 4a to 4g."""
    if isinstance(action, Transfer):
        if not action.payments:
            return "no_payments"
        if any(payment.amount == 0 for payment in action.payments):
            return "zero_amount"
    elif isinstance(action, Issue):
        if not action.symbol or not set(action.symbol) <= set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"):
            return "symbol"
        if action.decimals > 18:
            return "decimals"
        if action.supply == 0 and not action.mintable:
            return "no_supply"
    else:
        if action.asset == COINS:
            return "coins_are_no_asset"
        if action.amount == 0:
            return "zero_amount"
    return None


def signatures_are_valid(transaction: Transaction) -> bool:
    """4.5: rule 9, for a transaction of good form."""
    message = transaction_id(transaction)
    signing = [key for i, key in enumerate(transaction.policy.keys) if transaction.signers >> i & 1]
    pairs = zip(signing, transaction.signatures)
    return all(verify_signature(key, message, signature) for key, signature in pairs)


# ------------------------------------------------------------------------------------------------------------
# 5. Bodies of blocks
# ------------------------------------------------------------------------------------------------------------

EXTRA_BYTES_MAX = 64
COINBASE_BYTES_MAX = 8 + 32 + 8 + (8 + EXTRA_BYTES_MAX)
PEER_BODY_BYTES_MAX = 2**24


class Coinbase(NamedTuple):
    """5.1."""

    height: int
    miner: bytes
    amount: int
    extra: bytes


def read_coinbase(data: bytes) -> Coinbase:
    """5.1."""
    reader = Reader(data, COINBASE_BYTES_MAX)
    height, miner, amount = reader.integer(8), reader.take(32), reader.integer(8)
    coinbase = Coinbase(height, miner, amount, reader.byte_list(EXTRA_BYTES_MAX))
    reader.end()
    return coinbase


def coinbase_bytes(coinbase: Coinbase) -> bytes:
    """5.1."""
    return u64(coinbase.height) + coinbase.miner + u64(coinbase.amount) + byte_list(coinbase.extra)


def read_body(data: bytes, most: int) -> list:
    """5.2: the items, not looked into."""
    reader = Reader(data, most)
    count = reader.count(len(data) // 8)
    items = [reader.byte_list(len(data)) for _ in range(count)]
    reader.end()
    return items


def body_bytes(items: list) -> bytes:
    """5.2."""
    return u64(len(items)) + b"".join(byte_list(item) for item in items)


def block_bytes(items: list) -> int:
    """5.2: the size of a block."""
    return HEADER_BYTES + 8 + sum(8 + len(item) for item in items)


# The shape is one for bodies and history: a tree is given as its leaves and how two nodes are joined.


def left_count(count: int) -> int:
    """5.3: k, the largest power of two below `count`, which is at least 2."""
    return 1 << (count - 1).bit_length() - 1


def tree_top(leaves: list, join):
    """5.3: of at least one leaf."""
    if len(leaves) == 1:
        return leaves[0]
    k = left_count(len(leaves))
    return join(tree_top(leaves[:k], join), tree_top(leaves[k:], join))


def tree_path(leaves: list, index: int, join) -> list:
    """5.4: the siblings of a leaf, upwards."""
    if len(leaves) == 1:
        return []
    k = left_count(len(leaves))
    if index < k:
        return tree_path(leaves[:k], index, join) + [tree_top(leaves[k:], join)]
    return tree_path(leaves[k:], index - k, join) + [tree_top(leaves[:k], join)]


def top_of_path(leaf, index: int, count: int, path: list, join):
    """5.4: the top that a path leads to, or None for a path of another length."""
    if index >= count:
        return None
    node, last = leaf, count - 1
    for sibling in path:
        if last == 0:
            return None
        if index % 2 == 1 or index == last:
            node = join(sibling, node)
            while index % 2 == 0 and index != 0:
                index >>= 1
                last >>= 1
        else:
            node = join(node, sibling)
        index >>= 1
        last >>= 1
    return node if last == 0 else None


def body_leaves(items: list) -> list:
    """5.3: the first under a tag of its own."""
    return [tagged("body-coinbase" if i == 0 else "body-leaf", item) for i, item in enumerate(items)]


def body_join(left: bytes, right: bytes) -> bytes:
    """5.3."""
    return tagged("body-inner", left + right)


def body_root(items: list) -> bytes:
    """5.3."""
    top = tree_top(body_leaves(items), body_join) if items else bytes(32)
    return tagged("body-root", u32(len(items)) + top)


def body_path(items: list, index: int) -> list:
    """5.4."""
    return tree_path(body_leaves(items), index, body_join)


def body_path_is_good(root: bytes, item: bytes, index: int, count: int, path: list) -> bool:
    """5.4: whether `item` stands at `index` of the body of this root."""
    leaf = tagged("body-coinbase" if index == 0 else "body-leaf", item)
    top = top_of_path(leaf, index, count, path, body_join)
    return top is not None and tagged("body-root", u32(count) + top) == root


# ------------------------------------------------------------------------------------------------------------
# 6. History tree
# ------------------------------------------------------------------------------------------------------------

# A node is (hash, work).


def history_leaf(block_id: bytes, work: int) -> tuple:
    """Section 6."""
    return (tagged("history-leaf", block_id + u128(work)), work)


def history_join(left: tuple, right: tuple) -> tuple:
    """Section 6."""
    inner = tagged("history-inner", left[0] + u128(left[1]) + right[0] + u128(right[1]))
    return (inner, min(left[1] + right[1], U128_MAX))


def history_root_of_top(count: int, top) -> bytes:
    """Section 6: `top` is None where there are no leaves."""
    top_hash, work = top if top is not None else (bytes(32), 0)
    return tagged("history-root", u64(count) + u128(work) + top_hash)


def history_root(leaves: list) -> bytes:
    """Section 6."""
    return history_root_of_top(len(leaves), tree_top(leaves, history_join) if leaves else None)


def history_path(leaves: list, index: int) -> list:
    """Section 6: 5.4 with hash and work of each sibling."""
    return tree_path(leaves, index, history_join)


class History:
    """Section 6, appending: only the peaks are kept."""

    def __init__(self):
        self.count = 0
        self.peaks = []

    def append(self, leaf: tuple):
        """One more leaf."""
        node = leaf
        trailing = self.count
        while trailing & 1:
            node = history_join(self.peaks.pop(), node)
            trailing >>= 1
        self.peaks.append(node)
        self.count += 1

    def top(self):
        """The peaks, joined from the right; None of no leaves."""
        return join_peaks(list(reversed(self.peaks)))

    def root(self) -> bytes:
        """The history root of what was appended."""
        return history_root_of_top(self.count, self.top())

    def copy(self) -> "History":
        """Another that goes on from here."""
        copied = History()
        copied.count, copied.peaks = self.count, list(self.peaks)
        return copied


def join_peaks(smallest_first: list):
    """Section 6: the top over peaks given from the smallest to the largest; None of none."""
    if not smallest_first:
        return None
    top = smallest_first[0]
    for peak in smallest_first[1:]:
        top = history_join(peak, top)
    return top


def prefix_root(index: int, count: int, path: list) -> bytes:
    """Section 6: the root of the leaves before `index`, from that leaf's path alone."""
    left_siblings = []
    last = count - 1
    place = index
    for sibling in path:
        if place % 2 == 1 or place == last:
            left_siblings.append(sibling)
            while place % 2 == 0 and place != 0:
                place >>= 1
                last >>= 1
        place >>= 1
        last >>= 1
    return history_root_of_top(index, join_peaks(left_siblings))


# ------------------------------------------------------------------------------------------------------------
# 7. State
# ------------------------------------------------------------------------------------------------------------

PATH_BITS = 512
EMPTY_ROOT = bytes(32)


class Account(NamedTuple):
    """7.1, type 1."""

    address: bytes
    balance: int
    nonce: int


class Holding(NamedTuple):
    """7.1, type 2."""

    address: bytes
    asset: bytes
    amount: int


class Asset(NamedTuple):
    """7.1, type 3."""

    asset: bytes
    issuer: bytes
    symbol: bytes
    decimals: int
    supply: int
    mintable: bool


def record_bytes(record) -> bytes:
    """7.1: a record's value."""
    if isinstance(record, Account):
        return b"\x01" + record.address + u64(record.balance) + u64(record.nonce)
    if isinstance(record, Holding):
        return b"\x02" + record.address + record.asset + u64(record.amount)
    symbol = bytes([len(record.symbol)]) + record.symbol
    figures = bytes([record.decimals]) + u64(record.supply) + bytes([record.mintable])
    return b"\x03" + record.asset + record.issuer + symbol + figures


def read_record(value: bytes):
    """7.1: the record of a value."""
    reader = Reader(value, 88)
    kind = reader.integer(1)
    if kind == 1:
        record = Account(reader.take(32), reader.integer(8), reader.integer(8))
    elif kind == 2:
        record = Holding(reader.take(32), reader.take(32), reader.integer(8))
    elif kind == 3:
        record = read_asset(reader)
    else:
        raise Malformed
    reader.end()
    return record


def read_asset(reader: Reader) -> Asset:
    """7.1, type 3, behind the type."""
    asset, issuer = reader.take(32), reader.take(32)
    size = reader.integer(1)
    if not 1 <= size <= 12:
        raise Malformed
    symbol = reader.take(size)
    decimals, supply, mintable = reader.integer(1), reader.integer(8), reader.boolean()
    try:
        symbol.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed from None
    if decimals > 18:
        raise Malformed
    return Asset(asset, issuer, symbol, decimals, supply, mintable)


def account_key(address: bytes) -> bytes:
    """7.1."""
    return b"\x01" + address


def holding_key(address: bytes, asset: bytes) -> bytes:
    """7.1."""
    return b"\x02" + address + asset


def asset_key(asset: bytes) -> bytes:
    """7.1."""
    return b"\x03" + asset


def key_of(value: bytes) -> bytes:
    """7.1: what a value that decodes names itself by."""
    return value[:65] if value[0] == 2 else value[:33]


def is_holding_of_coins(key: bytes) -> bool:
    """7.1: a key that no state has."""
    return key[0] == 2 and key[33:] == COINS


@lru_cache(maxsize=4096)
def path_of(key: bytes) -> bytes:
    """7.2."""
    if key[0] == 3:
        return tagged("state-asset", key[1:33]) + bytes(32)
    if key[0] == 2:
        return tagged("state-account", key[1:33]) + key[33:65]
    return tagged("state-account", key[1:33]) + bytes(32)


def path_bit(path: bytes, i: int) -> int:
    """7.2: counted from the most significant bit of byte 0."""
    return path[i // 8] >> (7 - i % 8) & 1


def first_difference(left: bytes, right: bytes) -> int:
    """7.3: the first bit in which two different paths differ."""
    return PATH_BITS - (int.from_bytes(left, "big") ^ int.from_bytes(right, "big")).bit_length()


# A trie is None, a Leaf or an Inner.


class Leaf(NamedTuple):
    """7.3."""

    path: bytes
    value: bytes
    hash: bytes


class Inner(NamedTuple):
    """7.3."""

    split: int
    left: object
    right: object
    hash: bytes


def make_leaf(value: bytes) -> Leaf:
    """7.3."""
    path = path_of(key_of(value))
    return Leaf(path, value, tagged("state-leaf", path + value))


def inner_hash(split: int, left: bytes, right: bytes) -> bytes:
    """7.3."""
    return tagged("state-inner", u16(split) + left + right)


def make_trie(leaves: list):
    """7.3: over leaves in ascending order of their paths."""
    if not leaves:
        return None
    if len(leaves) == 1:
        return leaves[0]
    split = first_difference(leaves[0].path, leaves[-1].path)
    half = next(i for i, leaf in enumerate(leaves) if path_bit(leaf.path, split) == 1)
    left, right = make_trie(leaves[:half]), make_trie(leaves[half:])
    return Inner(split, left, right, inner_hash(split, left.hash, right.hash))


def root_of(trie) -> bytes:
    """7.3."""
    return EMPTY_ROOT if trie is None else trie.hash


class State:
    """A set of records under their keys: for each, its value."""

    def __init__(self, values=()):
        self.values = {key_of(value): value for value in values}

    def copy(self) -> "State":
        """Another of the same records."""
        copied = State()
        copied.values = dict(self.values)
        return copied

    def trie(self):
        """7.3."""
        leaves = [make_leaf(value) for value in self.values.values()]
        return make_trie(sorted(leaves, key=lambda leaf: leaf.path))

    def root(self) -> bytes:
        """7.3."""
        return root_of(self.trie())

    def account(self, address: bytes) -> Account:
        """The account of an address; without a record, 0 and 0 (section 12)."""
        value = self.values.get(account_key(address))
        return Account(address, 0, 0) if value is None else read_record(value)

    def holding(self, address: bytes, asset: bytes) -> int:
        """What an address holds of an asset that is not the coins (section 12)."""
        value = self.values.get(holding_key(address, asset))
        return 0 if value is None else read_record(value).amount

    def asset(self, asset: bytes) -> Optional[Asset]:
        """The description of an asset."""
        value = self.values.get(asset_key(asset))
        return None if value is None else read_record(value)

    def set_account(self, address: bytes, balance: int, nonce: int):
        """7.1: it exists if either is above 0."""
        self.put(Account(address, balance, nonce), balance > 0 or nonce > 0)

    def set_holding(self, address: bytes, asset: bytes, amount: int):
        """7.1: it exists if it is above 0."""
        self.put(Holding(address, asset, amount), amount > 0)

    def set_asset(self, asset: Asset):
        """7.1: it exists for ever."""
        self.put(asset, True)

    def put(self, record, exists: bool):
        """Sets a record, or takes it away."""
        value = record_bytes(record)
        if exists:
            self.values[key_of(value)] = value
        else:
            self.values.pop(key_of(value), None)


# 7.5: proof of one key

PROOF_BYTES_MAX = 2 + PATH_BITS * (2 + 32) + 1 + 88


class ProofError(Exception):
    """7.5 and 7.6: a proof that proves nothing. Its argument is the error's name."""


def prove(trie, key: bytes) -> bytes:
    """7.5: the proof of a key that is there or is not."""
    if trie is None:
        return u16(0) + b"\x00"
    path, steps, node = path_of(key), [], trie
    while isinstance(node, Inner):
        if path_bit(path, node.split):
            steps.append(u16(node.split) + node.left.hash)
            node = node.right
        else:
            steps.append(u16(node.split) + node.right.hash)
            node = node.left
    return u16(len(steps)) + b"".join(steps) + bytes([len(node.value)]) + node.value


def read_proof(data: bytes):
    """7.5, reading: (steps, value); the value is empty in the empty state's proof."""
    reader = Reader(data, len(data))
    try:
        count = reader.integer(2)
        if count > PATH_BITS:
            raise ProofError("TooManySteps")
        steps = [(reader.integer(2), reader.take(32)) for _ in range(count)]
        value = reader.take(reader.integer(1))
    except Malformed:
        raise ProofError("Truncated") from None
    if reader.at != len(data):
        raise ProofError("TrailingBytes")
    if not value:
        if steps:
            raise ProofError("NoLeaf")
        return steps, value
    try:
        read_record(value)
    except Malformed:
        raise ProofError("MalformedLeaf") from None
    return steps, value


def verify_proof(root: bytes, key: bytes, proof: bytes) -> Optional[bytes]:
    """7.5, verifying: the value under a key, or None if it is absent."""
    steps, value = read_proof(proof)
    if is_holding_of_coins(key):
        raise ProofError("HoldingOfCoins")
    if not value:
        if root != EMPTY_ROOT:
            raise ProofError("OtherRoot")
        return None
    path, leaf = path_of(key), make_leaf(value)
    previous = -1
    for split, _ in steps:
        if split >= PATH_BITS:
            raise ProofError("SplitOutOfRange")
        if split <= previous:
            raise ProofError("SplitNotIncreasing")
        if path_bit(path, split) != path_bit(leaf.path, split):
            raise ProofError("LeafElsewhere")
        previous = split
    if is_holding_of_coins(key_of(value)):
        raise ProofError("MalformedLeaf")
    node = leaf.hash
    for split, sibling in reversed(steps):
        node = inner_hash(split, sibling, node) if path_bit(path, split) else inner_hash(split, node, sibling)
    if node != root:
        raise ProofError("OtherRoot")
    return value if leaf.path == path else None


# 7.6: excerpts


class Hidden(NamedTuple):
    """7.6: a subtree of which only the hash is known."""

    hash: bytes


def read_excerpt(data: bytes):
    """7.6, reading: the part of a trie; None for the empty state."""
    if not data:
        return None
    reader = Reader(data, len(data))
    try:
        top, _ = read_node(reader, [])
    except Malformed:
        raise ProofError("Truncated") from None
    if reader.at != len(data):
        raise ProofError("TrailingBytes")
    if isinstance(top, Hidden):
        raise ProofError("NothingShown")
    return top


def read_node(reader: Reader, above: list):
    """7.6: a node, and the shown leaves below it; `above` has (split, side) of each inner node above."""
    tag = reader.integer(1)
    if tag == 0:
        return Hidden(reader.take(32)), []
    if tag == 1:
        leaf = read_leaf(reader, above)
        return leaf, [leaf]
    if tag > 2:
        raise ProofError("UnknownTag")
    split = reader.integer(2)
    if split >= PATH_BITS:
        raise ProofError("SplitOutOfRange")
    if above and split <= above[-1][0]:
        raise ProofError("SplitNotIncreasing")
    left, left_leaves = read_node(reader, above + [(split, 0)])
    right, right_leaves = read_node(reader, above + [(split, 1)])
    if not left_leaves and not right_leaves:
        raise ProofError("NothingShown")
    if left_leaves and right_leaves and first_difference(left_leaves[-1].path, right_leaves[0].path) != split:
        raise ProofError("LeavesDisagree")
    return Inner(split, left, right, inner_hash(split, left.hash, right.hash)), left_leaves + right_leaves


def read_leaf(reader: Reader, above: list) -> Leaf:
    """7.6: a leaf behind its tag."""
    value = reader.take(reader.integer(1))
    try:
        read_record(value)
    except Malformed:
        raise ProofError("MalformedLeaf") from None
    if is_holding_of_coins(key_of(value)):
        raise ProofError("MalformedLeaf")
    leaf = make_leaf(value)
    if any(path_bit(leaf.path, split) != side for split, side in above):
        raise ProofError("LeafElsewhere")
    return leaf


def excerpt_of(root: bytes, data: bytes):
    """7.6: an excerpt that leads to this root."""
    top = read_excerpt(data)
    if root_of(top) != root:
        raise ProofError("OtherRoot")
    return top


def excerpt_record(top, key: bytes):
    """7.6: what an excerpt says of a key: its leaf, None if it is absent, Hidden if it does not say."""
    path, node = path_of(key), top
    while isinstance(node, Inner):
        node = node.right if path_bit(path, node.split) else node.left
    if isinstance(node, Leaf):
        return node if key_of(node.value) == key else None
    return node


def excerpt_holdings(top, address: bytes, after: Optional[bytes] = None):
    """7.6: (values of holdings behind the asset `after`, whether they are complete), or Hidden."""
    start = path_of(account_key(address) if after is None else holding_key(address, after))
    if top is None:
        return [], True
    node = top
    while isinstance(node, Inner) and node.split < 256:
        node = node.right if path_bit(start, node.split) else node.left
    places = places_below(node)
    leaves = [i for i, place in enumerate(places) if isinstance(place, Leaf)]
    if not leaves:
        return Hidden(node.hash)
    if places[leaves[0]].path[:32] != start[:32]:
        return [], True
    before = [i for i in leaves if places[i].path <= start]
    behind = places[before[-1] + 1 :] if before else places
    hidden = [i for i, place in enumerate(behind) if isinstance(place, Hidden)]
    page = behind[: hidden[0]] if hidden else behind
    if not page and hidden:
        return Hidden(node.hash)
    return [leaf.value for leaf in page if leaf.value[0] == 2], not hidden


def places_below(node) -> list:
    """7.6: leaves and hidden nodes, from left to right."""
    if isinstance(node, Inner):
        return places_below(node.left) + places_below(node.right)
    return [node]


# ------------------------------------------------------------------------------------------------------------
# 8. Network parameters and genesis
# ------------------------------------------------------------------------------------------------------------


class Params(NamedTuple):
    """A network as one value (section 8.1)."""

    name: str
    prefix: str
    genesis_time: int
    spacing: int
    half_life: int
    drift: int
    limit_bits: int
    start_bits: int
    reward: int
    halving_interval: int
    block_bytes_max: int
    block_txs_max: int
    new_records_max: int
    allocations: list  # of (address, amount)


TARGET_FLOOR = 2**160
EASIEST_BITS = 0x207FFFFF


def params_fault(params: Params):
    """The parameter that is out of bounds, or None (section 8.1, in its order)."""

    def bits_are_good(bits: int) -> bool:
        target = target_of(bits)
        return target is not None and bits <= EASIEST_BITS and target >= TARGET_FLOOR

    letters = set("abcdefghijklmnopqrstuvwxyz")
    if not 1 <= len(params.name) <= 32 or not set(params.name) <= letters | set("0123456789-"):
        return "name"
    if not 1 <= len(params.prefix) <= 10 or not set(params.prefix) <= letters:
        return "prefix"
    if not 1 <= params.spacing <= 86_400_000:
        return "spacing"
    if params.half_life != 0 and not max(1, min(72 * params.drift, U64_MAX)) <= params.half_life <= 2**40:
        return "half_life"
    if not bits_are_good(params.start_bits):
        return "start_bits"
    if not bits_are_good(params.limit_bits):
        return "limit_bits"
    if target_of(params.start_bits) > target_of(params.limit_bits):
        return "start_bits"
    if not 65_536 <= params.block_bytes_max <= 16_777_216:
        return "block_bytes_max"
    if params.new_records_max < 1:
        return "new_records_max"
    addresses = [address for address, _ in params.allocations]
    if any(left >= right for left, right in zip(addresses, addresses[1:])):
        return "allocations"
    amounts = [amount for _, amount in params.allocations]
    if 0 in amounts or sum(amounts) > U64_MAX:
        return "allocations"
    return None


def params_bytes(params: Params) -> bytes:
    """What is hashed (section 8.2)."""
    parts = [u64(len(params.name)), params.name.encode(), u64(len(params.prefix)), params.prefix.encode()]
    parts += [u64(params.genesis_time), u64(params.spacing), u64(params.half_life), u64(params.drift)]
    parts += [u32(params.limit_bits), u32(params.start_bits)]
    parts += [u64(params.reward), u64(params.halving_interval)]
    parts += [u64(params.block_bytes_max), u64(params.block_txs_max), u64(params.new_records_max)]
    parts += [u64(len(params.allocations))]
    parts += [address + u64(amount) for address, amount in params.allocations]
    return b"".join(parts)


def params_hash(params: Params) -> bytes:
    """Section 8.2."""
    return tagged("params", params_bytes(params))


def genesis_state(params: Params) -> "State":
    """One account for each allocation (section 8.3)."""
    state = State()
    for address, amount in params.allocations:
        state.set_account(address, amount, 0)
    return state


def genesis_header(params: Params) -> Header:
    """Section 8.3."""
    return Header(
        version=1,
        height=0,
        prev=params_hash(params),
        history_root=history_root([]),
        body_root=body_root([]),
        state_root=genesis_state(params).root(),
        elapsed=0,
        prev_time=params.genesis_time,
        time=params.genesis_time,
        bits=params.start_bits,
        nonce=0,
    )


# ------------------------------------------------------------------------------------------------------------
# 9. Header rules
# ------------------------------------------------------------------------------------------------------------


def child_elapsed(params: Params, parent: Header) -> int:
    """Section 9.2."""
    if parent.height == 0:
        return 0
    if parent.height == 1:
        return params.spacing
    gap = max(0, parent.time - parent.prev_time)
    if params.half_life != 0:
        gap = min(gap, params.half_life)
    return min(parent.elapsed + gap, U64_MAX)


def child_bits(
    spacing: int, half_life: int, start_bits: int, limit_bits: int, height: int, elapsed: int
) -> int:
    """Section 9.3."""
    if half_life == 0:
        return start_bits
    anchor, limit = target_of(start_bits), target_of(limit_bits)
    blocks = max(0, height - 1)
    return compact_of(asert_target(anchor, spacing, half_life, limit, TARGET_FLOOR, elapsed, blocks))


def header_fault(params: Params, header: Header, parent: Header, parent_work: int, parent_history: bytes):
    """The first header rule that is broken, or None (section 9.1).

    `parent_work` is the total work up to the parent, `parent_history` the history root up to and with it."""
    if header.version != 1:
        return "header_version"
    if header.height != min(parent.height + 1, U64_MAX):
        return "header_height"
    if header.prev != header_id(parent):
        return "header_prev"
    if header.prev_time != parent.time:
        return "header_prev_time"
    if header.elapsed != child_elapsed(params, parent):
        return "header_elapsed"
    if not header.time > header.prev_time:
        return "header_time"
    network = (params.spacing, params.half_life, params.start_bits, params.limit_bits)
    if header.bits != child_bits(*network, header.height, header.elapsed):
        return "header_bits"
    if not meets_target(header):
        return "proof_of_work"
    if header.history_root != parent_history:
        return "history_root"
    if parent_work + work_of(header.bits) > U128_MAX:
        return "total_work"
    return None


# ------------------------------------------------------------------------------------------------------------
# 10. ASERT
# ------------------------------------------------------------------------------------------------------------


def saturate_i128(value: int) -> int:
    """The nearest signed number of 128 bits."""
    return max(-(2**127), min(value, 2**127 - 1))


def asert_target(
    anchor: int, spacing: int, half_life: int, limit: int, floor: int, elapsed: int, blocks: int
) -> int:
    """10.1, steps 1 to 7: the target of a block that was meant to come after `blocks` spacings."""
    behind = saturate_i128(elapsed - saturate_i128(spacing * blocks))
    product = saturate_i128(behind * 65536)
    exponent = product // half_life if product >= 0 else -(-product // half_life)
    shifts = exponent >> 16
    fraction = exponent - 65536 * shifts
    cubic = 195766423245049 * fraction + 971821376 * fraction**2 + 5127 * fraction**3
    factor = 65536 + ((cubic + 2**47) >> 48)
    product = anchor * factor
    moved = shifts - 16
    if moved <= 0:
        target = product >> min(-moved, 512)
    elif product.bit_length() + moved > 512:
        target = limit
    else:
        target = product << moved
    return max(min(target, limit), floor)


# ------------------------------------------------------------------------------------------------------------
# 11. Block rules
# ------------------------------------------------------------------------------------------------------------


def supply(initial: int, interval: int, allocated: int, height: int) -> int:
    """11.3: the coins there are after the block of this height."""
    total = allocated
    for era in range(64):
        if interval > 0:
            blocks = min(max(height - era * interval, 0), interval)
        else:
            blocks = height if era == 0 else 0
        total += (initial >> era) * blocks
    return min(U64_MAX, total)


def reward(initial: int, interval: int, allocated: int, height: int) -> int:
    """11.3: what the block of this height may create."""
    if height == 0:
        return 0
    return supply(initial, interval, allocated, height) - supply(initial, interval, allocated, height - 1)


def reward_of(params: Params, height: int) -> int:
    """11.3, in a network."""
    allocated = sum(amount for _, amount in params.allocations)
    return reward(params.reward, params.halving_interval, allocated, height)


class BlockFault(Exception):
    """Section 13: the first rule that a block breaks; with a transaction's, the index of its item."""

    def __init__(self, rule: str, index: Optional[int] = None):
        super().__init__(rule, index)
        self.rule = rule
        self.index = index


def check_items(params: Params, network: bytes, height: int, items: list) -> tuple:
    """11.1, rules 2 to 8, which need no state: the coinbase and the transactions. Raises BlockFault."""
    if block_bytes(items) > params.block_bytes_max:
        raise BlockFault("block_size")
    if not items:
        raise BlockFault("no_coinbase")
    try:
        coinbase = read_coinbase(items[0])
    except Malformed:
        raise BlockFault("malformed_coinbase") from None
    if coinbase.height != height:
        raise BlockFault("coinbase_height")
    if params.block_txs_max != 0 and len(items) - 1 > params.block_txs_max:
        raise BlockFault("transaction_count")
    return coinbase, check_transactions(items, network)


def check_transactions(items: list, network: bytes) -> list:
    """11.1, rules 7 and 8: the form of all, then the signatures of all."""
    transactions = []
    for index, item in enumerate(items[1:], 1):
        try:
            transaction = read_transaction(item)
        except Malformed:
            raise BlockFault("malformed", index) from None
        fault = form_fault(transaction, network)
        if fault is not None:
            raise BlockFault(fault, index)
        transactions.append(transaction)
    for index, transaction in enumerate(transactions, 1):
        if not signatures_are_valid(transaction):
            raise BlockFault("invalid_signature", index)
    return transactions


def check_block(params: Params, network: bytes, header: Header, items: list, state: State) -> State:
    """11.1, all of it, for a header that passed section 9: the state after the block. Raises BlockFault."""
    if body_root(items) != header.body_root:
        raise BlockFault("body_root")
    coinbase, transactions = check_items(params, network, header.height, items)
    return execute(params, header.height, header.state_root, coinbase, transactions, state)


# ------------------------------------------------------------------------------------------------------------
# 12. State transition
# ------------------------------------------------------------------------------------------------------------


def execute(
    params: Params, height: int, state_root: bytes, coinbase: Coinbase, transactions: list, state: State
) -> State:
    """12.2, and rules 9 to 12 of 11.1: the state after the block. Raises BlockFault."""
    after = state.copy()
    for index, transaction in enumerate(transactions, 1):
        fault = apply_transaction(after, transaction, height)
        if fault is not None:
            raise BlockFault(fault, index)
    if len(after.values.keys() - state.values.keys()) > params.new_records_max:
        raise BlockFault("new_records")
    fees = sum(transaction.fee for transaction in transactions)
    if coinbase.amount != min(reward_of(params, height) + fees, U64_MAX):
        raise BlockFault("coinbase_amount")
    if not credit(after, coinbase.miner, COINS, coinbase.amount):
        raise BlockFault("balance_overflow", 0)
    if after.root() != state_root:
        raise BlockFault("state_root")
    return after


def apply_transaction(state: State, transaction: Transaction, height: int) -> Optional[str]:
    """12.1: changes the state, or gives the rule that is broken (the state is then of no use)."""
    if transaction.expiry > 0 and height > transaction.expiry:
        return "expired"
    account = state.account(transaction.sender)
    if transaction.nonce < account.nonce or account.nonce == U64_MAX:
        return "nonce_used"
    if transaction.nonce > account.nonce:
        return "nonce_gap"
    sums = {COINS: transaction.fee}
    if isinstance(transaction.action, Transfer):
        for payment in transaction.action.payments:
            sums[payment.asset] = sums.get(payment.asset, 0) + payment.amount
    if account.balance < sums[COINS]:
        return "insufficient_funds"
    assets = sorted(asset for asset in sums if asset != COINS)
    for asset in assets:
        if state.holding(transaction.sender, asset) < sums[asset]:
            return "insufficient_asset"
    state.set_account(transaction.sender, account.balance - sums[COINS], account.nonce + 1)
    for asset in assets:
        state.set_holding(transaction.sender, asset, state.holding(transaction.sender, asset) - sums[asset])
    return apply_action(state, transaction)


def apply_action(state: State, transaction: Transaction) -> Optional[str]:
    """12.1, steps 7 and 8."""
    action, sender = transaction.action, transaction.sender
    if isinstance(action, Transfer):
        for payment in action.payments:
            if not credit(state, payment.to, payment.asset, payment.amount):
                return "balance_overflow"
        return None
    if isinstance(action, Issue):
        asset = asset_id(transaction)
        state.set_asset(Asset(asset, sender, action.symbol, action.decimals, action.supply, action.mintable))
        state.set_holding(sender, asset, action.supply)
        return None
    description = state.asset(action.asset)
    if description is None:
        return "unknown_asset"
    if isinstance(action, Mint):
        if not description.mintable:
            return "not_mintable"
        if description.issuer != sender:
            return "not_issuer"
        if description.supply + action.amount > U64_MAX:
            return "supply_overflow"
        state.set_asset(description._replace(supply=description.supply + action.amount))
        return None if credit(state, sender, action.asset, action.amount) else "balance_overflow"
    held = state.holding(sender, action.asset)
    if held < action.amount:
        return "insufficient_asset"
    state.set_asset(description._replace(supply=description.supply - action.amount))
    state.set_holding(sender, action.asset, held - action.amount)
    return None


def credit(state: State, to: bytes, asset: bytes, amount: int) -> bool:
    """12.1, step 7: false if the sum would pass 2^64-1."""
    if asset == COINS:
        account = state.account(to)
        if account.balance + amount > U64_MAX:
            return False
        state.set_account(to, account.balance + amount, account.nonce)
        return True
    held = state.holding(to, asset)
    if held + amount > U64_MAX:
        return False
    state.set_holding(to, asset, held + amount)
    return True


# ------------------------------------------------------------------------------------------------------------
# 14. Fork choice
# ------------------------------------------------------------------------------------------------------------


class Block:
    """A block that was a candidate (14.1)."""

    def __init__(self, header: Header, parent: Optional["Block"], items: list):
        self.header = header
        self.id = header_id(header)
        self.parent = parent
        self.items = items
        work = work_of(header.bits)
        self.total_work = work + (parent.total_work if parent is not None else 0)
        self.history = parent.history.copy() if parent is not None else History()
        self.history.append(history_leaf(self.id, work))
        self.state = None  # after the block, once it was executed

    def is_on_branch_of(self, other: "Block") -> bool:
        """Whether this block is `other` or one before it."""
        while other.header.height > self.header.height:
            other = other.parent
        return other is self


class Chain:
    """Every block that arrived, and the tip (14.2). States of all executed blocks are kept, for plainness."""

    def __init__(self, params: Params):
        self.params = params
        genesis = Block(genesis_header(params), None, [])
        genesis.state = genesis_state(params)
        self.network = genesis.id
        self.blocks = {genesis.id: genesis}  # candidates and former candidates, in the order of arrival
        self.marks = {}  # of each block found invalid, kept or not, the rule
        self.tip = genesis

    def arrive(self, header: Header, body: bytes) -> str:
        """14.2: what becomes of a block that arrives: `active`, `side`, `known`, `orphan`, or a rule."""
        block_id = header_id(header)
        if block_id in self.marks or header.prev in self.marks:
            return "known_invalid"
        parent = self.blocks.get(header.prev)
        if parent is None:
            return "orphan"
        fault = header_fault(self.params, header, parent.header, parent.total_work, parent.history.root())
        if fault is not None:
            return fault
        try:
            items = read_body(body, PEER_BODY_BYTES_MAX)
        except Malformed:
            return "body_root"
        if body_root(items) != header.body_root:
            return "body_root"
        if block_id in self.blocks:
            return "known"
        try:
            check_items(self.params, self.network, header.height, items)
        except BlockFault as fault:
            self.marks[block_id] = fault.rule
            return fault.rule
        block = Block(header, parent, items)
        self.blocks[block_id] = block
        return self.choose(block)

    def choose(self, block: Block) -> str:
        """14.2, steps 2 and 3, for a new candidate."""
        if block.total_work <= self.tip.total_work:
            return "side"
        fault = self.activate(block)
        if fault is None:
            return "active"
        while True:
            sound = [other for other in self.blocks.values() if other.id not in self.marks]
            better = [other for other in sound if other.total_work > self.tip.total_work]
            if not better:
                guilty, rule = fault
                if guilty is block:
                    del self.blocks[block.id]
                    return rule
                return "known_invalid"
            self.activate(max(better, key=lambda other: other.total_work))  # of equals, the first

    def activate(self, block: Block) -> Optional[tuple]:
        """14.2, step 3: makes a block the tip, or gives the block that fails and its rule."""
        branch = []
        start = block
        while not start.is_on_branch_of(self.tip):
            branch.append(start)
            start = start.parent
        state = start.state
        for step in reversed(branch):
            try:
                state = check_block(self.params, self.network, step.header, step.items, state)
            except BlockFault as fault:
                self.mark(step, fault.rule)
                return step, fault.rule
            step.state = state
        self.tip = block
        return None

    def mark(self, block: Block, rule: str):
        """14.4: marks a block and all that build on it."""
        for other in self.blocks.values():
            if block.is_on_branch_of(other):
                self.marks.setdefault(other.id, rule)


# ------------------------------------------------------------------------------------------------------------
# 16. Messages
# ------------------------------------------------------------------------------------------------------------


class Type(NamedTuple):
    """16.3: how a value is read, and its most bytes."""

    read: Callable
    most: int


def fixed(size: int) -> Type:
    """[n]."""
    return Type(lambda reader: reader.take(size), size)


def integer(size: int) -> Type:
    """u8 to u128."""
    return Type(lambda reader: reader.integer(size), size)


def list_of(item: Type, most: int) -> Type:
    """list<T, n>."""
    return Type(lambda reader: [item.read(reader) for _ in range(reader.count(most))], 8 + most * item.most)


def bytes_of(most: int) -> Type:
    """bytes<n>."""
    return Type(lambda reader: reader.byte_list(most), 8 + most)


def text_of(most: int) -> Type:
    """text<n>."""

    def read(reader: Reader) -> str:
        text = reader.byte_list(most)
        if any(not 0x20 <= byte <= 0x7E for byte in text):
            raise Malformed
        return text.decode("ascii")

    return Type(read, 8 + most)


def row(*fields: Type) -> Type:
    """A structure."""
    return Type(lambda reader: [field.read(reader) for field in fields], sum(field.most for field in fields))


def choice(fields_of: dict) -> Type:
    """A u8 tag, and the fields of that tag."""

    def read(reader: Reader) -> list:
        tag = reader.integer(1)
        if tag not in fields_of:
            raise Malformed
        return [tag] + fields_of[tag].read(reader)

    return Type(read, 1 + max(fields.most for fields in fields_of.values()))


def read_state_key(reader: Reader) -> bytes:
    """16.3: not a holding of coins."""
    tag = reader.integer(1)
    if tag not in (1, 2, 3):
        raise Malformed
    key = bytes([tag]) + reader.take(64 if tag == 2 else 32)
    if is_holding_of_coins(key):
        raise Malformed
    return key


HASH = fixed(32)
HEADER = Type(lambda reader: read_header(reader.take(HEADER_BYTES)), HEADER_BYTES)
TRANSACTION = bytes_of(TRANSACTION_BYTES_MAX)
STATE_KEY = Type(read_state_key, 65)
VERDICT = choice({1: row(), 2: row(), 3: row(text_of(64), text_of(256)), 4: row()})
FOUND = row(HEADER, integer(4), integer(4), list_of(HASH, 24), list_of(row(HASH, integer(16)), 64))
STATUS = choice({1: row(), 2: row(integer(1)), 3: FOUND, 4: row(integer(8))})
NODE_ADDRESS = row(fixed(16), integer(2))
REASON = row(text_of(32), text_of(256))
HELLO = row(
    fixed(8),
    integer(2),
    integer(1),
    HASH,
    integer(8),
    integer(2),
    integer(8),
    HASH,
    integer(8),
    text_of(64),
)

# 16.4: of each kind its name, its cap as the table says it, and its fields.
MESSAGES = {
    1: ("hello", 173, HELLO),
    2: ("bye", 304, REASON),
    3: ("ping", 8, row(integer(8))),
    4: ("pong", 8, row(integer(8))),
    5: ("failure", 304, REASON),
    16: ("get tip", 2, row(integer(2))),
    17: ("tip", 101_432, row(list_of(HEADER, 576), integer(16), HASH)),
    18: ("get state", 4_168, row(list_of(STATE_KEY, 64))),
    19: ("state", 1_120_632, row(HEADER, list_of(bytes_of(PROOF_BYTES_MAX), 64))),
    20: ("submit", 651_240, row(list_of(TRANSACTION, 32))),
    21: ("verdicts", 10_792, row(list_of(VERDICT, 32))),
    22: ("get status", 1_032, row(list_of(HASH, 32))),
    23: ("statuses", 129_496, row(HEADER, list_of(STATUS, 32))),
    24: ("get pending", 8_200, row(list_of(HASH, 256))),
    25: ("pending", 1_302_473, row(list_of(TRANSACTION, 64), integer(1))),
    26: ("watch", 8_200, row(list_of(HASH, 256))),
    27: ("notice", 177, row(HEADER, integer(1))),
    32: ("get headers", 3_240, row(list_of(HASH, 101))),
    33: ("headers", 352_008, row(list_of(HEADER, 2000))),
    34: ("get bodies", 520, row(list_of(HASH, 16))),
    35: ("body", 16_777_256, row(HASH, bytes_of(PEER_BODY_BYTES_MAX))),
    36: ("missing", 520, row(list_of(HASH, 16))),
    37: ("announce", 1_416, row(list_of(HEADER, 8))),
    38: ("tx ids", 32_008, row(list_of(HASH, 1000))),
    39: ("get txs", 1_032, row(list_of(HASH, 32))),
    40: ("txs", 651_240, row(list_of(TRANSACTION, 32))),
    41: ("get addresses", 0, row()),
    42: ("addresses", 18_008, row(list_of(NODE_ADDRESS, 1000))),
}


def read_frame(data: bytes) -> tuple:
    """16.1: (name, request, fields) of one frame that is here in full."""
    length = int.from_bytes(data[:4], "little")
    if len(data) < 9 or length < 5 or length != len(data) - 4 or data[4] not in MESSAGES:
        raise Malformed
    name, cap, fields = MESSAGES[data[4]]
    reader = Reader(data[9:], cap)
    values = fields.read(reader)
    reader.end()
    return name, int.from_bytes(data[5:9], "little"), values
