//! What is fuzzed: the bodies of the targets, each of which takes any bytes and panics if the
//! protocol layer breaks a promise.
//!
//! Each module is a target; its heading says what it shows and by which oracle. `fuzz_targets/`
//! gives them to libFuzzer, and the test below replays the corpus without it. `input`, `memory`,
//! `wire` and `found` are what they share.

pub mod deflate_roundtrip;
pub mod extension;
pub mod frame;
pub mod handshake;
pub mod inflate;
pub mod message;
pub mod uri;
pub mod utf8;

mod found;
mod input;
mod memory;
mod wire;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// Runs a target with every file of its corpus.
    fn replay(target: &str, run: fn(&[u8])) {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let mut count = 0;
        for entry in fs::read_dir(corpus.join(target)).unwrap() {
            let path = entry.unwrap().path();
            println!("{}", path.display());
            run(&fs::read(path).unwrap());
            count += 1;
        }
        assert!(count > 0, "the corpus of {target} is empty");
    }

    macro_rules! replay {
        ($($target:ident),*) => {
            $(
                #[test]
                fn $target() {
                    replay(stringify!($target), $target::run);
                }
            )*
        };
    }

    replay!(
        deflate_roundtrip,
        extension,
        frame,
        handshake,
        inflate,
        message,
        uri,
        utf8
    );
}
