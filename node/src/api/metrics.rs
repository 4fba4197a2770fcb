//! `GET /metrics`: the node's figures as Prometheus reads them (text format 0.0.4), written by hand: a page
//! of numbers that are kept anyway needs no registry. Base units, `_total` for what only grows, labels of
//! few values. Read from the view and from atomics, so nobody is held up. Must not know what the figures
//! are made of.

use std::fmt::{Display, Write};
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use steelyard_runtime::{clock, process, version};

use super::Api;
use super::error::ApiError;
use super::status;
use crate::store::figures::Timed;

/// What Prometheus asks for.
const CONTENT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `GET /metrics`.
pub(super) async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, ApiError> {
    let db_bytes = status::disk_bytes(&api).await?;
    let mut page = Page::default();
    chain(&mut page, &api);
    around(&mut page, &api);
    store(&mut page, &api, db_bytes);
    this_process(&mut page, &api);
    Ok(([(CONTENT_TYPE, CONTENT)], page.0).into_response())
}

fn chain(page: &mut Page, api: &Api) {
    let (tip, (txs, bytes), connected, reorgs) = {
        let view = api.chain.shared.read();
        (view.tip().clone(), view.pending_size(), view.connected(), view.reorgs())
    };
    let height = tip.header.height;
    let age_ms = clock::now_ms().saturating_sub(tip.header.time);
    page.gauge("chain_tip_height", "Height of the active chain.", height);
    page.gauge("chain_tip_age_seconds", "Since the time in the tip's header.", seconds(age_ms));
    let best = api.peers.status().sync.headers_height.max(height);
    page.gauge("chain_headers_height", "Height of the best headers known.", best);
    page.gauge("chain_difficulty", "Tries that the tip takes on average.", tip.work);
    page.gauge("chain_work", "Tries that the active chain takes on average.", tip.total_work);
    page.counter("blocks_connected_total", "Blocks put on the active chain since the start.", connected);
    page.counter("reorgs_total", "Reorganisations since the start.", reorgs);
    page.gauge("mempool_txs", "Pending transactions.", txs);
    page.gauge("mempool_bytes", "Memory that pending transactions are counted for.", bytes);
}

fn around(page: &mut Page, api: &Api) {
    let peers = &api.peers.status().peers;
    let outbound = peers.iter().filter(|peer| peer.is_outbound).count();
    page.head("peers", "gauge", "Connected nodes, by who dialled.");
    page.sample("peers{direction=\"inbound\"}", peers.len() - outbound);
    page.sample("peers{direction=\"outbound\"}", outbound);
    if let Some((miner, threads)) = &api.miner {
        page.gauge("mining_hash_rate", "Tries a second while it searches.", miner.hash_rate(*threads));
        page.counter("mining_hashes_total", "Tries since the start.", miner.tries());
        page.counter("mining_blocks_total", "Blocks found and accepted since the start.", miner.blocks());
    }
}

fn store(page: &mut Page, api: &Api, db_bytes: u64) {
    let (store, figures) = (&api.chain.store, api.chain.store.figures());
    page.counter("db_commits_total", "Durable commits since the start.", figures.commits.times());
    page.summary("db_commit_seconds", "Durable commits, with their fdatasync.", &figures.commits);
    let written = store.bytes_written_in_all();
    page.counter("db_written_bytes_total", "Keys and values written since the start.", written);
    page.counter(
        "db_reopens_total",
        "Times that sled was reopened since the start.",
        figures.reopens.times(),
    );
    page.summary("db_reopen_seconds", "Reopening sled, while the chain waits.", &figures.reopens);
    page.summary("db_checkpoint_seconds", "Writing checkpoints of the state.", &figures.checkpoints);
    let records = figures.checkpoint_records();
    page.gauge("db_checkpoint_records", "Records of the last checkpoint since the start.", records);
    page.gauge("db_size_bytes", "Files of the store, at most a second ago.", db_bytes);
    if let Some(free) = api.disk.free_bytes() {
        page.gauge("disk_free_bytes", "Room on the disk of the node's folder.", free);
    }
}

fn this_process(page: &mut Page, api: &Api) {
    let (version, commit) = (version::VERSION, version::COMMIT.unwrap_or(""));
    page.head("build_info", "gauge", "Which version this is.");
    page.sample(&format!("build_info{{version={},commit={}}}", quoted(version), quoted(commit)), 1);
    page.gauge("process_start_time_seconds", "When it began to answer, unix time.", seconds(api.started));
    if let Some(bytes) = process::resident_bytes() {
        page.gauge("process_resident_memory_bytes", "Memory that is resident.", bytes);
    }
    if let Some(open) = process::open_files() {
        page.gauge("process_open_fds", "Open file descriptors.", open);
    }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

/// The value of a label.
fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{text}\"")
}

/// The answer as far as it is written. Every name begins with the program's.
#[derive(Default)]
struct Page(String);

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.sample(name, value);
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "counter", help);
        self.sample(name, value);
    }

    fn summary(&mut self, name: &str, help: &str, timed: &Timed) {
        self.head(name, "summary", help);
        self.sample(&format!("{name}_sum"), timed.took().as_secs_f64());
        self.sample(&format!("{name}_count"), timed.times());
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP steelyard_{name} {help}\n# TYPE steelyard_{name} {kind}");
    }

    /// One line, its name with its labels.
    fn sample(&mut self, name: &str, value: impl Display) {
        let _ = writeln!(self.0, "steelyard_{name} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(quoted("1.2"), "\"1.2\"");
        assert_eq!(quoted("a\\b\"c\nd"), "\"a\\\\b\\\"c\\nd\"");
    }
}
