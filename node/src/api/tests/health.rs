//! How the node is: whether it is ready, what it warns of, and its figures.

use std::collections::BTreeMap;

use super::*;
use crate::api::types::{Notice, Ready, Status};
use crate::mark::{Loss, MARK_FILE};
use crate::verify::Report;

#[tokio::test]
async fn it_is_ready_until_it_stops() {
    let stage = Stage::new();
    assert!(stage.ask(get("/readyz")).await.typed::<Ready>().ready);
    assert_eq!(stage.ask(get("/livez")).await.json()["live"], true);
    assert_eq!(stage.ask(get("/")).await.status, StatusCode::OK);
    stage.chain.stop();
    let answer = stage.ask(get("/readyz")).await;
    let ready: Ready = serde_json::from_slice(&answer.bytes).unwrap();
    assert_eq!((answer.status, ready.ready), (StatusCode::SERVICE_UNAVAILABLE, false));
    assert_eq!(ready.reasons[0].code, "stopping");
    assert_eq!(stage.ask(get("/livez")).await.status, StatusCode::OK);
}

/// `error.code`s of the warnings, and of what keeps it from being ready.
async fn told(stage: &Stage) -> (Vec<String>, Vec<String>) {
    let codes = |notices: Vec<Notice>| notices.into_iter().map(|notice| notice.code).collect();
    let status: Status = stage.get("/status").await.typed();
    let answer = stage.ask(get("/readyz")).await;
    let ready: Ready = serde_json::from_slice(&answer.bytes).unwrap();
    assert_eq!(ready.ready, answer.status == StatusCode::OK);
    (codes(status.warnings), codes(ready.reasons))
}

#[tokio::test]
async fn a_full_disk_takes_nothing_tells_all_and_goes_on_with_room() {
    let stage = Stage::new();
    let room = |free| stage.state.disk.note(&stage.chain.shared, free);
    stage.submit(&pay(0, 1)).await.typed::<Value>();
    room(900);
    assert_eq!(told(&stage).await, (vec!["disk_low".to_owned()], vec![]));
    stage.mine().await;
    stage.submit(&pay(1, 1)).await.typed::<Value>();

    room(199);
    let full = vec!["disk_full".to_owned()];
    assert_eq!(told(&stage).await, (full.clone(), full.clone()));
    let refused = stage.submit(&pay(2, 1)).await;
    assert_eq!(refused.refusal(), (507, "disk_full".into()));
    let many = stage.post("/txs", "application/octet-stream", Vec::new()).await;
    assert_eq!(many.status, StatusCode::OK, "nothing needs no room");
    let seq = stage.chain.shared.read().seq();
    let (chain, block) = (stage.chain.clone(), stage.block());
    let verdict = tokio::task::spawn_blocking(move || chain.submit_block(block, clock::now_ms()));
    assert_eq!(verdict.await.unwrap().unwrap_err().name(), "disk_full");
    let status: Status = stage.get("/status").await.typed();
    assert_eq!((status.height, status.mempool_txs), (1, 1), "what is there is read");
    assert_eq!(stage.chain.shared.read().seq(), seq);

    room(219);
    assert_eq!(told(&stage).await.1, full, "a little more is not enough");
    room(220);
    assert_eq!(told(&stage).await, (vec!["disk_low".to_owned()], vec![]));
    stage.submit(&pay(2, 1)).await.typed::<Value>();
    room(2_000);
    assert_eq!(told(&stage).await, (vec![], vec![]));
}

#[tokio::test]
async fn a_store_that_lost_its_end_is_told_until_the_chain_has_made_up_for_it() {
    let (stage, longer) = (Stage::new(), Stage::new());
    for _ in 0..2 {
        longer.mine().await;
    }
    longer.state.mark.save();
    let mark = std::fs::read(longer.folder.path().join(MARK_FILE)).unwrap();
    let file = stage.folder.path().join(MARK_FILE);
    std::fs::write(&file, &mark).unwrap();
    let stage = stage.marked_anew();

    let warned = vec!["store_rolled_back".to_owned()];
    assert_eq!(told(&stage).await, (warned.clone(), vec![]));
    let loss: Loss = stage.state.mark.loss().unwrap();
    assert_eq!((loss.height, loss.had_height, loss.blocks_lost), (0, 2, true));
    stage.mine().await;
    stage.state.mark.save();
    assert_eq!(std::fs::read(&file).unwrap(), mark, "the next start is to know of it too");
    assert_eq!(told(&stage).await.0, warned);
    let mut request = post("/api/v1/verify", "application/json", "");
    request.headers_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    let report: Report = stage.ask(request).await.typed();
    assert_eq!(report.rolled_back, Some(loss));

    stage.mine().await;
    assert_eq!(told(&stage).await, (vec![], vec![]));
    stage.state.mark.save();
    assert_ne!(std::fs::read(&file).unwrap(), mark);
    assert_eq!(stage.marked_anew().state.mark.loss(), None);
}

