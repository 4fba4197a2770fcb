//! When the book is written, and who waits for it: one writing at a time, and what changes meanwhile
//! is written by the next one. Must not know what the book holds or where it goes.

use tokio::sync::oneshot;

use crate::chain::error::ChainError;
use crate::limits::PEERS_SAVE_RETRY_MS;
use crate::peers::PeersError;
use crate::peers::book::Book;

type Outcome = Result<bool, PeersError>;

/// Writings by number: those asked for, the one in progress, the last that is over.
#[derive(Debug, Default)]
pub(super) struct Saver {
    wanted: u64,
    running: Option<u64>,
    done: u64,
    retry_at: Option<u64>,
    waiting: Vec<(u64, oneshot::Sender<Outcome>, Outcome)>,
}

impl Saver {
    /// Asks for a writing of the book as it is now.
    pub(super) fn request(&mut self) {
        // What is in progress was taken before.
        self.wanted = self.running.unwrap_or(self.done).max(self.done) + 1;
    }

    /// The last writing that was asked for.
    pub(super) fn last(&self) -> u64 {
        self.wanted
    }

    /// The last writing that is over: everything up to it is on disk.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    /// The bytes to write now, if any are due.
    pub(super) fn begin(&mut self, now: u64, book: &Book) -> Option<Vec<u8>> {
        let rests = self.retry_at.is_some_and(|at| now < at);
        if self.wanted <= self.done || self.running.is_some() || rests {
            return None;
        }
        (self.running, self.retry_at) = (Some(self.wanted), None);
        Some(book.to_bytes())
    }

    /// When a writing that was not taken is tried again.
    pub(super) fn retries_at(&self) -> Option<u64> {
        self.retry_at
    }

    /// A writing is over.
    pub(super) fn saved(&mut self, saved: &Result<(), ChainError>, now: u64) {
        let Some(number) = self.running.take() else { return };
        match saved {
            Ok(()) => self.done = number,
            Err(ChainError::Busy | ChainError::DiskFull) => self.retry_at = Some(now + PEERS_SAVE_RETRY_MS),
            // What was not written is not acknowledged.
            Err(ChainError::Stopping | ChainError::Unknown) => self.waiting.clear(),
        }
        let done = self.done;
        for (_, reply, outcome) in self.waiting.extract_if(.., |(number, ..)| *number <= done) {
            let _ = reply.send(outcome);
        }
    }

    /// Answers an order once everything asked for so far is on disk.
    pub(super) fn answer_when_saved(&mut self, reply: oneshot::Sender<Outcome>, outcome: Outcome) {
        if self.wanted <= self.done || outcome.is_err() {
            // Who does not wait any more needs no answer.
            let _ = reply.send(outcome);
        } else {
            self.waiting.push((self.wanted, reply, outcome));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(saver: &mut Saver) -> oneshot::Receiver<Outcome> {
        let (reply, outcome) = oneshot::channel();
        saver.answer_when_saved(reply, Ok(true));
        outcome
    }

    #[test]
    fn an_order_is_answered_when_its_own_writing_is_over() {
        let (mut saver, book) = (Saver::default(), Book::new(1, true));
        assert!(saver.begin(0, &book).is_none());
        assert!(order(&mut saver).try_recv().unwrap().unwrap(), "nothing has to be written");
        saver.request();
        let mut first = order(&mut saver);
        assert!(saver.begin(0, &book).is_some() && saver.begin(0, &book).is_none());
        // Changed while it is written: not part of it.
        saver.request();
        saver.request();
        let mut second = order(&mut saver);
        assert!(first.try_recv().is_err());
        saver.saved(&Ok(()), 0);
        assert!(first.try_recv().unwrap().unwrap() && second.try_recv().is_err());
        assert_eq!((saver.done(), saver.last()), (1, 2));
        assert!(saver.begin(0, &book).is_some());
        saver.saved(&Err(ChainError::Busy), 5);
        assert!(saver.begin(5, &book).is_none() && second.try_recv().is_err());
        assert_eq!(saver.retries_at(), Some(5 + PEERS_SAVE_RETRY_MS));
        assert!(saver.begin(5 + PEERS_SAVE_RETRY_MS, &book).is_some());
        saver.saved(&Ok(()), 9);
        assert!(second.try_recv().unwrap().unwrap());
        assert_eq!((saver.done(), saver.begin(9, &book)), (2, None));
    }

    #[test]
    fn who_waits_at_the_stop_is_not_told_that_it_was_written() {
        let (mut saver, book) = (Saver::default(), Book::new(1, true));
        saver.request();
        let mut waits = order(&mut saver);
        assert!(saver.begin(0, &book).is_some());
        saver.saved(&Err(ChainError::Stopping), 0);
        assert!(matches!(waits.try_recv(), Err(oneshot::error::TryRecvError::Closed)));
    }
}
