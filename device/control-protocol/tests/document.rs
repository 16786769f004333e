//! `openrpc.json` is what the types say. After a change: `CANCELNIC_BLESS=1 cargo test -p control-protocol`.

use std::path::PathBuf;

use control_protocol::document::openrpc;
use serde_json::Value;

/// The document, in this tree: a compiled-in path would name the tree that a copy was made from.
fn path() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("openrpc.json")
}

#[test]
fn the_document_is_what_the_types_say() {
    let text = format!("{:#}\n", openrpc());
    if std::env::var_os("CANCELNIC_BLESS").is_some() {
        std::fs::write(path(), &text).expect("the document can be written");
    }
    let kept = std::fs::read_to_string(path()).expect("the document is there");
    assert!(kept == text, "openrpc.json is out of date: CANCELNIC_BLESS=1 cargo test -p control-protocol");
}

#[test]
fn every_method_parameter_and_result_is_described() {
    let document = openrpc();
    let methods = document["methods"].as_array().expect("methods");
    assert!(methods.len() >= 10, "{} methods", methods.len());
    let described = |what: &Value| what["description"].as_str().is_some_and(|text| text.len() > 5);
    for method in methods {
        assert!(described(method), "{method}");
        for parameter in method["params"].as_array().expect("params") {
            assert!(described(parameter), "{}: {parameter}", method["name"]);
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        assert!(described(schema), "{name}");
        for (field, schema) in schema["properties"].as_object().into_iter().flatten() {
            assert!(described(schema), "{name}.{field}: {schema}");
        }
    }
}

#[test]
fn every_reference_leads_somewhere() {
    let document = openrpc();
    let mut references = 0;
    let mut open = vec![&document];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    references += 1;
                    let place = reference.strip_prefix('#').expect("a reference within the document");
                    assert!(document.pointer(place).is_some(), "{reference}");
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    assert!(references > 10, "{references} references");
}

#[test]
fn the_readme_names_every_method() {
    let readme = std::fs::read_to_string(path().with_file_name("README.md")).expect("README.md");
    for method in openrpc()["methods"].as_array().expect("methods") {
        let name = method["name"].as_str().expect("a name");
        assert!(readme.contains(&format!("`{name}`")), "{name}");
    }
}
