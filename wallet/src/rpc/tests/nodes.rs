//! What is said of the nodes and of the daemon.

use super::*;

fn warnings(status: &Value) -> Vec<&str> {
    status["warnings"].as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[tokio::test]
async fn nodes_are_listed_as_they_were_given_with_what_is_wrong() {
    let rig = Rig::new(2);
    rig.down(2).await;
    let status = rig.get("/status").await.ok();
    assert_eq!((&status["network"], &status["as_of"]), (&json!("dev"), &Value::Null));
    assert_eq!(status["pid"], std::process::id());
    let nodes = status["nodes"].as_array().unwrap();
    let links: Vec<&str> = nodes.iter().map(|node| node["link"].as_str().unwrap()).collect();
    assert_eq!(links, ["connecting", "down"]);
    assert_eq!(nodes[1]["failure"], json!({"code": "refused", "message": "connection refused"}));
    let [warning] = warnings(&status)[..] else { panic!("{status}") };
    assert_eq!(warning, "no node answers: 127.0.0.1:1: connecting; 127.0.0.1:2: connection refused");
    rig.up(1, 5).await;
    rig.read(5, 1).await;
    let status = rig.get("/status").await.ok();
    assert_eq!(status["as_of"]["height"], 5);
    assert_eq!((&status["nodes"][0]["height"], &status["nodes"][0]["work"]), (&json!(5), &json!("6")));
    assert_eq!(warnings(&status), Vec::<&str>::new());
}

#[tokio::test]
async fn more_nodes_are_added_and_too_many_refused() {
    let rig = Rig::new(1);
    let add = |nodes: &[&str]| json!({"addresses": nodes});
    rig.post("/nodes", add(&["127.0.0.1:7"])).await.ok();
    assert_eq!(*rig.added.lock().unwrap(), [node(7)]);
    let refused = rig.post("/nodes", add(&["127.0.0.1:8", "127.0.0.1:9"])).await;
    assert_eq!(refused.refusal(), ("too_many_nodes", 6, 422));
    let status = rig.get("/status").await.ok();
    let addresses: Vec<&Value> =
        status["nodes"].as_array().unwrap().iter().map(|node| &node["address"]).collect();
    assert_eq!(addresses, ["127.0.0.1:1", "127.0.0.1:7"]);
}

#[tokio::test]
async fn nodes_far_apart_disagree_and_near_ones_only_after_a_while() {
    let rig = Rig::new(2);
    rig.up_on(1, 10, 0).await;
    rig.up_on(2, 13, 0).await;
    rig.read(10, 1).await;
    let status = rig.get("/status").await.ok();
    let [warning] = warnings(&status)[..] else { panic!("{status}") };
    assert!(warning.starts_with("the nodes disagree: 127.0.0.1:1 is at block 10 "), "{warning}");

    rig.up_on(2, 10, 1).await;
    let view = rig.desk.shared.read().clone();
    let (params, now) = (&rig.desk.shared.params, clock::now_ms());
    let agreement = Agreement::new();
    assert_eq!(agreement.warning(params, &view, now), None);
    let later = now + 3_600_000;
    assert!(agreement.warning(params, &view, later).is_some());
    let mut agreed = view.clone();
    for node in &mut agreed.nodes {
        node.tip = Some((10, block(10, 0), 11));
    }
    agreement.note(&agreed, later);
    assert_eq!(agreement.warning(params, &view, later + 1), None);
}

#[tokio::test]
async fn an_old_tip_is_told() {
    let rig = Rig::new(1);
    rig.import_dev("dev").await;
    rig.up(1, 5).await;
    let mut snapshot = rig.snapshot(5, 1);
    snapshot.tip.time = clock::now_ms() - 24 * 3_600_000;
    rig.tell(LightEvent::Reading(Box::new(Reading { snapshot, standings: Vec::new() }))).await;
    assert_eq!(warnings(&rig.get("/status").await.ok()), ["the newest block known, 5, is 24 h old"]);
}
