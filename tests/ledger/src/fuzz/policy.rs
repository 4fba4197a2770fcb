//! Policies: what is read is written back as it came, and is a policy exactly when the bounds, the order
//! and the points say so. Must not know what a policy authorizes.

use steelyard_core::crypto::keys::PublicKey;
use steelyard_core::crypto::policy::{KEYS_MAX, POLICY_BYTES_MAX, UncheckedPolicy};
use steelyard_core::encode::{decode, encode};

use super::input::Input;
use super::world::world;

/// The target: a policy's bytes, which are also the choices of keys of one.
pub fn policy(input: &[u8]) {
    of_bytes(input);
    let mut input = Input::new(input);
    let known = world().actors.iter().flat_map(|actor| actor.policy.keys());
    let known: Vec<PublicKey> = known.copied().chain([PublicKey([0; 32])]).collect();
    let threshold = input.u8() % 18;
    let keys = (0..usize::from(input.u8()) % KEYS_MAX).map(|_| known[input.place(known.len())]);
    let mut keys: Vec<PublicKey> = keys.collect();
    match input.u8() % 4 {
        0 => {}
        1 => keys.sort_unstable(),
        _ => {
            keys.sort_unstable();
            keys.dedup();
        }
    }
    of_bytes(&encode(&UncheckedPolicy { threshold, keys }));
}

fn of_bytes(input: &[u8]) {
    let Ok(read) = decode::<UncheckedPolicy>(input, POLICY_BYTES_MAX) else { return };
    assert_eq!(encode(&read), input);
    assert_eq!(input.len(), 3 + 32 * read.keys.len());
    assert!(read.keys.len() <= KEYS_MAX);
    let (m, n) = (usize::from(read.threshold), read.keys.len());
    let is_sorted = read.keys.windows(2).all(|pair| pair[0].0 < pair[1].0);
    let is_on_curve = read.keys.iter().all(|key| key.lift().is_some());
    let is_sound = (1..=n).contains(&m) && is_sorted && is_on_curve;
    let checked = read.check();
    assert_eq!(checked.is_ok(), is_sound, "{checked:?}");
    let Ok(policy) = checked else { return };
    assert_eq!(policy.to_bytes(), input);
    assert_eq!((policy.threshold(), policy.keys()), (read.threshold, &read.keys[..]));
    let again = read.check().expect("it was one");
    assert_eq!(again.address(), policy.address());
    let mut others = read.clone();
    others.threshold = if m == 1 { 2 } else { 1 };
    assert!(others.check().map_or(true, |other| other.address() != policy.address()));
}
