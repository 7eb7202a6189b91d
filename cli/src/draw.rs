//! Secrets that nobody gives: random letters and digits. Here, at the edge, because the compiler and the core draw nothing.

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// What is drawn from.
const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Bytes below it are drawn from as many times each letter, so that none comes more often.
const FAIR: u8 = 62 * 4;

/// So many random characters.
pub fn secret(length: u32) -> Result<Zeroizing<String>, String> {
    let length = length as usize;
    let mut text = Zeroizing::new(String::with_capacity(length));
    let mut bytes = Zeroizing::new([0; 64]);
    while text.len() < length {
        SystemRandom::new().fill(&mut *bytes).map_err(|_| "this machine gives no random numbers")?;
        let drawn = bytes.iter().filter(|byte| **byte < FAIR);
        let letters = drawn.map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
        let lacking = length - text.len();
        text.extend(letters.take(lacking));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_as_long_as_asked_and_differs() {
        let (one, other) = (secret(200).unwrap(), secret(200).unwrap());
        assert!(one.len() == 200 && one.bytes().all(|byte| LETTERS.contains(&byte)), "{}", one.len());
        assert_ne!(*one, *other);
        assert_eq!(secret(8).unwrap().len(), 8);
    }
}
