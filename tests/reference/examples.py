"""The worked examples of the specification, computed again: check.py --selftest. Inputs are read from the
examples too, so what is compared is what steelyard.py makes of them.
"""

import csv
import glob
import os
import re

import steelyard
from steelyard import byte_list, u16, u32, u64


def read_examples(paths: list) -> dict:
    """Every `name = value` of the example blocks; a value goes on in lines indented by two spaces."""
    found, name = {}, None
    for path in paths:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for block in re.findall(r"^```example\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                if line.startswith("  "):
                    found[name] += line.strip()
                else:
                    name, _, value = line.partition(" =")
                    found[name] = value.strip()
    return found


class Examples:
    """What the specification says, and what of it was found true."""

    def __init__(self, said: dict):
        self.said = said
        self.agreed = 0
        self.differ = []

    def bytes(self, name: str) -> bytes:
        """An input in hex."""
        return bytes.fromhex(self.said[name])

    def number(self, name: str) -> int:
        """An input that is a number."""
        return int(self.said[name], 0)

    def same(self, name: str, value):
        """Compares bytes, as hex, or anything else, as it prints."""
        got = value.hex() if isinstance(value, bytes) else str(value)
        expected = self.said.get(name, "(not in the text)")
        if got == expected:
            self.agreed += 1
        else:
            self.differ.append((name, expected, got))


def hex32(number: int) -> bytes:
    """A number of 256 bits, most significant byte first."""
    return number.to_bytes(32, "big")


def conventions(examples: Examples):
    """Section 1."""
    examples.same("integer.u32", u32(examples.number("integer.value")))
    examples.same("integer.u64", u64(examples.number("integer.value")))
    examples.same("list.u8", byte_list(bytes(int(item) for item in examples.said["list.items"].split())))
    examples.same("tagged.sha256_of_tag", steelyard.sha256(examples.said["tagged.tag"].encode()))
    examples.same("tagged.hash", steelyard.tagged("block", examples.bytes("tagged.message")))
    examples.same("sha256d.hash", steelyard.sha256(steelyard.sha256(examples.bytes("sha256d.message"))))
    for prefix in ("dsy", "sy"):
        text = steelyard.address_text(prefix, examples.bytes("text.address"))
        examples.same("text." + prefix, text)
        assert steelyard.address_of_text(prefix, text.upper()) == examples.bytes("text.address")
        assert steelyard.address_of_text(prefix + "x", text) is None
        assert steelyard.address_of_text(prefix, text[0].upper() + text[1:]) is None


def single(public_key: bytes) -> steelyard.Policy:
    """2.2: the policy of one key."""
    return steelyard.Policy(1, [public_key])


def keys_and_policies(examples: Examples):
    """Section 2."""
    secret, message = examples.bytes("sign.secret"), examples.bytes("sign.message")
    examples.same("sign.public", steelyard.public_key_of(int.from_bytes(secret, "big")))
    signature = steelyard.sign(secret, message, examples.bytes("sign.randomness"))
    examples.same("sign.signature", signature)
    assert steelyard.verify_signature(examples.bytes("sign.public"), message, signature)
    keys = []
    for name in ("alice", "bob", "carol"):
        keys.append(steelyard.public_key_of(int(examples.said[name + ".secret"], 16)))
        policy = single(keys[-1])
        examples.same(name + ".public", keys[-1])
        examples.same(name + ".policy", steelyard.policy_bytes(policy))
        examples.same(name + ".address", steelyard.address_of(policy))
    shared = steelyard.Policy(examples.number("shared.m"), sorted(keys))
    assert steelyard.policy_is_valid(shared) and not steelyard.policy_is_valid(shared._replace(keys=keys))
    examples.same("shared.policy", steelyard.policy_bytes(shared))
    examples.same("shared.address", steelyard.address_of(shared))
    unliftable = steelyard.read_policy(steelyard.Reader(examples.bytes("unliftable.policy"), 515))
    assert not steelyard.policy_is_valid(unliftable)


def headers_and_bits(examples: Examples):
    """Section 3."""
    data = bytes(range(176))
    header = steelyard.read_header(data)
    examples.same("header.bytes", steelyard.header_bytes(header))
    for name, value in header._asdict().items():
        examples.same("header." + name, value)
    examples.same("header.id", steelyard.header_id(header))
    examples.same("header.sha256d", steelyard.sha256(steelyard.sha256(data)))
    examples.same("header.pow_number", hex32(steelyard.pow_hash(header)))
    for bits in ("207fffff", "1d0fffff", "1d00ffff", "15010000", "02008000"):
        target = steelyard.target_of(int(bits, 16))
        work = steelyard.work_of_target(target)
        examples.same("expand." + bits, f"{hex32(target).hex()} work {'undefined' if work is None else work}")
    for bits in examples.said["expand.refused"].split():
        assert steelyard.target_of(int(bits, 16)) is None, bits
    targets = {name: int(name, 16) for name in ("80", "123456", "12345678", "ffffffff")}
    targets.update({"2_pow_160": 2**160, "2_pow_160_minus_1": 2**160 - 1, "2_pow_256_minus_1": 2**256 - 1})
    for name, target in targets.items():
        examples.same("compress." + name, u32(steelyard.compact_of(target))[::-1])
    examples.same("work_of.2_pow_128", steelyard.work_of_target(2**128))
    examples.same("work_of.2_pow_256_minus_1", steelyard.work_of_target(2**256 - 1))


def transactions(examples: Examples):
    """Section 4: bodies out of their fields, and all transactions decoded and checked."""
    network = examples.bytes("pay.network")
    fixed = b"\x01" + network + examples.bytes("pay.sender")
    figures = b"".join(u64(examples.number("pay." + name)) for name in ("nonce", "fee", "expiry"))
    payments = b""
    for i in range(2):
        name = f"pay.payment.{i}."
        payments += examples.bytes(name + "asset") + examples.bytes(name + "to")
        payments += u64(examples.number(name + "amount"))
    memo = byte_list(examples.bytes("pay.memo"))
    examples.same("pay.body", fixed + figures + memo + b"\x01" + u64(2) + payments)
    symbol = byte_list(examples.bytes("issue.symbol"))
    action = b"\x02" + symbol + b"\x02" + u64(examples.number("issue.supply")) + b"\x01"
    examples.same("issue.body", fixed + u64(0) * 3 + u64(0) + action)
    secrets = [examples.bytes(name + ".secret") for name in ("bob", "alice", "carol")]
    alice, shared = examples.bytes("alice.policy"), examples.bytes("shared.policy")
    for name, policy, signers, signing in (
        ("pay", alice, 1, [1]),
        ("issue", alice, 1, [1]),
        ("burn", shared, 5, [0, 2]),
        ("mint", alice, 1, [1]),
    ):
        body = examples.bytes(name + ".body")
        signatures = [steelyard.sign(secrets[i], steelyard.tagged("transaction", body)) for i in signing]
        authorization = policy + u16(signers) + u64(len(signatures)) + b"".join(signatures)
        transaction = steelyard.read_transaction(body + authorization)
        assert transaction.body == body
        assert steelyard.form_fault(transaction, network) is None
        assert steelyard.signatures_are_valid(transaction)
        examples.same(name + ".authorization", authorization)
        examples.same(name + ".id", steelyard.transaction_id(transaction))
        examples.same(name + ".full_id", steelyard.full_id(transaction))
        if name == "issue":
            examples.same("issue.asset_id", steelyard.asset_id(transaction))


def body_tree(examples: Examples):
    """Section 5."""
    coinbase = steelyard.Coinbase(
        examples.number("coinbase.height"),
        examples.bytes("coinbase.miner"),
        examples.number("coinbase.amount"),
        examples.bytes("coinbase.extra"),
    )
    examples.same("coinbase.bytes", steelyard.coinbase_bytes(coinbase))
    assert steelyard.read_coinbase(steelyard.coinbase_bytes(coinbase)) == coinbase
    items = [bytes([i]) * i for i in range(5)]
    leaves = steelyard.body_leaves(items)
    for i, leaf in enumerate(leaves):
        examples.same(f"body.leaf.{i}", leaf)
    top = {"n01": leaves[:2], "n23": leaves[2:4], "n0123": leaves[:4], "top": leaves}
    for name, part in top.items():
        examples.same("body." + name, steelyard.tree_top(part, steelyard.body_join))
    examples.same("body.bytes", steelyard.body_bytes(items))
    examples.same("body.root", steelyard.body_root(items))
    examples.same("body.block_bytes", steelyard.block_bytes(items))
    examples.same("body.root_of_none", steelyard.body_root([]))
    for count in (1, 2, 3):
        examples.same(f"body.root_of_first_{count}", steelyard.body_root(items[:count]))
    named = {f"l{i}": leaf for i, leaf in enumerate(leaves)}
    named.update({name: examples.bytes("body." + name) for name in ("n01", "n23", "n0123")})
    for index in (2, 4):
        path = steelyard.body_path(items, index)
        assert path == [named[name] for name in examples.said[f"body.path.{index}"].split()]
        assert steelyard.body_path_is_good(examples.bytes("body.root"), items[index], index, 5, path)


def history_tree(examples: Examples):
    """Section 6."""
    join = steelyard.history_join
    leaves = [steelyard.history_leaf(bytes([i]) * 32, 2**70 + i) for i in range(5)]
    nodes = {f"leaf.{i}": leaf for i, leaf in enumerate(leaves)}
    for name, part in (("n01", leaves[:2]), ("n23", leaves[2:4]), ("n0123", leaves[:4]), ("top", leaves)):
        nodes[name] = steelyard.tree_top(part, join)
    for name, (node_hash, work) in nodes.items():
        examples.same("history." + name, f"{node_hash.hex()} {work}")
    history = steelyard.History()
    for count in range(6):
        examples.same(f"history.root.{count}", steelyard.history_root(leaves[:count]))
        assert history.root() == steelyard.history_root(leaves[:count])
        if count < 5:
            history.append(leaves[count])
    path = steelyard.history_path(leaves, 3)
    assert path == [leaves[2], nodes["n01"], leaves[4]]
    assert steelyard.top_of_path(leaves[3], 3, 5, path, join) == nodes["top"]
    examples.same("history.path.3.prefix_root", steelyard.prefix_root(3, 5, path))


def state(examples: Examples):
    """Section 7."""
    records = steelyard.State()
    examples.same("state.root.0", records.root())
    for i in range(1, 5):
        value = examples.bytes(f"record.{i}.value")
        leaf = steelyard.make_leaf(value)
        examples.same(f"record.{i}.path", leaf.path)
        examples.same(f"record.{i}.leaf", leaf.hash)
        examples.same(f"record.{i}.value", steelyard.record_bytes(steelyard.read_record(value)))
        records.values[steelyard.key_of(value)] = value
        examples.same(f"state.root.{i}", records.root())
    trie, root = records.trie(), records.root()
    for node in (trie, trie.right, trie.right.left):
        examples.same(f"state.inner.{node.split}", node.hash)
    for name in ("present", "absent"):
        key, proof = examples.bytes(f"proof.{name}.key"), examples.bytes(f"proof.{name}.bytes")
        examples.same(f"proof.{name}.bytes", steelyard.prove(trie, key))
        assert steelyard.verify_proof(root, key, proof) == records.values.get(key)
    examples.same("proof.absent.path", steelyard.path_of(examples.bytes("proof.absent.key")))
    examples.same("proof.of_empty_state", steelyard.prove(None, examples.bytes("proof.present.key")))
    top = steelyard.excerpt_of(root, examples.bytes("excerpt.accounts"))
    for i in (1, 4):
        value = examples.bytes(f"record.{i}.value")
        assert steelyard.excerpt_record(top, steelyard.key_of(value)).value == value
    alice = examples.bytes("alice.address")
    top = steelyard.excerpt_of(root, examples.bytes("excerpt.holdings"))
    assert steelyard.excerpt_holdings(top, alice) == ([examples.bytes("record.2.value")], True)
    assert isinstance(steelyard.excerpt_record(top, examples.bytes("record.4.value")[:33]), steelyard.Hidden)
    top = steelyard.excerpt_of(root, examples.bytes("excerpt.no_holdings"))
    assert isinstance(steelyard.excerpt_holdings(top, alice), steelyard.Hidden)


def allocations(examples: Examples) -> list:
    """8.4: what `dev` begins with."""
    owners = [steelyard.address_of(single(examples.bytes(f"dev.owner.{i}"))) for i in range(10)]
    return [(owner, 100_000_000_000) for owner in sorted(owners)]


def networks(examples: Examples) -> dict:
    """8.4: the parameters of the built-in networks and of an example."""
    dev = steelyard.Params(
        name="dev",
        prefix="dsy",
        genesis_time=1_767_225_600_000,
        spacing=2_000,
        half_life=0,
        drift=120_000,
        limit_bits=0x207FFFFF,
        start_bits=0x207FFFFF,
        reward=1_000_000_000,
        halving_interval=0,
        block_bytes_max=2_097_152,
        block_txs_max=0,
        new_records_max=8_192,
        allocations=allocations(examples),
    )
    tutorial = dev._replace(
        name="tutorial",
        prefix="tsy",
        spacing=30_000,
        half_life=8_640_000,
        start_bits=0x1D0FFFFF,
        block_txs_max=32,
        allocations=[],
    )
    made = tutorial._replace(
        name="class-7",
        prefix="sy",
        genesis_time=1_800_000_000_000,
        start_bits=0x207FFFFF,
        halving_interval=2_102_400,
        block_txs_max=0,
    )
    return {"dev": dev, "tutorial": tutorial, "class-7": made}


def parameters(examples: Examples):
    """Section 8."""
    for name, params in networks(examples).items():
        genesis = steelyard.genesis_header(params)
        assert steelyard.params_fault(params) is None
        examples.same(name + ".params", steelyard.params_bytes(params))
        examples.same(name + ".params_hash", steelyard.params_hash(params))
        examples.same(name + ".genesis_state_root", genesis.state_root)
        examples.same(name + ".genesis_header", steelyard.header_bytes(genesis))
        examples.same(name + ".genesis_id", steelyard.header_id(genesis))
        examples.same(name + ".genesis_total_work", steelyard.work_of(genesis.bits))


def difficulty(examples: Examples):
    """Sections 9 and 10."""
    of_network = networks(examples)
    for name, params in (("capped", of_network["tutorial"]), ("uncapped", of_network["dev"])):
        times = [int(time) for time in examples.said[f"elapsed.{name}.times"].split()]
        parent, values = steelyard.genesis_header(params), []
        for time in times[1:] + [0]:
            elapsed = steelyard.child_elapsed(params, parent)
            values.append(str(elapsed))
            height = parent.height + 1
            parent = parent._replace(height=height, elapsed=elapsed, prev_time=parent.time, time=time)
        count = len(examples.said[f"elapsed.{name}.values"].split())
        examples.same(f"elapsed.{name}.values", " ".join(values[:count]))
    tutorial = of_network["tutorial"]
    figures = (tutorial.spacing, tutorial.half_life, tutorial.start_bits, tutorial.limit_bits)
    for name in examples.said:
        if not re.fullmatch(r"asert\..*\.inputs", name) or name == "asert.published.inputs":
            continue
        _, elapsed, _, blocks = examples.said[name].split()
        bits = steelyard.child_bits(*figures, int(blocks) + 1, int(elapsed))
        examples.same(name.replace("inputs", "bits"), f"0x{bits:08x}")
        anchor, limit = steelyard.target_of(tutorial.start_bits), steelyard.target_of(tutorial.limit_bits)
        given = (anchor, tutorial.spacing, tutorial.half_life, limit, steelyard.TARGET_FLOOR)
        target = steelyard.asert_target(*given, int(elapsed), int(blocks))
        examples.same(name.replace("inputs", "target"), hex32(target))
    _, elapsed, _, blocks = examples.said["asert.published.inputs"].split()
    limit = steelyard.target_of(0x1D00FFFF)
    target = steelyard.asert_target(limit, 600, 172_800, limit, 1, int(elapsed), int(blocks))
    examples.same("asert.published.target", hex32(target))
    examples.same("asert.published.bits", f"0x{steelyard.compact_of(target):08x}")


def rewards(examples: Examples):
    """11.3."""
    made = networks(examples)["class-7"]
    figures = {
        "halving": (8, 10, 0),
        "cap": (2**63, 0, 0),
        "class-7": (made.reward, made.halving_interval, 0),
        "dev": (1_000_000_000, 0, 1_000_000_000_000),
    }
    for name, given in figures.items():
        for what, formula in (("reward", steelyard.reward), ("supply", steelyard.supply)):
            key = f"{what}.{name}"
            heights = [int(pair.split(":")[0]) for pair in examples.said[key].split()]
            examples.same(key, " ".join(f"{height}:{formula(*given, height)}" for height in heights))


def story(examples: Examples):
    """12.3: two blocks on `dev`, header and body."""
    params = networks(examples)["dev"]
    parent = steelyard.genesis_header(params)
    network = steelyard.header_id(parent)
    state = steelyard.genesis_state(params)
    work = steelyard.work_of(parent.bits)
    history = steelyard.History()
    history.append(steelyard.history_leaf(network, work))
    for block in ("story.1", "story.2"):
        header = steelyard.read_header(examples.bytes(block + ".header"))
        items = [examples.bytes(block + ".coinbase")]
        while f"{block}.tx.{len(items)}" in examples.said:
            items.append(examples.bytes(f"{block}.tx.{len(items)}"))
        assert steelyard.header_fault(params, header, parent, work, history.root()) is None
        after = steelyard.check_block(params, network, header, items, state)
        work += steelyard.work_of(header.bits)
        history.append(steelyard.history_leaf(steelyard.header_id(header), steelyard.work_of(header.bits)))
        examples.same(block + ".id", steelyard.header_id(header))
        examples.same(block + ".pow", hex32(steelyard.pow_hash(header)))
        examples.same(block + ".body_root", steelyard.body_root(items))
        examples.same(block + ".state_root", after.root())
        examples.same(block + ".total_work", work)
        for i, item in enumerate(items[1:], 1):
            transaction = steelyard.read_transaction(item)
            examples.same(f"{block}.tx.{i}.id", steelyard.transaction_id(transaction))
        story_records(examples, block, after)
        parent, state = header, after


def story_records(examples: Examples, block: str, state: steelyard.State):
    """12.3: the records after a block."""
    address = {name: examples.bytes(f"story.{name}.address") for name in ("alice", "bob", "miner")}
    gold = examples.bytes("story.gold")
    keys = {name + ".coins": steelyard.account_key(address[name]) for name in address}
    keys.update({name + ".gold": steelyard.holding_key(address[name], gold) for name in ("alice", "bob")})
    keys["gold"] = steelyard.asset_key(gold)
    for name, key in keys.items():
        examples.same(f"{block}.record.{name}", state.values.get(key, "none"))


def messages(examples: Examples):
    """Section 16: each cap is the sum it is said to be, and the table reads every frozen frame."""
    for name, cap, fields in steelyard.MESSAGES.values():
        assert cap == fields.most, name
    figures = examples.said["hello.fields"].split()[1::2]
    version, role, nonce, port, height, bodies_from = (int(figure) for figure in figures)
    network, tip = examples.bytes("hello.network"), examples.bytes("hello.tip")
    fields = [b"steelyrd", version, role, network, nonce, port, height, tip, bodies_from]
    fields.append(examples.said["hello.agent"])
    assert steelyard.read_frame(examples.bytes("hello.frame")) == ("hello", 0, fields)
    request, nonce = (int(value) for value in examples.said["ping.fields"].split()[1::2])
    assert steelyard.read_frame(examples.bytes("ping.frame")) == ("ping", request, [nonce])
    path = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden", "messages.txt")
    with open(path, encoding="utf-8") as file:
        frames = [bytes.fromhex(line.split(" = ")[1]) for line in file if " = " in line]
    kinds = {name for name, _, _ in steelyard.MESSAGES.values()}
    assert {steelyard.read_frame(frame)[0] for frame in frames} == kinds


def published_signatures(directory: str) -> int:
    """BIP 340's own vectors, those with messages of 32 bytes and others. How many there are."""
    count = 0
    with open(os.path.join(directory, "bip340-test-vectors.csv"), encoding="utf-8") as file:
        for row in csv.DictReader(file):
            key, message = bytes.fromhex(row["public key"]), bytes.fromhex(row["message"])
            signature = bytes.fromhex(row["signature"])
            good = row["verification result"] == "TRUE"
            assert steelyard.verify_signature(key, message, signature) == good, row
            if row["secret key"]:
                secret, auxiliary = bytes.fromhex(row["secret key"]), bytes.fromhex(row["aux_rand"])
                assert steelyard.sign(secret, message, auxiliary) == signature, row
            count += 1
    return count


def published_asert(directory: str) -> int:
    """The published runs of aserti3-2d, with the inputs of section 10's second column. How many lines."""
    count = 0
    limit = steelyard.target_of(0x1D00FFFF)
    for path in sorted(glob.glob(os.path.join(directory, "asert-aserti3-2d", "run*"))):
        with open(path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        said = dict(line.strip("# ").split(": ", 1) for line in lines if line.startswith("##"))
        anchor = steelyard.target_of(int(said["anchor nBits"], 16))
        for line in lines:
            if not line.strip() or line.startswith("#"):
                continue
            _, height, time, bits = (int(value, 0) for value in line.split())
            elapsed = time - int(said["anchor parent time"])
            blocks = height - int(said["anchor height"]) + 1
            target = steelyard.asert_target(anchor, 600, 172_800, limit, 1, elapsed, blocks)
            assert steelyard.compact_of(target) == bits, (path, line)
            count += 1
    return count


SECTIONS = [
    conventions,
    keys_and_policies,
    headers_and_bits,
    transactions,
    body_tree,
    history_tree,
    state,
    parameters,
    difficulty,
    rewards,
    story,
    messages,
]