/// The samples of a page in the text format of Prometheus, which is checked on the way.
fn samples(page: &str) -> BTreeMap<String, f64> {
    let (mut kinds, mut samples) = (BTreeMap::new(), BTreeMap::new());
    let (mut helped, mut last) = (String::new(), String::new());
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            helped = rest.split_once(' ').unwrap().0.to_owned();
            continue;
        }
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert_eq!(name, helped, "help comes first");
            assert!(
                name.starts_with("steelyard_") && ["gauge", "counter", "summary"].contains(&kind),
                "{line}"
            );
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            assert!(kinds.insert(name.to_owned(), kind).is_none(), "{name} twice");
            name.clone_into(&mut last);
            continue;
        }
        let (named, value) = line.rsplit_once(' ').unwrap();
        let name = named.split('{').next().unwrap();
        let base = if kinds[&last] == "summary" {
            name.trim_end_matches("_sum").trim_end_matches("_count")
        } else {
            name
        };
        assert_eq!(base, last, "samples come after their type");
        assert!(samples.insert(named.to_owned(), value.parse().unwrap()).is_none(), "{named} twice");
    }
    samples
}

#[tokio::test]
async fn figures_are_there_and_right() {
    let stage = Stage::new();
    stage.state.disk.note(&stage.chain.shared, 5_000_000_000);
    stage.mine().await;
    stage.mine().await;
    stage.submit(&pay(0, 1)).await.typed::<Value>();
    let before = stage.chain.store.bytes_written_in_all();
    stage.chain.store.reopen().unwrap();
    let (state, seq) = (stage.chain.shared.read().state(), stage.chain.shared.read().seq());
    stage.chain.store.write_checkpoint(&state, seq).unwrap();
    let answer = stage.ask(get("/metrics")).await;
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let page = String::from_utf8(answer.bytes).unwrap();
    let samples = samples(&page);
    let figure =
        |name: &str| *samples.get(&format!("steelyard_{name}")).unwrap_or_else(|| panic!("{name}: {page}"));
    for (name, value) in [
        ("chain_tip_height", 2.0),
        ("chain_headers_height", 2.0),
        ("blocks_connected_total", 2.0),
        ("reorgs_total", 0.0),
        ("mempool_txs", 1.0),
        ("peers{direction=\"inbound\"}", 0.0),
        ("peers{direction=\"outbound\"}", 0.0),
        ("db_commits_total", 3.0),
        ("db_commit_seconds_count", 3.0),
        ("db_reopens_total", 1.0),
        ("db_reopen_seconds_count", 1.0),
        ("db_checkpoint_seconds_count", 1.0),
        ("db_checkpoint_records", state.len() as f64),
        ("disk_free_bytes", 5e9),
    ] {
        assert_eq!(figure(name), value, "{name}");
    }
    for name in [
        "chain_difficulty",
        "chain_work",
        "chain_tip_age_seconds",
        "mempool_bytes",
        "db_commit_seconds_sum",
        "db_reopen_seconds_sum",
        "db_checkpoint_seconds_sum",
        "db_written_bytes_total",
        "db_size_bytes",
        "process_start_time_seconds",
    ] {
        assert!(figure(name) > 0.0, "{name}: {page}");
    }
    assert!(samples.keys().any(|name| name.starts_with("steelyard_build_info{version=")));
    if cfg!(target_os = "linux") {
        assert!(figure("process_resident_memory_bytes") > 1e5 && figure("process_open_fds") > 0.0);
    }
    let written = figure("db_written_bytes_total");
    assert!(written > before as f64, "a reopening forgets nothing");
    stage.mine().await;
    let later = self::samples(&String::from_utf8(stage.ask(get("/metrics")).await.bytes).unwrap());
    assert!(later["steelyard_db_written_bytes_total"] > written, "it only grows");
    assert_eq!(stage.ask(get("/metrics?x=1")).await.refusal(), (400, "unknown_query_key".into()));
}
