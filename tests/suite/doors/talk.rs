//! A connection to a node whose every word is the test's: it asks as a wallet, or announces and sends
//! transactions as a peer. Must not know what is right.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

use steelyard_core::encode::List;
use steelyard_core::hash::{NetworkId, TxId};
use steelyard_core::types::transaction::Transaction;
use steelyard_core::wire::{
    Addresses, Failure, GetAddresses, GetHeaders, GetTxs, Headers, Message, Ping, Pong, Role, TxIds, Txs,
    peer_bytes_max,
};
use steelyard_core::wire::{Announce, answer_bytes_max};
use steelyard_runtime::frame::Frame;
use steelyard_runtime::link::{Link, LinkError, LinkTimes, read};
use steelyard_tests::peer::{frame, greeting};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

/// Only a hang takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
const TIMES: LinkTimes = LinkTimes { handshake: PATIENCE, frame: PATIENCE, write: PATIENCE };

pub struct Talk {
    runtime: Runtime,
    link: Link<TcpStream>,
    requests: u32,
}

impl Talk {
    /// A connection whose handshake is done.
    pub fn dial(node: SocketAddr, network: NetworkId, role: Role) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let bytes_max = if role == Role::Node { peer_bytes_max } else { answer_bytes_max };
        let link = runtime.block_on(async {
            let stream = TcpStream::connect(node).await?;
            stream.set_nodelay(true)?;
            Link::dial(stream, greeting(network, role), bytes_max, TIMES).await
        });
        Self { runtime, link: link.unwrap(), requests: 0 }
    }

    /// The answer to a request.
    pub fn ask<M: Message>(&mut self, request: &impl Message) -> M {
        self.requests += 1;
        self.send(&frame(self.requests, request)).unwrap();
        loop {
            let got = self.next().unwrap();
            match got.kind {
                kind if kind == M::KIND => return read(&got).unwrap(),
                Failure::KIND => panic!("{:?}", read::<Failure>(&got)),
                _ => self.answer(&got),
            }
        }
    }

    /// Announces transactions, and sends each when it is asked for; over when all were.
    pub fn relay(&mut self, txs: &[Vec<u8>]) {
        let mut left: BTreeMap<TxId, &Vec<u8>> = txs.iter().map(|bytes| (id(bytes), bytes)).collect();
        self.send(&frame(0, &TxIds { ids: list(left.keys().copied().collect()) })).unwrap();
        while !left.is_empty() {
            let got = self.next().unwrap();
            if got.kind != GetTxs::KIND {
                self.answer(&got);
                continue;
            }
            let asked: GetTxs = read(&got).unwrap();
            let sent = asked.ids.iter().filter_map(|id| left.remove(id)).map(|bytes| list(bytes.clone()));
            // Who has hung up has said why, which is read next.
            let _ = self.send(&frame(got.request, &Txs { txs: list(sent.collect()) }));
        }
    }

    /// Code and words with which the node hangs up.
    pub fn bye(&mut self) -> (String, String) {
        loop {
            match self.next() {
                Ok(got) => self.answer(&got),
                Err(LinkError::Bye(bye)) => return (bye.code.to_string(), bye.reason.to_string()),
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    fn send(&mut self, frame: &Frame) -> Result<(), LinkError> {
        self.runtime.block_on(self.link.send_frame(frame))
    }

    fn next(&mut self) -> Result<Frame, LinkError> {
        let waited = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, self.link.next()).await });
        Ok(waited.expect("the node says something")?.expect("the node does not hang up without a word"))
    }

    /// What a peer without blocks or addresses says.
    fn answer(&mut self, got: &Frame) {
        let answer = match got.kind {
            Ping::KIND => frame(got.request, &Pong { nonce: read::<Ping>(got).unwrap().nonce }),
            GetHeaders::KIND => frame(got.request, &Headers { headers: list(Vec::new()) }),
            GetAddresses::KIND => frame(got.request, &Addresses { addresses: list(Vec::new()) }),
            Announce::KIND | TxIds::KIND | Pong::KIND | GetTxs::KIND => return,
            other => panic!("a message of kind {other}"),
        };
        let _ = self.send(&answer);
    }
}

/// The id by which it is announced; for what is none, any.
fn id(bytes: &[u8]) -> TxId {
    Transaction::from_bytes(bytes).map_or(TxId([7; 32]), |tx| tx.body.id())
}

/// A list within its bound.
pub fn list<T: Debug, const MAX: usize>(items: Vec<T>) -> List<T, MAX> {
    List::new(items).expect("the test keeps to the bound")
}
