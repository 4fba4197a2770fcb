//! No secret leaves the daemon but the words of a new wallet, once: whatever is asked, and however
//! wrongly.

use std::fmt::Write;
use std::sync::OnceLock;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;

/// Everything that is logged by any test, at any level.
static LOGGED: OnceLock<Mutex<String>> = OnceLock::new();

fn logged() -> &'static Mutex<String> {
    LOGGED.get_or_init(Mutex::default)
}

struct Everything;

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        attributes.record(&mut Text(&mut logged().lock().unwrap()));
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, values: &Record<'_>) {
        values.record(&mut Text(&mut logged().lock().unwrap()));
    }
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut log = logged().lock().unwrap();
        event.record(&mut Text(&mut log));
        log.push('\n');
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Stands in every secret of the test, and nowhere else.
const MARK: &str = "zebrafish";

#[tokio::test]
async fn whatever_is_asked_wrongly_no_secret_comes_back_or_is_logged() {
    tracing::subscriber::set_global_default(Everything).unwrap();
    let rig = Rig::new(1);
    let secret = |text: &str| format!("{MARK} {text}");
    let right = json!({"name": "a", "source": {"create": {"words": 12}}, "passphrase": secret("right")});
    let made = rig.post("/wallets", right).await.ok();
    let words = made["words"].as_str().unwrap().to_owned();
    let restore =
        |words: &str| json!({"name": "b", "source": {"restore": {"words": words}}, "passphrase": ""});
    let unlock = |passphrase: Value, seconds: Value| json!({"passphrase": passphrase, "seconds": seconds});
    let asked = [
        ("/wallets", restore(&secret("alpha beta"))),
        ("/wallets", restore(&words.replacen(' ', &format!(" {MARK} "), 1))),
        ("/wallets", restore(&format!("{MARK}{}", &words[words.find(' ').unwrap()..]))),
        ("/wallets", restore(&words)),
        ("/wallets", json!({"name": "b", "source": secret("x"), "passphrase": ""})),
        ("/wallets", json!({"name": "b", "source": {(secret("x")): 1}, "passphrase": ""})),
        ("/wallets", json!({"name": secret("x"), "source": "dev", "passphrase": ""})),
        ("/wallets", json!({"name": "b", "source": "dev", "passphrase": [secret("x")]})),
        ("/wallets", json!({"name": "b", "source": {"create": {"words": secret("x")}}, "passphrase": ""})),
        ("/wallet/a/unlock", unlock(json!(secret("wrong")), Value::Null)),
        ("/wallet/a/unlock", unlock(json!(secret("wrong")), json!(secret("x")))),
        ("/wallet/a/unlock", unlock(json!([secret("x")]), Value::Null)),
        ("/wallet/a/unlock", json!({(secret("x")): 1})),
        ("/wallet/a/unlock", json!(secret("x"))),
        ("/wallet/c/unlock", unlock(json!(secret("x")), Value::Null)),
    ];
    let mut told = String::new();
    for (path, body) in asked {
        let answer = rig.post(path, body.clone()).await;
        answer.refusal();
        told.push_str(&answer.body.to_string());
    }
    rig.post("/wallet/a/unlock", unlock(json!(secret("right")), Value::Null)).await.ok();
    for path in ["/status", "/wallets", "/wallet/a/addresses", "/wallet/a/txs", "/wallet/a/balance"] {
        told.push_str(&rig.get(path).await.body.to_string());
    }
    let log = logged().lock().unwrap().clone();
    assert!(log.contains("a wallet was unlocked"), "the log was not heard: {log}");
    for text in [&told, &log] {
        assert!(!text.contains(MARK), "{text}");
        assert!(!text.contains(&words), "{text}");
        // Not a few of the words either.
        let three: Vec<&str> = words.split(' ').take(3).collect();
        assert!(!text.contains(&three.join(" ")), "{text}");
    }
}
