//! Accounts whose keys are the same on every run, and what they sign. Must not know a chain:
//! nonces, fees and the network are arguments.

use steelyard_core::crypto::keys::{PublicKey, SecretKey};
use steelyard_core::crypto::policy::{KEYS_MAX, Policy};
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, AssetId, NetworkId, sha256d};
use steelyard_core::types::transaction::{Action, Authorization, BODY_FORMAT, Payment, Transaction, TxBody};

/// Secret keys of the `dev` network's accounts, in the order of their paths. Published.
const DEV_SECRETS: [&str; 10] = [
    "e01fea8a48e2854fdd0255c12b1d704967d9401f11c3f4980006ced8977574dc",
    "c4640899c331482720477a47ccb60d447502fbda8aae1d35a36d1866e04cc4c5",
    "18f7a6e9dfb6d63b93948bfe29d95f380e48c9dd876932b4a4e161625b3891cf",
    "0536d071488c76bcbbd84e5a6ec8b551f10db12a22de018c6b6c1383d54dfdba",
    "eda315e14d46c5fc5c3a0d1701f8959c06e0667ebdf1f8324d0b7ce6b5f5cdfc",
    "aaed4cead1209b1c4c663c1e5c47d4a316c149a362bb5c2cd80efca1fd68f48e",
    "055fd04a906d3cf4adc381a24bbab8fd8236c879704b2d0b31e9960d702e3f29",
    "cbc62df6229d8d80c9f1f18f7181540d5b26d9d04eae8d87ab63d143f8b0c53a",
    "4bd3e3711ece0caf01946ba5ade8f05216d46f6e123fe9d131b802ffe9e3de0f",
    "1d085cce5beba2094313132a7273d6d70d3b7053327fc230f2ffad10fe59319e",
];

/// Keys, the policy they satisfy, and its address.
#[derive(Debug)]
pub struct Account {
    /// All keys of the policy, in its order.
    pub secrets: Vec<SecretKey>,
    /// Which of them must sign.
    pub policy: Policy,
    /// Where it is paid.
    pub address: Address,
}

/// All of a transaction but who, where and what.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Transactions of the sender before.
    pub nonce: u64,
    /// Base units for the miner.
    pub fee: u64,
    /// Last height; 0 for no end.
    pub expiry: u64,
    /// Any bytes, at most 256.
    pub memo: Vec<u8>,
}

impl Terms {
    /// No fee, no end, no memo.
    #[must_use]
    pub fn of_nonce(nonce: u64) -> Self {
        Self { nonce, ..Self::default() }
    }

    /// With a fee.
    #[must_use]
    pub fn fee(self, fee: u64) -> Self {
        Self { fee, ..self }
    }

    /// With a last height.
    #[must_use]
    pub fn expiry(self, expiry: u64) -> Self {
        Self { expiry, ..self }
    }
}

impl Account {
    /// The account of one key.
    #[must_use]
    pub fn of_key(secret: SecretKey) -> Self {
        Self::of_keys(1, vec![secret])
    }

    /// `threshold` of these keys, in any order.
    #[must_use]
    pub fn of_keys(threshold: u8, mut secrets: Vec<SecretKey>) -> Self {
        secrets.sort_by_key(SecretKey::public);
        let keys: Vec<PublicKey> = secrets.iter().map(SecretKey::public).collect();
        let policy = Policy::new(threshold, keys).expect("the test asks for a valid policy");
        Self { address: policy.address(), secrets, policy }
    }

    /// Account `i` of the `dev` network, 0 to 9.
    #[must_use]
    pub fn dev(i: usize) -> Self {
        let mut bytes = [0; 32];
        hex::decode_to_slice(DEV_SECRETS[i], &mut bytes).expect("64 hex digits");
        Self::of_key(SecretKey::new(bytes).expect("a key"))
    }

    /// One of 2^64 accounts of one key.
    #[must_use]
    pub fn numbered(number: u64) -> Self {
        Self::of_key(secret(b"single", number, 0))
    }

    /// One of 2^64 accounts of `threshold` of `keys` keys.
    #[must_use]
    pub fn multisig(threshold: u8, keys: u8, number: u64) -> Self {
        Self::of_keys(threshold, (0..keys).map(|key| secret(b"shared", number, key)).collect())
    }

