//! One object of an API server, from JSON to the bytes for Envoy. The first byte chooses kind and rules.
#![no_main]

mod core;

use isobath::objects::{Kind, Rules, decode_versioned};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&first, text)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let kind = Kind::ALL[usize::from(first >> 1) % Kind::ALL.len()];
    let rules = if first & 1 == 0 {
        Rules::Stored
    } else {
        Rules::Create
    };
    if let Ok(decoded) = decode_versioned(kind, text, rules) {
        assert_eq!(decoded.object.reference().kind, kind);
        core::serve(&mut core::builder(), decoded.object);
    }
});
