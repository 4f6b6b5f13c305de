//! Starts Cartridge. Everything is in the library, so that tests and tools can use it too.

fn main() -> std::process::ExitCode {
    cartridge::start()
}
