//! Functions for KMDF's table, each with the type that is published for it.

/// The address of a function after its type has been compared with the published one.
macro_rules! typed {
    ($ty:ty, $function:expr) => {{
        let function: $ty = Some($function);
        function.map_or(0, |function| function as usize)
    }};
}

/// A table: each function by its name, after its type has been compared with the published one.
macro_rules! table {
    ($($name:literal, $ty:ident => $function:path;)*) => {
        vec![$(($name, typed!(wdk_offline::$ty, $function)),)*]
    };
}

pub(super) use {table, typed};
