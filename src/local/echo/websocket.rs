//! The echo's side of a WebSocket (RFC 6455): every message comes back as it was.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest frame that is repeated; it is held in memory.
const LONGEST: u64 = 1 << 20;

const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Codes of section 7.4.1.
const PROTOCOL_ERROR: u16 = 1002;
const TOO_BIG: u16 = 1009;

/// `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key` (section 4.2.2).
pub fn accept(key: &str) -> String {
    let text = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes()))
}

/// Repeats frames until the peer closes.
///
/// # Errors
///
/// When the connection breaks.
pub async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    loop {
        let mut head = [0; 2];
        stream.read_exact(&mut head).await?;
        let (first, opcode) = (head[0], head[0] & 0x0f);
        let is_control = opcode >= CLOSE;
        let length = match head[1] & 0x7f {
            126 => u64::from(stream.read_u16().await?),
            127 => stream.read_u64().await?,
            short => u64::from(short),
        };
        // No extension was agreed on, a client masks, and control frames are short and whole.
        let is_wrong = first & 0x70 != 0
            || head[1] & 0x80 == 0
            || (is_control && (length > 125 || first & 0x80 == 0));
        if is_wrong {
            return close(&mut stream, PROTOCOL_ERROR).await;
        }
        if length > LONGEST {
            return close(&mut stream, TOO_BIG).await;
        }
        let mut mask = [0; 4];
        stream.read_exact(&mut mask).await?;
        let mut payload = vec![0; usize::try_from(length).unwrap_or_default()];
        stream.read_exact(&mut payload).await?;
        for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= mask;
        }
        match opcode {
            PONG => {}
            PING => write(&mut stream, 0x80 | PONG, &payload).await?,
            CLOSE => {
                write(&mut stream, 0x80 | CLOSE, &payload).await?;
                return stream.shutdown().await;
            }
            // Text, binary, and what continues them: as it came, the last of a message included.
            0..=2 => write(&mut stream, first, &payload).await?,
            _ => return close(&mut stream, PROTOCOL_ERROR).await,
        }
    }
}

async fn close(stream: &mut (impl AsyncWrite + Unpin), code: u16) -> std::io::Result<()> {
    write(stream, 0x80 | CLOSE, &code.to_be_bytes()).await?;
    stream.shutdown().await
}

async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    first: u8,
    payload: &[u8],
) -> std::io::Result<()> {
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => frame.push(length),
        (_, Ok(length)) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    stream.write_all(&frame).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;

    /// The example of section 1.3.
    #[test]
    fn a_key_is_accepted() {
        assert_eq!(
            accept("dGhlIHNhbXBsZSBub25jZQ=="),
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | length as u8),
            length @ 126..=65535 => {
                frame.push(0x80 | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend(mask);
        frame.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, mask)| byte ^ mask),
        );
        frame
    }

    async fn check(sent: Vec<u8>, expected: Vec<u8>) {
        let (mut client, server) = tokio::io::duplex(4 << 20);
        client.write_all(&sent).await.unwrap();
        client.shutdown().await.unwrap();
        // A client that goes away without a word is no error of ours.
        let _ = echo(server).await;
        let mut received = Vec::new();
        client.read_to_end(&mut received).await.unwrap();
        assert_eq!(received, expected);
    }

    #[tokio::test]
    async fn messages_come_back() {
        check(frame(0x81, b"hello"), b"\x81\x05hello".to_vec()).await;
        check(
            [frame(0x02, b"a"), frame(0x89, b"p"), frame(0x80, b"b")].concat(),
            b"\x02\x01a\x8a\x01p\x80\x01b".to_vec(),
        )
        .await;
        check(
            [frame(0x8a, b""), frame(0x88, b"\x03\xe8")].concat(),
            b"\x88\x02\x03\xe8".to_vec(),
        )
        .await;
        for length in [126, 65536] {
            let text = vec![b'x'; length];
            let mut expected = vec![0x81];
            if length == 126 {
                expected.extend([126, 0, 126]);
            } else {
                expected.extend([127, 0, 0, 0, 0, 0, 1, 0, 0]);
            }
            expected.extend(&text);
            check(frame(0x81, &text), expected).await;
        }
    }

    #[tokio::test]
    async fn what_is_wrong_ends_it() {
        let protocol_error = b"\x88\x02\x03\xea".to_vec();
        // Not masked, a reserved bit, an unknown kind, a long control frame.
        check(b"\x81\x01a".to_vec(), protocol_error.clone()).await;
        check(frame(0xc1, b"a"), protocol_error.clone()).await;
        check(frame(0x83, b"a"), protocol_error.clone()).await;
        check(frame(0x89, &[0; 126]), protocol_error).await;
        let mut long = vec![0x82, 0xff];
        long.extend((2_u64 << 20).to_be_bytes());
        check(long, b"\x88\x02\x03\xf1".to_vec()).await;
    }
}
