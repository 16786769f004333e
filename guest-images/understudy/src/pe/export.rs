//! What a module exports.

/// An exported function: its name and its address.
pub(crate) type Export = (&'static str, usize);

/// A list of exports.
macro_rules! exports {
    ($($name:literal => $function:path,)*) => {
        alloc::vec![$(($name, $function as *const () as usize),)*]
    };
}
pub(crate) use exports;
