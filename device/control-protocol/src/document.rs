//! The OpenRPC document of the control socket, made of the types.

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::error::RpcError;
use crate::methods::{Method, Visitor, visit_all};
use crate::rpc::LINE_LIMIT;

/// Where schemas with a name are in the document.
const SCHEMAS: &str = "/components/schemas";

/// The document (OpenRPC 1.3.2).
pub fn openrpc() -> Value {
    let settings = SchemaSettings::draft07().with(|settings| settings.definitions_path = SCHEMAS.into());
    let mut methods = Methods { described: Vec::new(), generator: settings.into_generator() };
    visit_all(&mut methods);
    let mut document = json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "Control socket of vhost-device-cancelnic",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "JSON-RPC 2.0 over the Unix stream socket of `--control PATH`, one object a line, parameters by name. A line \
                 has at most {LINE_LIMIT} bytes. A request without `id` is carried out and not answered."
            ),
        },
        "methods": methods.described,
        "components": {
            "schemas": methods.generator.take_definitions(true),
            "errors": {
                "parse": { "code": RpcError::PARSE, "message": "The line is not JSON." },
                "request": { "code": RpcError::REQUEST, "message": "The line is JSON, but not a request." },
                "method": { "code": RpcError::METHOD, "message": "There is no such method." },
                "params": {
                    "code": RpcError::PARAMS,
                    "message": "A parameter is missing, wrong or unknown; the message names it.",
                },
                "state": {
                    "code": RpcError::STATE,
                    "message": "The request is well-formed, but cannot be carried out now; the message says why.",
                },
            },
        },
    });
    unwrap_lines(&mut document);
    document
}

/// Descriptions come from comments; where a line of a comment ends is of no interest in the document.
fn unwrap_lines(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "description" => *text = text.replace('\n', " "),
                    member => unwrap_lines(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(unwrap_lines),
        _ => {}
    }
}

/// The methods described up to now.
struct Methods {
    described: Vec<Value>,
    generator: SchemaGenerator,
}

impl Visitor for Methods {
    fn visit<M: Method>(&mut self) {
        let mut params = M::json_schema(&mut self.generator);
        let text = description(&mut params);
        let refused: String = M::REFUSED_IF.iter().map(|reason| format!(" Refused if {reason}.")).collect();
        let causes = if M::REFUSED_IF.is_empty() { &["params"][..] } else { &["params", "state"] };
        let errors = causes.iter().map(|cause| json!({ "$ref": format!("#/components/errors/{cause}") }));
        self.described.push(json!({
            "name": M::NAME,
            "description": text + &refused,
            "paramStructure": "by-name",
            "params": parameters(params),
            "result": { "name": "result", "schema": self.generator.subschema_for::<M::Answer>() },
            "errors": errors.collect::<Vec<_>>(),
        }));
    }
}

/// The fields of a parameters' type, in their order.
fn parameters(mut schema: Schema) -> Vec<Value> {
    let required =
        schema.remove("required").and_then(|names| Some(names.as_array()?.clone())).unwrap_or_default();
    let properties = schema.remove("properties");
    let properties = properties.as_ref().and_then(Value::as_object).into_iter().flat_map(Map::iter);
    let parameter = |(name, schema): (&String, &Value)| {
        let mut schema = Schema::try_from(schema.clone()).unwrap_or_default();
        json!({
            "name": name,
            "description": description(&mut schema),
            "required": required.iter().any(|required| required == name),
            "schema": schema,
        })
    };
    properties.map(parameter).collect()
}

/// Takes the description out of a schema.
fn description(schema: &mut Schema) -> String {
    let text = schema.remove("description");
    text.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned()
}
