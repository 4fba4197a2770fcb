//! The program `steelyard-wallet`. Everything is in [`steelyard_wallet::cli`]; this only ends the
//! process with the code that it answers, at once: nothing is waited for any more.

fn main() {
    steelyard_runtime::process::share_heaps();
    std::process::exit(steelyard_wallet::cli::main(std::env::args_os()).into());
}