    /// Pays from here.
    #[must_use]
    pub fn pay(&self, network: NetworkId, terms: Terms, payments: Vec<Payment>) -> Transaction {
        self.act(network, terms, transfer(payments))
    }

    /// [`Account::pay`] as it travels.
    #[must_use]
    pub fn pay_bytes(&self, network: NetworkId, terms: Terms, payments: Vec<Payment>) -> Vec<u8> {
        self.pay(network, terms, payments).to_bytes()
    }

    /// Does anything from here.
    #[must_use]
    pub fn act(&self, network: NetworkId, terms: Terms, action: Action) -> Transaction {
        self.sign(self.body(network, terms, action))
    }

    /// What [`Account::act`] signs.
    #[must_use]
    pub fn body(&self, network: NetworkId, terms: Terms, action: Action) -> TxBody {
        let Terms { nonce, fee, expiry, memo } = terms;
        let memo = List::new(memo).expect("the test keeps to the memo's bound");
        TxBody { format: BODY_FORMAT, network, sender: self.address, nonce, fee, expiry, memo, action }
    }

    /// Signs with the first keys that suffice.
    #[must_use]
    pub fn sign(&self, body: TxBody) -> Transaction {
        let first: Vec<usize> = (0..usize::from(self.policy.threshold())).collect();
        self.sign_by(&first, body)
    }

    /// Signs with these keys, ascending, whether they suffice or not.
    #[must_use]
    pub fn sign_by(&self, signers: &[usize], body: TxBody) -> Transaction {
        let id = body.id();
        let signatures = signers.iter().map(|i| self.secrets[*i].sign(&id.0)).collect();
        let authorization = Authorization {
            policy: self.policy.clone().into(),
            signers: signers.iter().fold(0, |bits, i| bits | 1 << i),
            signatures: List::new(signatures).expect("a policy has few keys"),
        };
        Transaction { body, authorization }
    }
}

/// A payment of coins.
#[must_use]
pub fn coins(to: Address, amount: u64) -> Payment {
    Payment { asset: AssetId::COINS, to, amount }
}

/// A payment of a token.
#[must_use]
pub fn units(asset: AssetId, to: Address, amount: u64) -> Payment {
    Payment { asset, to, amount }
}

/// Payments as an action.
#[must_use]
pub fn transfer(payments: Vec<Payment>) -> Action {
    Action::Transfer { payments: List::new(payments).expect("the test keeps to the bound of payments") }
}

/// A new asset as an action.
#[must_use]
pub fn issue(symbol: &str, supply: u64, mintable: bool) -> Action {
    let symbol = List::new(symbol.as_bytes().to_vec()).expect("the test keeps to the symbol's bound");
    Action::Issue { symbol, decimals: 2, supply, mintable }
}

fn secret(kind: &[u8], number: u64, key: u8) -> SecretKey {
    assert!(usize::from(key) < KEYS_MAX, "a policy has few keys");
    let seed = [b"steelyard test account ", kind, &number.to_le_bytes(), &[key]].concat();
    SecretKey::new(sha256d(&seed)).expect("a hash is a key but for one in 2^128")
}

#[cfg(test)]
mod tests {
    use super::*;
    use steelyard_core::consensus::transaction::shape;
    use steelyard_core::params::dev_addresses;

    const NETWORK: NetworkId = NetworkId([7; 32]);

    #[test]
    fn the_dev_secrets_are_of_the_dev_networks_addresses() {
        let addresses: Vec<Address> = (0..DEV_SECRETS.len()).map(|i| Account::dev(i).address).collect();
        assert_eq!(addresses, dev_addresses());
    }

    #[test]
    fn what_any_sufficient_keys_sign_verifies() {
        let account = Account::multisig(2, 3, 9);
        for signers in [[0, 1], [0, 2], [1, 2]] {
            let body = account.body(NETWORK, Terms::default(), transfer(vec![coins(account.address, 1)]));
            let bytes = account.sign_by(&signers, body).to_bytes();
            assert!(shape(&NETWORK, &bytes).and_then(|shaped| shaped.verify()).is_ok());
        }
        assert_ne!(Account::numbered(1).address, Account::numbered(2).address);
    }
}
