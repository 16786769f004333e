//! JSON-RPC 2.0, one object a line: requests, answers and errors as bytes. Knows no socket.

use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use crate::error::RpcError;
use crate::methods::Method;

/// Longest request, in bytes: the largest frame in hexadecimal fits twice.
pub const LINE_LIMIT: usize = 1 << 18;

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

/// The device: reads one line.
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
        return Err(refused(&format!("`{}`: no such field in a request", field.escape_debug())));
    }
    Ok(Request { id, method, params })
}

/// The device: the line that answers `id`.
pub fn answer(id: &Value, result: Result<Value, RpcError>) -> Vec<u8> {
    line(&match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    })
}

/// A client: the line that calls a method under the number `id`.
///
/// # Errors
/// The parameters cannot be written as JSON.
pub fn request<M: Method>(id: u64, call: &M) -> Result<Vec<u8>, serde_json::Error> {
    let params = serde_json::to_value(call)?;
    Ok(line(&json!({ "jsonrpc": "2.0", "id": id, "method": M::NAME, "params": params })))
}

/// Why a line is not the result of a call.
#[derive(Debug, Error)]
pub enum NoResult {
    /// The device refuses the call.
    #[error("the device refuses `{method}`: {error}")]
    Refused {
        /// The method.
        method: &'static str,
        /// What the device says.
        error: RpcError,
    },
    /// It answers another call.
    #[error("the device answers `{method}`, request {id}, with {answer}")]
    OfAnother {
        /// The method.
        method: &'static str,
        /// The call's number.
        id: u64,
        /// What came.
        answer: String,
    },
    /// It is not an answer, or the result is not what the method returns.
    #[error("the device's answer to `{method}` cannot be read: {answer}")]
    Unreadable {
        /// The method.
        method: &'static str,
        /// What came.
        answer: String,
        /// What is wrong with it.
        #[source]
        error: serde_json::Error,
    },
}

/// A client: the result in the line that answers the call `id` of method `M`.
///
/// # Errors
/// There is none in it.
pub fn result<M: Method>(id: u64, answer: &str) -> Result<M::Answer, NoResult> {
    #[derive(Deserialize)]
    struct Answer {
        id: Value,
        error: Option<RpcError>,
        #[serde(default)]
        result: Value,
    }
    let unreadable =
        |error| NoResult::Unreadable { method: M::NAME, answer: answer.trim_end().into(), error };
    let read: Answer = serde_json::from_str(answer).map_err(unreadable)?;
    if let Some(error) = read.error {
        return Err(NoResult::Refused { method: M::NAME, error });
    }
    if read.id != json!(id) {
        return Err(NoResult::OfAnother { method: M::NAME, id, answer: answer.trim_end().into() });
    }
    serde_json::from_value(read.result).map_err(unreadable)
}

fn line(value: &Value) -> Vec<u8> {
    let mut line = value.to_string().into_bytes();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Clock, GetClock};

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
            (&b"{"[..], json!(null), RpcError::PARSE),
            (b"\xff\xfe", json!(null), RpcError::PARSE),
            (b"[]", json!(null), RpcError::REQUEST),
            (b"7", json!(null), RpcError::REQUEST),
            (br#"{"id":3,"method":"stats"}"#, json!(3), RpcError::REQUEST),
            (br#"{"jsonrpc":"1.0","id":3,"method":"stats"}"#, json!(3), RpcError::REQUEST),
            (br#"{"jsonrpc":"2.0","id":3}"#, json!(3), RpcError::REQUEST),
            (br#"{"jsonrpc":"2.0","id":3,"method":7}"#, json!(3), RpcError::REQUEST),
            (br#"{"jsonrpc":"2.0","id":{},"method":"stats"}"#, json!(null), RpcError::REQUEST),
            (br#"{"jsonrpc":"2.0","id":3,"method":"stats","extra":1}"#, json!(3), RpcError::REQUEST),
        ] {
            let (got_id, error) = parse(line).unwrap_err();
            assert_eq!((&got_id, error.code), (&id, code), "{:?}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn deeply_nested_json_is_an_error_not_a_crash() {
        let line = [b"[".repeat(60_000), b"]".repeat(60_000)].concat();
        assert_eq!(parse(&line).unwrap_err().1.code, RpcError::PARSE);
    }

    #[test]
    fn answer_is_one_line() {
        let line = answer(&json!(1), Err(RpcError::params("`a\nb` is missing")));
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(line.last(), Some(&b'\n'));
    }

    #[test]
    fn a_call_goes_there_and_its_result_comes_back() {
        let request = parse(&request(7, &GetClock {}).unwrap()).unwrap();
        assert_eq!((request.id, &*request.method), (Some(json!(7)), "clock.get"));
        let clock = Clock { us: 5, manual: true };
        let line = answer(&json!(7), Ok(serde_json::to_value(clock).unwrap()));
        let line = std::str::from_utf8(&line).unwrap();
        assert_eq!(result::<GetClock>(7, line).unwrap(), clock);
        assert!(matches!(result::<GetClock>(8, line), Err(NoResult::OfAnother { id: 8, .. })));
        let refused = answer(&json!(7), Err(RpcError::state("not now")));
        let error = result::<GetClock>(7, std::str::from_utf8(&refused).unwrap()).unwrap_err();
        assert!(error.to_string().contains("not now"), "{error}");
        assert!(matches!(
            result::<GetClock>(7, "{\"id\":7,\"result\":{}}"),
            Err(NoResult::Unreadable { .. })
        ));
        assert!(matches!(result::<GetClock>(7, "nonsense"), Err(NoResult::Unreadable { .. })));
    }
}
