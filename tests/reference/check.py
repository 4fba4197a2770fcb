#!/usr/bin/env python3
"""Compares two implementations of the protocol. On standard input are cases, one JSON object a line: each has
its kind, its inputs and what the other implementation says. steelyard.py says it again; a difference ends it.

    steelyard-cases --kind all --count 1000 --seed 1 | python3 tests/reference/check.py
    python3 tests/reference/check.py --selftest

Exit code 0: all agree. 1: a difference, which is printed. 2: the input is no list of cases.
"""

import json
import os
import sys
import traceback
from functools import lru_cache

sys.dont_write_bytecode = True

import examples
import steelyard

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def unhex(text: str) -> bytes:
    """Bytes of lower-case hex."""
    return bytes.fromhex(text)


def maybe_hex(value):
    """Hex of bytes, null of None."""
    return None if value is None else value.hex()


def decimal(value):
    """A decimal string of a number, null of None."""
    return None if value is None else str(value)


def number(value) -> int:
    """A number, which is a decimal string where it may be large."""
    return int(value)


def params_of(case: dict) -> steelyard.Params:
    """A network's parameters out of a case."""
    given = dict(case["params"])
    allocations = [(unhex(address), number(amount)) for address, amount in given.pop("allocations")]
    texts = {name: given.pop(name) for name in ("name", "prefix")}
    numbers = {name: number(value) for name, value in given.items()}
    return steelyard.Params(allocations=allocations, **texts, **numbers)


@lru_cache(maxsize=64)
def genesis_by_text(text: str):
    """The parameters, their genesis header and its id; cases of one network come in rows."""
    params = params_of({"params": json.loads(text)})
    header = steelyard.genesis_header(params)
    return params, header, steelyard.header_id(header)


def genesis_of(case: dict):
    """The parameters of a case, the genesis header and its id."""
    return genesis_by_text(json.dumps(case["params"]))


# What each kind of case computes. A function takes the case and gives what `out` must be.

KINDS = {}


def kind(function):
    """Registers a kind under its function's name."""
    KINDS[function.__name__] = function
    return function


# --- bytes and numbers, sections 1 to 5 --------------------------------------------------------------------


@kind
def bits(case):
    """3.3: compact bits, expanded."""
    target = steelyard.target_of(case["bits"])
    if target is None:
        return None
    return {"target": target.to_bytes(32, "big").hex(), "work": decimal(steelyard.work_of_target(target))}


@kind
def target(case):
    """3.3: a target, compressed."""
    return {"bits": steelyard.compact_of(int(case["target"], 16))}


@kind
def asert(case):
    """9.3 and section 10: the bits of a block of this height and elapsed."""
    names = ("spacing", "half_life", "start_bits", "limit_bits", "height", "elapsed")
    return {"bits": steelyard.child_bits(*(number(case[name]) for name in names))}


@kind
def header(case):
    """3.2: id and proof of work of a header."""
    parsed = steelyard.read_header(unhex(case["bytes"]))
    return {
        "id": steelyard.header_id(parsed).hex(),
        "pow": steelyard.pow_hash(parsed).to_bytes(32, "big").hex(),
        "meets": steelyard.meets_target(parsed),
    }


@kind
def tx(case, with_signatures=False):
    """4.5: the form of a transaction."""
    try:
        transaction = steelyard.read_transaction(unhex(case["bytes"]))
    except steelyard.Malformed:
        return {"rule": "malformed"}
    fault = steelyard.form_fault(transaction, unhex(case["network"]))
    if fault is None and with_signatures and not steelyard.signatures_are_valid(transaction):
        fault = "invalid_signature"
    if fault is not None:
        return {"rule": fault}
    return {
        "id": steelyard.transaction_id(transaction).hex(),
        "full_id": steelyard.full_id(transaction).hex(),
        "asset": steelyard.asset_id(transaction).hex(),
    }


@kind
def signed(case):
    """4.5: form and signatures of a transaction."""
    return tx(case, with_signatures=True)


@kind
def coinbase(case):
    """5.1."""
    try:
        parsed = steelyard.read_coinbase(unhex(case["bytes"]))
    except steelyard.Malformed:
        return None
    return {
        "height": str(parsed.height),
        "miner": parsed.miner.hex(),
        "amount": str(parsed.amount),
        "extra": parsed.extra.hex(),
    }


@kind
def body(case):
    """5.2 and 5.3."""
    try:
        items = steelyard.read_body(unhex(case["bytes"]), number(case["max"]))
    except steelyard.Malformed:
        return None
    return {"items": len(items), "root": steelyard.body_root(items).hex()}


