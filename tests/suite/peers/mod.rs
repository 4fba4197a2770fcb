//! Nodes among nodes: each test starts real ones and looks at them from outside.
//!
//! | module | what |
//! |---|---|
//! | `demo` | the tutorial's demo: two that mine, and a payment; scenarios 2 and 4 |
//! | `shapes` | lines, stars and rings; addresses told on; scenario 5 |
//! | `partition` | two sides that mined apart; scenario 11 |
//! | `framing` | bytes in any pieces, and those that are refused; scenario 13 |
//! | `addresses` | dead, silent, own and lasting addresses; scenario 14 |
//! | `forged` | chains of most work that break a rule; scenario 12 |
//! | `hostile` | a hundred bad connections at once |
//! | `sync` | long syncs, killed and resumed; scenario 12 |
//! | `reorg` | deep reorganisations |
//! | `storms` | SIGKILL while mining and paying |

mod addresses;
mod demo;
mod forged;
mod framing;
mod hostile;
mod partition;
mod reorg;
mod shapes;
mod storms;
mod sync;

/// A number of the environment, or the everyday one.
fn times(variable: &str, everyday: usize) -> usize {
    std::env::var(variable).map_or(everyday, |text| text.parse().expect("a number"))
}
