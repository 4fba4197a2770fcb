//! A chain in memory with a state that the test sets, and a node's honest answers about it.

use steelyard_core::consensus::header::{Parent, check_header, expected_child, own_work};
use steelyard_core::crypto::keys::SecretKey;
use steelyard_core::crypto::policy::Policy;
use steelyard_core::encode::List;
use steelyard_core::hash::{Address, AssetId, BlockId, NetworkId, TxId};
use steelyard_core::history::{self, History, HistoryNode};
use steelyard_core::params::Params;
use steelyard_core::state::{Key, Record, Trie};
use steelyard_core::types::body::Body;
use steelyard_core::types::header::Header;
use steelyard_core::types::transaction::{Action, Authorization, BODY_FORMAT, Payment, Transaction, TxBody};
use steelyard_core::wire::{
    Found, GetPending, GetState, GetStatus, GetTip, HeaderBytes, HistoryStep, Message, Notice, Pending,
    State, Status, Statuses, Submit, Tip, Verdict, Verdicts,
};
use steelyard_runtime::frame::Frame;
use steelyard_runtime::link::read;

use super::super::Outgoing;

pub(super) struct Ledger {
    pub(super) params: Params,
    headers: Vec<Header>,
    bodies: Vec<Body>,
    /// Every header before the tip.
    history: History,
    pub(super) state: Trie,
    pub(super) pending: Vec<Vec<u8>>,
    /// What is said of a submitted transaction; pending where nothing is.
    pub(super) verdict: fn(&TxId) -> Verdict,
    /// Every message that submits, as ids.
    pub(super) submitted: Vec<Vec<TxId>>,
    /// How often each kind was asked.
    pub(super) asked: Vec<u8>,
}

impl Ledger {
    /// A dev chain of so many blocks after genesis.
    pub(super) fn new(blocks: usize) -> Self {
        let params = Params::dev();
        let genesis = params.genesis();
        let mut ledger = Self {
            params,
            headers: vec![genesis.header],
            bodies: vec![Body::default()],
            history: History::default(),
            state: genesis.state,
            pending: Vec::new(),
            verdict: |_| Verdict::Pending {},
            submitted: Vec::new(),
            asked: Vec::new(),
        };
        for _ in 0..blocks {
            ledger.mine(Vec::new());
        }
        ledger
    }

    pub(super) fn network(&self) -> NetworkId {
        self.genesis().into()
    }

    pub(super) fn genesis(&self) -> BlockId {
        self.headers[0].id()
    }

    pub(super) fn tip(&self) -> Header {
        *self.headers.last().unwrap()
    }

    pub(super) fn total_work(&self) -> u128 {
        self.headers.iter().map(|header| own_work(header).unwrap()).sum()
    }

    /// What the next block's state says of an address.
    pub(super) fn fund(&mut self, address: Address, balance: u64, nonce: u64) {
        self.state.update([(Key::Account(address), Some(Record::Account { balance, nonce }))]);
    }

    /// A block with these transactions, which are then pending no longer.
    pub(super) fn mine(&mut self, txs: Vec<Vec<u8>>) {
        self.pending.retain(|tx| !txs.contains(tx));
        let height = self.headers.len() as u8;
        let body = Body { items: [vec![vec![height; 9]], txs].concat() };
        let header = self.child(body.root());
        self.history.push(HistoryNode::leaf(&self.tip().id(), own_work(&self.tip()).unwrap()));
        self.headers.push(header);
        self.bodies.push(body);
    }

    /// A well-mined header above the tip.
    fn child(&self, body_root: steelyard_core::hash::BodyRoot) -> Header {
        let tip = self.tip();
        let mut history = self.history.frontier(self.history.count()).unwrap();
        history.push(HistoryNode::leaf(&tip.id(), own_work(&tip).unwrap()));
        let history_root = history::root(&history);
        let parent = Parent { header: &tip, id: tip.id(), total_work: self.total_work(), history_root };
        let mut header = Header {
            body_root,
            state_root: self.state.root(),
            time: tip.time + 2_000,
            ..expected_child(&self.params, &parent)
        };
        while check_header(&self.params, &parent, &header).is_err() {
            header.nonce += 1;
        }
        header
    }

    /// Another well-mined block in the tip's place, with the state as it is now.
    pub(super) fn rival(&self) -> Header {
        let mut below = Self::new(0);
        below.headers = self.headers[..self.headers.len() - 1].to_vec();
        below.history = self.history.clone();
        below.history.truncate(below.headers.len() as u64 - 1);
        below.state = self.state.clone();
        let rival = below.child(steelyard_core::hash::BodyRoot([7; 32]));
        assert_ne!(rival, self.tip());
        rival
    }

    /// An honest answer; none to what has no answer.
    pub(super) fn answer(&mut self, frame: &Frame) -> Option<Frame> {
        self.asked.push(frame.kind);
        let number = frame.request;
        Some(match frame.kind {
            GetTip::KIND => say(number, &self.tip_answer(read(frame).unwrap())),
            GetState::KIND => say(number, &self.state_answer(&read(frame).unwrap())),
            GetPending::KIND => say(number, &self.pending_answer(&read(frame).unwrap())),
            GetStatus::KIND => say(number, &self.status_answer(&read(frame).unwrap())),
            Submit::KIND => say(number, &self.submit_answer(&read(frame).unwrap())),
            _ => return None,
        })
    }