@kind
def address(case):
    """1.6: reading an address."""
    return maybe_hex(steelyard.address_of_text(case["prefix"], case["text"]))


@kind
def address_text(case):
    """1.6: writing an address."""
    return steelyard.address_text(case["prefix"], unhex(case["address"]))


@kind
def policy(case):
    """2.2 and 2.3."""
    try:
        reader = steelyard.Reader(unhex(case["bytes"]), steelyard.POLICY_BYTES_MAX)
        parsed = steelyard.read_policy(reader)
        reader.end()
    except steelyard.Malformed:
        return None
    return {"address": steelyard.address_of(parsed).hex()} if steelyard.policy_is_valid(parsed) else None


# --- trees, sections 5 to 7 --------------------------------------------------------------------------------


@kind
def body_tree(case):
    """5.3 and 5.4: a tree of made-up items, and a path in it."""
    seed, count, index = number(case["seed"]), number(case["count"]), number(case["index"])
    items = []
    for i in range(count):
        stuff = steelyard.sha256(steelyard.u64(seed) + steelyard.u64(i)) * 3
        items.append(stuff[: (7 * i * i + seed) % 90])
    root, path = steelyard.body_root(items), steelyard.body_path(items, index)
    assert steelyard.body_path_is_good(root, items[index], index, count, path)
    return {"root": root.hex(), "path": [sibling.hex() for sibling in path]}


@kind
def history(case):
    """Section 6: a history of made-up blocks, a path in it, and the root before that leaf from the path."""
    seed, count, index = number(case["seed"]), number(case["count"]), number(case["index"])
    leaves, appended = [], steelyard.History()
    for i in range(count):
        block_id = steelyard.sha256(steelyard.u64(seed) + steelyard.u64(i))
        work = 1 + int.from_bytes(steelyard.sha256(block_id)[:8], "little")
        leaves.append(steelyard.history_leaf(block_id, work))
        appended.append(leaves[-1])
    top = steelyard.tree_top(leaves, steelyard.history_join)
    path = steelyard.history_path(leaves, index)
    assert appended.root() == steelyard.history_root(leaves)
    assert steelyard.top_of_path(leaves[index], index, count, path, steelyard.history_join) == top
    return {
        "root": steelyard.history_root(leaves).hex(),
        "work": str(top[1]),
        "path": [[sibling.hex(), str(work)] for sibling, work in path],
        "prefix_root": steelyard.prefix_root(index, count, path).hex(),
    }


@kind
def record(case):
    """7.1 and 7.2."""
    value = unhex(case["value"])
    try:
        steelyard.read_record(value)
    except steelyard.Malformed:
        return None
    return {"path": steelyard.path_of(steelyard.key_of(value)).hex()}


@kind
def trie(case):
    """7.3 and 7.5: the roots while records come and go, and a proof at the end."""
    state, roots = steelyard.State(), []
    for op in case["ops"]:
        if "set" in op:
            value = unhex(op["set"])
            state.values[steelyard.key_of(value)] = value
        else:
            state.values.pop(unhex(op["del"]), None)
        roots.append(state.root().hex())
    return {"roots": roots, "proof": steelyard.prove(state.trie(), unhex(case["query"])).hex()}


@kind
def proof(case):
    """7.5: verifying."""
    try:
        value = steelyard.verify_proof(unhex(case["root"]), unhex(case["key"]), unhex(case["proof"]))
    except steelyard.ProofError:
        return {"error": True}
    return {"absent": True} if value is None else {"value": value.hex()}


@kind
def excerpt(case):
    """7.6: verifying, and what is shown of each key."""
    try:
        top = steelyard.excerpt_of(unhex(case["root"]), unhex(case["bytes"]))
    except steelyard.ProofError:
        return {"error": True}
    said = []
    for key in case["keys"]:
        found = steelyard.excerpt_record(top, unhex(key))
        if isinstance(found, steelyard.Hidden):
            said.append({"hidden": True})
        else:
            said.append({"absent": True} if found is None else {"value": found.value.hex()})
    return said


# --- rules, sections 8 to 14 -------------------------------------------------------------------------------


@kind
def params(case):
    """8.1 to 8.3."""
    parsed = params_of(case)
    if steelyard.params_fault(parsed) is not None:
        return None
    genesis = steelyard.genesis_header(parsed)
    return {
        "hash": steelyard.params_hash(parsed).hex(),
        "genesis": steelyard.header_bytes(genesis).hex(),
        "id": steelyard.header_id(genesis).hex(),
    }


