//! Paths and annotations of an Ingress, and annotations of its Service. The first byte chooses the type of the path;
//! then lines: host, path, external name, and values of annotations, each with a character in front that chooses
//! which.
#![no_main]

mod core;

use isobath::objects::{Event, Kind, Rules, decode_versioned};
use isobath::translate::{INGRESS_ANNOTATIONS, SERVICE_ANNOTATIONS};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};

fuzz_target!(|data: &[u8]| {
    let Some((&first, text)) = data.split_first() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let mut lines = text.split('\n');
    let host = lines.next().unwrap_or_default();
    let path = lines.next().unwrap_or_default();
    let external_name = lines.next().unwrap_or_default();
    let (mut on_ingress, mut on_service) = (Map::new(), Map::new());
    for line in lines {
        let mut characters = line.chars();
        let Some(choice) = characters.next() else {
            continue;
        };
        // A line holds no line break, and some values have several lines.
        let value = Value::from(characters.as_str().replace('\u{1}', "\n"));
        let choice = choice as usize % (INGRESS_ANNOTATIONS.len() + SERVICE_ANNOTATIONS.len());
        match INGRESS_ANNOTATIONS.get(choice) {
            Some((key, _)) => on_ingress.insert((*key).to_owned(), value),
            None => {
                let (key, _) = SERVICE_ANNOTATIONS[choice - INGRESS_ANNOTATIONS.len()];
                on_service.insert(key.to_owned(), value)
            }
        };
    }
    let path_type = ["Exact", "Prefix", "ImplementationSpecific"][usize::from(first) % 3];
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let mut rule = json!({"http": {"paths": [{"path": path, "pathType": path_type, "backend": backend}]}});
    if !host.is_empty() {
        rule["host"] = host.into();
    }
    let mut service = json!({"ports": [{"port": 80}]});
    if !external_name.is_empty() {
        service["type"] = "ExternalName".into();
        service["externalName"] = external_name.into();
    }
    let mut builder = core::builder();
    for (kind, annotations, spec) in [
        (Kind::Service, on_service, service),
        (Kind::Ingress, on_ingress, json!({"rules": [rule]})),
    ] {
        let metadata = json!({"name": "web", "namespace": "default", "annotations": annotations});
        let object = json!({"metadata": metadata, "spec": spec}).to_string();
        // The name is a good one, so there is always an object.
        let decoded = decode_versioned(kind, &object, Rules::Stored).unwrap();
        builder.apply(Event::Apply(decoded.object));
        builder.build();
    }
});
