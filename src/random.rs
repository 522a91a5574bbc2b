//! Random bytes from the system.
//!
//! A generator of our own would have the same state in a process that was forked, and say the same
//! in both.

use std::io;

use rand::{TryRng as _, rngs::SysRng};

/// Fails if the system has none.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(io::Error::other)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_never_the_same() {
        assert_ne!(random::<16>().unwrap(), random::<16>().unwrap());
    }
}