    pub(super) fn notice(&self) -> Notice {
        Notice { tip: (&self.tip()).into(), touched: 0 }
    }

    pub(super) fn tip_answer(&self, question: GetTip) -> Tip {
        let first = self.headers.len().saturating_sub(question.recent.max(1).into());
        let top = self.history.frontier(self.history.count()).unwrap().top();
        Tip {
            headers: list(self.headers[first..].iter().map(HeaderBytes::from)),
            history_work: top.map_or(0, |node| node.work),
            history_top: top.map_or([0; 32], |node| node.hash),
        }
    }

    pub(super) fn state_answer(&self, question: &GetState) -> State {
        let prove = |key| list(self.state.prove(&Key::from(key)).to_bytes());
        State { header: (&self.tip()).into(), proofs: list(question.keys.iter().map(prove)) }
    }

    pub(super) fn pending_answer(&self, question: &GetPending) -> Pending {
        let is_paid = |bytes: &&Vec<u8>| {
            let tx = Transaction::from_bytes(bytes).unwrap();
            let Action::Transfer { payments } = tx.body.action else { return false };
            payments.iter().any(|payment| question.addresses.contains(&payment.to))
        };
        let txs = self.pending.iter().filter(is_paid).map(|tx| list(tx.iter().copied()));
        Pending { txs: list(txs), more: 0 }
    }

    pub(super) fn status_answer(&self, question: &GetStatus) -> Statuses {
        let status = |id: &TxId| {
            if self.pending.iter().any(|tx| id_of(tx) == *id) {
                return Status::Pending { queued: 0 };
            }
            self.found(id).map_or(Status::Unknown {}, |found| Status::Confirmed { found: Box::new(found) })
        };
        Statuses { tip: (&self.tip()).into(), statuses: list(question.ids.iter().map(status)) }
    }

    fn found(&self, id: &TxId) -> Option<Found> {
        let place = |body: &Body| body.items.iter().skip(1).position(|tx| id_of(tx) == *id);
        let (height, index) =
            self.bodies.iter().enumerate().find_map(|(height, body)| Some((height, place(body)? + 1)))?;
        let (body, tip) = (&self.bodies[height], self.headers.len() as u64 - 1);
        let steps = self.history.path(height as u64, tip).unwrap_or_default();
        Some(Found {
            header: (&self.headers[height]).into(),
            index: index as u32,
            count: body.items.len() as u32,
            body_path: list(body.path(index as u64).unwrap().iter().map(|node| node.0)),
            history_path: list(steps.iter().map(|step| HistoryStep { hash: step.hash, work: step.work })),
        })
    }

    fn submit_answer(&mut self, question: &Submit) -> Verdicts {
        let ids: Vec<TxId> = question.txs.iter().map(|tx| id_of(tx)).collect();
        let verdicts: Vec<Verdict> = ids.iter().map(self.verdict).collect();
        for (tx, verdict) in question.txs.iter().zip(&verdicts) {
            if *verdict == (Verdict::Pending {}) && !self.pending.iter().any(|known| **known == **tx) {
                self.pending.push(tx.to_vec());
            }
        }
        self.submitted.push(ids);
        Verdicts { verdicts: list(verdicts) }
    }
}

/// A message as a frame.
pub(super) fn say<M: Message>(request: u32, message: &M) -> Frame {
    Frame::of(request, message).unwrap()
}

pub(super) fn list<T, const MAX: usize>(items: impl IntoIterator<Item = T>) -> List<T, MAX> {
    List::new(items.into_iter().collect()).unwrap()
}

/// Somebody with one key.
pub(super) struct Person {
    key: SecretKey,
    pub(super) address: Address,
}

pub(super) fn person(number: u64) -> Person {
    let mut bytes = [1; 32];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    let key = SecretKey::new(bytes).unwrap();
    Person { address: Policy::single(key.public()).unwrap().address(), key }
}

impl Person {
    /// A signed transfer on the dev network.
    pub(super) fn pays(&self, nonce: u64, to: Address, amount: u64) -> Vec<u8> {
        let payments = [Payment { asset: AssetId::COINS, to, amount }];
        self.signs(Params::dev().network_id(), nonce, Action::Transfer { payments: list(payments) })
    }

    /// Anything signed.
    pub(super) fn signs(&self, network: NetworkId, nonce: u64, action: Action) -> Vec<u8> {
        let (sender, memo) = (self.address, list([]));
        let body = TxBody { format: BODY_FORMAT, network, sender, nonce, fee: 0, expiry: 0, memo, action };
        let signatures = list([self.key.sign(&body.id().0)]);
        let policy = Policy::single(self.key.public()).unwrap().into();
        Transaction { body, authorization: Authorization { policy, signers: 1, signatures } }.to_bytes()
    }
}

pub(super) fn id_of(tx: &[u8]) -> TxId {
    Transaction::from_bytes(tx).unwrap().body.id()
}

/// A transaction of ours, still to be submitted.
pub(super) fn to_submit(tx: &[u8]) -> Outgoing {
    Outgoing { id: id_of(tx), bytes: tx.into(), submit: true }
}

/// A transaction of ours that is only asked about.
pub(super) fn to_ask(tx: &[u8]) -> Outgoing {
    Outgoing { submit: false, ..to_submit(tx) }
}
