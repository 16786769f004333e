//! Why the device does not do as it is asked.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a request was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Error, Serialize, Deserialize)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// One of the codes of [`RpcError`].
    pub code: i32,
    /// One line for people, naming the field or the method that is wrong.
    pub message: String,
}

impl RpcError {
    /// The line is not JSON.
    pub const PARSE: i32 = -32700;
    /// It is JSON, but not a request.
    pub const REQUEST: i32 = -32600;
    /// There is no such method.
    pub const METHOD: i32 = -32601;
    /// A parameter is missing, wrong or unknown.
    pub const PARAMS: i32 = -32602;
    /// The request is well-formed, but cannot be carried out now.
    pub const STATE: i32 = -32000;

    fn new(code: i32, message: impl Into<String>) -> RpcError {
        RpcError { code, message: message.into() }
    }

    /// [`RpcError::PARSE`].
    pub fn parse(detail: impl std::fmt::Display) -> RpcError {
        RpcError::new(RpcError::PARSE, format!("not JSON: {detail}"))
    }

    /// [`RpcError::REQUEST`].
    pub fn request(detail: impl Into<String>) -> RpcError {
        RpcError::new(RpcError::REQUEST, detail)
    }

    /// [`RpcError::METHOD`].
    pub fn method(name: &str) -> RpcError {
        RpcError::new(RpcError::METHOD, format!("`{}`: no such method", name.escape_debug()))
    }

    /// [`RpcError::PARAMS`].
    pub fn params(detail: impl Into<String>) -> RpcError {
        RpcError::new(RpcError::PARAMS, detail)
    }

    /// [`RpcError::STATE`].
    pub fn state(detail: impl Into<String>) -> RpcError {
        RpcError::new(RpcError::STATE, detail)
    }
}
