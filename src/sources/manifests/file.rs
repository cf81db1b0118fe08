//! One file's text.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::tree::Stamp;

/// Larger files are no manifests.
const SIZE_LIMIT: u64 = 64 * 1024 * 1024;

/// Why there is no text.
pub(super) enum Unread {
    /// It is not there, or no file.
    Missing,
    /// One sentence, with the version that was looked at where that is known.
    Broken(Option<Stamp>, String),
}

/// Reads a file.
pub(super) fn load(path: &Path) -> Result<(Stamp, Zeroizing<String>), Unread> {
    let unread = |stamp| {
        move |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Unread::Missing,
            _ => Unread::Broken(stamp, format!("can't read it: {error}")),
        }
    };
    let metadata = fs::metadata(path).map_err(unread(None))?;
    if !metadata.is_file() {
        return Err(Unread::Missing);
    }
    let stamp = Stamp::new(&metadata);
    let broken = |reason: String| Unread::Broken(Some(stamp), reason);
    if metadata.len() > SIZE_LIMIT {
        return Err(broken(too_large()));
    }
    let bytes = fs::read(path).map(Zeroizing::new);
    let bytes = bytes.map_err(unread(Some(stamp)))?;
    Ok((stamp, decode(&bytes).map_err(broken)?))
}

/// Reads what can be read once only: standard input, a pipe.
///
/// # Errors
///
/// One sentence.
pub(super) fn read_once(input: impl Read) -> Result<Zeroizing<String>, String> {
    let mut bytes = Zeroizing::new(Vec::new());
    input
        .take(SIZE_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("can't read it: {error}"))?;
    if bytes.len() as u64 > SIZE_LIMIT {
        return Err(too_large());
    }
    decode(&bytes)
}

fn too_large() -> String {
    "it is larger than 64 MiB".to_owned()
}

/// UTF-8, or what a byte order mark says, as kubectl's parser takes it: PowerShell's `>` writes UTF-16.
fn decode(bytes: &[u8]) -> Result<Zeroizing<String>, String> {
    let units: fn([u8; 2]) -> u16 = match bytes {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => {
            return match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Zeroizing::new(text.to_owned())),
                Err(_) => Err("it is not UTF-8 text".to_owned()),
            };
        }
    };
    let units = bytes[2..]
        .chunks_exact(2)
        .map(|pair| units([pair[0], pair[1]]));
    // Enough to begin with: text that grows leaves copies of itself behind.
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 3 / 2));
    for letter in char::decode_utf16(units) {
        text.push(letter.map_err(|_| "it is not UTF-16 text, as its first bytes say".to_owned())?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    #[test]
    fn text_of_three_encodings() {
        let read = |bytes: &[u8]| decode(bytes).map(|text| text.as_str().to_owned());
        let utf16 = |order: fn(u16) -> [u8; 2], text: &str| -> Vec<u8> {
            let units = "\u{feff}".encode_utf16().chain(text.encode_utf16());
            units.flat_map(order).collect()
        };
        assert_eq!(read(b"a: 1").unwrap(), "a: 1");
        assert_eq!(read(&utf16(u16::to_le_bytes, "a: ä")).unwrap(), "a: ä");
        assert_eq!(read(&utf16(u16::to_be_bytes, "a: ä")).unwrap(), "a: ä");
        assert_eq!(read(b"\xff").unwrap_err(), "it is not UTF-8 text");
        assert!(read(b"\xff\xfe\x00\xd8").unwrap_err().contains("UTF-16"));
        assert_eq!(read_once(&b"a: 1"[..]).unwrap().as_str(), "a: 1");
    }
}
