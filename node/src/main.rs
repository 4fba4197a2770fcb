//! The program `steelyard-node`. Everything is in [`steelyard_node::cli`]; this only ends the
//! process with the code that it answers, at once: nothing is waited for any more.

fn main() {
    steelyard_runtime::process::share_heaps();
    std::process::exit(steelyard_node::cli::main(std::env::args_os()).into());
}
