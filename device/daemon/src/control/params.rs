//! Parameters of a control method, taken out one by one: an error names the field that is wrong, and a
//! field that nobody took is an error, too.

use serde_json::{Map, Value};

use super::rpc::RpcError;

/// The members of `params` that have not been taken yet.
pub struct Params(Map<String, Value>);

impl Params {
    /// From the request's `params`; absent is the same as empty.
    pub fn new(params: Option<Value>) -> Result<Params, RpcError> {
        match params {
            None | Some(Value::Null) => Ok(Params(Map::new())),
            Some(Value::Object(members)) => Ok(Params(members)),
            Some(_) => Err(RpcError::params("`params` must be an object")),
        }
    }

    /// Whether `field` is there.
    pub fn has(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    /// Takes a string.
    pub fn string(&mut self, field: &str) -> Result<String, RpcError> {
        match self.take(field)? {
            Value::String(text) => Ok(text),
            _ => Err(RpcError::params(format!("`{field}` must be a string"))),
        }
    }

    /// Takes a truth value.
    pub fn boolean(&mut self, field: &str) -> Result<bool, RpcError> {
        match self.take(field)? {
            Value::Bool(value) => Ok(value),
            _ => Err(RpcError::params(format!("`{field}` must be true or false"))),
        }
    }

    /// Takes a whole number between `least` and `most`.
    pub fn number(&mut self, field: &str, least: u64, most: u64) -> Result<u64, RpcError> {
        match self.take(field)?.as_u64() {
            Some(value) if (least..=most).contains(&value) => Ok(value),
            _ => Err(RpcError::params(format!("`{field}` must be a whole number from {least} to {most}"))),
        }
    }

    /// All has been taken; anything left is a mistake.
    pub fn end(self) -> Result<(), RpcError> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(field) => Err(RpcError::params(format!("`{field}`: no such field in this method"))),
        }
    }

    fn take(&mut self, field: &str) -> Result<Value, RpcError> {
        self.0.remove(field).ok_or_else(|| RpcError::params(format!("`{field}` is missing")))
    }
}
