//! JSON-RPC 2.0, one object a line: from bytes to a checked request, from a result to bytes. Knows no
//! method and no socket.

use serde_json::{Value, json};
use thiserror::Error;

/// A request, checked.
#[derive(Debug, PartialEq)]
pub struct Request {
    /// What the answer carries; `None` for a notification, which is not answered.
    pub id: Option<Value>,
    /// The method's name.
    pub method: String,
    /// Its parameters, as they came.
    pub params: Option<Value>,
}

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// JSON-RPC's number for the cause.
    pub code: i32,
    /// One line for people, naming the field or the method that is wrong.
    pub message: String,
}

impl RpcError {
    /// The line is not JSON.
    pub fn parse(detail: impl std::fmt::Display) -> RpcError {
        RpcError { code: -32700, message: format!("not JSON: {detail}") }
    }

    /// It is JSON, but no request.
    pub fn request(detail: impl Into<String>) -> RpcError {
        RpcError { code: -32600, message: detail.into() }
    }

    /// There is no such method.
    pub fn method(name: &str) -> RpcError {
        RpcError { code: -32601, message: format!("`{name}`: no such method") }
    }

    /// A parameter is missing, wrong or unknown.
    pub fn params(detail: impl Into<String>) -> RpcError {
        RpcError { code: -32602, message: detail.into() }
    }

    /// The request is good, but cannot be carried out now or by this version.
    pub fn state(detail: impl Into<String>) -> RpcError {
        RpcError { code: -32000, message: detail.into() }
    }
}

/// Reads one line.
///
/// # Errors
/// The error and the `id` to answer it under (null where none could be read).
pub fn parse(line: &[u8]) -> Result<Request, (Value, RpcError)> {
    let value: Value = serde_json::from_slice(line).map_err(|error| (Value::Null, RpcError::parse(error)))?;
    let Value::Object(mut members) = value else {
        return Err((Value::Null, RpcError::request("a request is an object; batches are not supported")));
    };
    let id = members.remove("id");
    if !matches!(id, None | Some(Value::Null | Value::String(_) | Value::Number(_))) {
        return Err((Value::Null, RpcError::request("`id` must be a string, a number or null")));
    }
    let refused = |detail: &str| (id.clone().unwrap_or(Value::Null), RpcError::request(detail));
    if members.remove("jsonrpc") != Some(json!("2.0")) {
        return Err(refused("`jsonrpc` must be \"2.0\""));
    }
    let Some(Value::String(method)) = members.remove("method") else {
        return Err(refused("`method` must be a string"));
    };
    let params = members.remove("params");
    if let Some(field) = members.keys().next() {
        return Err(refused(&format!("`{field}`: no such field in a request")));
    }
    Ok(Request { id, method, params })
}

/// The line that answers `id`.
pub fn answer(id: &Value, result: Result<Value, RpcError>) -> Vec<u8> {
    let value = match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => {
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": error.code, "message": error.message } })
        }
    };
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_is_read_with_and_without_params() {
        let request = parse(br#"{"jsonrpc":"2.0","id":1,"method":"stats"}"#).unwrap();
        assert_eq!(request, Request { id: Some(json!(1)), method: "stats".into(), params: None });
        let request = parse(br#"{"jsonrpc":"2.0","id":"a","method":"m","params":{"x":1}}"#).unwrap();
        assert_eq!(request.params, Some(json!({"x": 1})));
    }

    #[test]
    fn request_without_id_is_a_notification() {
        assert_eq!(parse(br#"{"jsonrpc":"2.0","method":"quit"}"#).unwrap().id, None);
    }

    #[test]
    fn malformed_request_gets_the_code_of_its_cause_and_its_id() {
        for (line, id, code) in [
            (&b"{"[..], json!(null), -32700),
            (b"\xff\xfe", json!(null), -32700),
            (b"[]", json!(null), -32600),
            (b"7", json!(null), -32600),
            (br#"{"id":3,"method":"stats"}"#, json!(3), -32600),
            (br#"{"jsonrpc":"1.0","id":3,"method":"stats"}"#, json!(3), -32600),
            (br#"{"jsonrpc":"2.0","id":3}"#, json!(3), -32600),
            (br#"{"jsonrpc":"2.0","id":3,"method":7}"#, json!(3), -32600),
            (br#"{"jsonrpc":"2.0","id":{},"method":"stats"}"#, json!(null), -32600),
            (br#"{"jsonrpc":"2.0","id":3,"method":"stats","extra":1}"#, json!(3), -32600),
        ] {
            let (got_id, error) = parse(line).unwrap_err();
            assert_eq!((&got_id, error.code), (&id, code), "{:?}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn deeply_nested_json_is_an_error_not_a_crash() {
        let line = [b"[".repeat(60_000), b"]".repeat(60_000)].concat();
        assert_eq!(parse(&line).unwrap_err().1.code, -32700);
    }

    #[test]
    fn answer_is_one_line() {
        let line = answer(&json!(1), Err(RpcError::params("`a\nb` is missing")));
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(line.last(), Some(&b'\n'));
    }
}