@kind
def reward(case):
    """11.3."""
    figures = [number(case[name]) for name in ("initial", "interval", "allocated", "height")]
    return {"reward": str(steelyard.reward(*figures)), "supply": str(steelyard.supply(*figures))}


@kind
def headers(case):
    """9.1: each header as a child of the last one that was accepted."""
    network, parent, parent_id = genesis_of(case)
    work = steelyard.work_of(parent.bits)
    headers_before = steelyard.History()
    headers_before.append(steelyard.history_leaf(parent_id, work))
    verdicts = []
    for data in case["headers"]:
        child = steelyard.read_header(unhex(data))
        fault = steelyard.header_fault(network, child, parent, work, headers_before.root())
        verdicts.append("ok" if fault is None else fault)
        if fault is None:
            parent, own_work = child, steelyard.work_of(child.bits)
            work += own_work
            headers_before.append(steelyard.history_leaf(steelyard.header_id(child), own_work))
    return verdicts


@kind
def transition(case):
    """Sections 11 to 13: a body on a state."""
    network, _, network_id = genesis_of(case)
    state = steelyard.State(unhex(value) for value in case["records"])
    try:
        items = steelyard.read_body(unhex(case["body"]), steelyard.PEER_BODY_BYTES_MAX)
        height, root = number(case["height"]), unhex(case["header_state_root"])
        first, transactions = steelyard.check_items(network, network_id, height, items)
        after = steelyard.execute(network, height, root, first, transactions, state)
    except steelyard.BlockFault as fault:
        return {"rule": fault.rule, "index": fault.index}
    return {"root": after.root().hex()}


@kind
def fork(case):
    """14.2: what becomes of each block that arrives, and the tip after it."""
    chain, said = steelyard.Chain(params_of(case)), []
    for arrival in case["arrivals"]:
        parsed = steelyard.read_header(unhex(arrival["header"]))
        verdict = chain.arrive(parsed, unhex(arrival["body"]))
        said.append({"verdict": verdict, "tip": chain.tip.id.hex()})
    return said


# --- the comparison ----------------------------------------------------------------------------------------


def compare(lines) -> int:
    """Recomputes every case. The exit code."""
    counts = {}
    for line_number, line in enumerate(lines, 1):
        try:
            case = json.loads(line)
            name, expected = case["k"], case["out"]
        except (ValueError, TypeError, KeyError):
            print(f"line {line_number} is no case: {line.strip()[:200]}", file=sys.stderr)
            return 2
        if name not in KINDS:
            print(f"line {line_number} is of no known kind: {name}", file=sys.stderr)
            return 2
        try:
            got = KINDS[name](case)
        except Exception:
            print(f"line {line_number} could not be computed: {line.strip()}")
            traceback.print_exc(file=sys.stdout)
            return 1
        if not same(got, expected):
            print(f"line {line_number} differs")
            print("case     " + line.strip())
            print("expected " + json.dumps(expected))
            print("got      " + json.dumps(got))
            return 1
        counts[name] = counts.get(name, 0) + 1
    for name in sorted(counts):
        print(f"{name} {counts[name]}")
    print(f"{sum(counts.values())} cases agree")
    if not counts:
        print("no cases are no comparison", file=sys.stderr)
        return 2
    return 0


def same(got, expected) -> bool:
    """Equality of JSON values; unlike Python's, it tells true from 1."""
    return json.dumps(got, sort_keys=True) == json.dumps(expected, sort_keys=True)


# --- the examples ------------------------------------------------------------------------------------------


def selftest() -> int:
    """The specification's worked examples and, if STEELYARD_VECTORS names them, the published vectors. The
    exit code."""
    said = examples.Examples(examples.read_examples([os.path.join(ROOT, "docs", "protocol.md")]))
    for section in examples.SECTIONS:
        try:
            section(said)
        except KeyError as missing:
            said.differ.append((f"{missing} of {section.__name__}", "an example of this name", "none"))
    for name, expected, got in said.differ:
        print(f"{name}\nexpected {expected}\ngot      {got}")
    print(f"{said.agreed} of {len(said.said)} values of the examples agree, {len(said.differ)} differ")
    vectors = os.environ.get("STEELYARD_VECTORS")
    if vectors:
        print(f"published signatures {examples.published_signatures(vectors)}")
        print(f"published targets {examples.published_asert(vectors)}")
    return 1 if said.differ or said.agreed == 0 else 0


def main() -> int:
    """The exit code."""
    if sys.argv[1:] == ["--selftest"]:
        return selftest()
    if sys.argv[1:]:
        print(__doc__, file=sys.stderr)
        return 2
    return compare(sys.stdin)


if __name__ == "__main__":
    sys.exit(main())
