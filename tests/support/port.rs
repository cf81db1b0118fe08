//! Free TCP ports for processes that must be told theirs.
//!
//! Asking the kernel for port 0 and closing the socket again is a race between tests that run in parallel. So a
//! port is taken by a lock on a file named after it, held until the process that uses it is gone. The range lies
//! below the one that the kernel hands out for port 0 (32768 and up), so neither a client's connection nor a
//! test server on port 0 can step on it.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};

const FIRST: u16 = 12_000;
const COUNT: u16 = 19_000;

/// A TCP port that no other test has while this value lives.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _lock: File,
}

impl Port {
    /// Takes a port on which nothing listens.
    pub(crate) fn take() -> Self {
        let directory = std::env::temp_dir().join("isobath-test-ports");
        fs::create_dir_all(&directory).unwrap();
        let start = u16::try_from(RandomState::new().hash_one(()) % u64::from(COUNT)).unwrap();
        for step in 0..COUNT {
            let number = FIRST + (start + step) % COUNT;
            let lock = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(directory.join(number.to_string()))
                .unwrap();
            if lock.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok() {
                return Self {
                    number,
                    _lock: lock,
                };
            }
        }
        panic!("no free port from {FIRST} to {}", FIRST + COUNT - 1);
    }

    /// So many sockets on three addresses of the loopback net that are no other test's. A port that the kernel hands out would
    /// be somebody else's once it is let go.
    #[allow(dead_code, reason = "one test has many sockets")]
    pub(crate) fn sockets(&self, count: usize) -> Vec<SocketAddr> {
        let [high, low] = self.number.to_be_bytes();
        let socket = |number: usize| {
            let last = u8::try_from(number % 3 + 1).unwrap();
            let port = FIRST + u16::try_from(number).unwrap();
            // The first of them is everybody's.
            SocketAddr::from((Ipv4Addr::new(127, 64 + high, low, last), port))
        };
        assert!(count <= usize::from(COUNT));
        (0..count).map(socket).collect()
    }

    /// The port on 127.0.0.1.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.number).into()
    }
}
