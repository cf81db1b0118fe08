//! A file of manifests, YAML or JSON, from its text to the bytes for Envoy. The golden cases are a good beginning.
#![no_main]

mod core;

use std::path::Path;

use isobath::objects::{Event, Rules, decode_versioned};
use isobath::sources::manifests::parse_documents;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for path in ["a.yaml", "a.json"] {
        let Ok(documents) = parse_documents(Path::new(path), text) else {
            continue;
        };
        let mut builder = core::builder();
        for document in documents.objects {
            if let Ok(decoded) = decode_versioned(document.kind, &document.json, Rules::Create) {
                builder.apply(Event::Apply(decoded.object));
            }
        }
        builder.build();
    }
});
